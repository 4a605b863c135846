# ruff: noqa: RUF001  (Chinese punctuation is what the queries are written with)
"""Sentence patterns of the generated corpus: `{slot}` is a word of the lexicon, `[a|b]` one of the alternatives.

Every choice of alternatives is a pattern of its own, and the patterns of a cell are equally likely.
No sentence can come from two cells (an intent of CLEAR or a pair of AMBIGUOUS): the tests parse them back.
"""

from __future__ import annotations

# What people put before and after the question; drawn apart from the intent, so it tells nothing about it.
OPENINGS = """
[请问|你好，|想问下|急，|求助：|咨询一下，|医生您好，|大夫，]
[本人|我今年]{age}岁，
{person}，{symptom}，
有{disease}病史，
{city}的，{sign}，
[平时|最近]{habit}，
{span}{symptom}，{sign}，
去医院做了{test}，医生没说清楚，
{person}得{disease}[两年|半年|三个月|很久]了，一直在吃{drug}，
上个月做了{procedure}，现在{symptom}，{sign}，[心里很担心|睡也睡不好|不想去医院]，
"""
CLOSINGS = """
[？|?]
[啊|呢|呀|啊？|呢？|...]
[，谢谢|，谢谢医生|，急|，在线等|，求解答|，多谢了]
"""

CLEAR = {
    "病情诊断": """
{symptom}[是不是|会不会是|有可能是]{disease}
{person}{sign}[是什么病|是得了什么病|可能是啥病]
{span}{sign}[是什么问题|是哪里出了问题|是啥病]
{symptom}还{sign}[是什么情况|是得了啥病|属于什么病]
{part}{feeling}[是啥毛病|到底是什么病|是得病了吗]
{person}{part}{feeling}[是什么问题|正常吗]
{test}[查出|显示|提示]{finding}是{disease}吗
{symptom}算不算{disease}
[怎么|如何|怎样]判断{person}是不是{disease}
怀疑自己得了{disease}，{sign}
{sign}和{symptom}一起出现是[啥病|什么病]
{person}{symptom}[是{disease}吗|像{disease}吗|不会是{disease}吧]
{part}长了个东西是{disease}吗
{habit}后{symptom}正常吗
""",
    "治疗方案": """
{person}{disease}[怎么治|如何治疗|怎样治疗|咋治]
{disease}[怎么治|如何治|怎样治疗|咋治][才除根|好得快|效果明显|比较安全]
{disease}伴有{symptom}[怎么治|如何治疗|该怎么办]
{person}得了{disease}[该怎么办|怎么办才好|要怎么处理]
{disease}[反复发作|老不好|又犯了][怎么办|怎么治]
治{disease}[用什么药|哪种药好|的特效药有哪些]
{person}{disease}[吃什么药|用什么药][好|管用|合适]
{disease}{therapy}[怎么做|扎哪里|贴哪里]
{disease}的[家庭疗法|中医疗法|保守治疗方法|手术方式|最新疗法]
{part}{feeling}[抹什么药|怎么缓解|怎么消下去]
{person}{symptom}[用什么药|怎么缓解|怎么调理]
{sign}[吃啥药调理|怎么调理|中医怎么治]
{disease}要不要做{procedure}
{procedure}后{symptom}[怎么处理|怎么治疗|用什么药]
[怎样|怎么|如何]去除{part}的{disease}
""",
    "病因分析": """
[为什么|为何]会得{disease}，{habit}的关系吗
{person}[为什么|为啥|怎么]会得{disease}
{disease}[是怎么得的|的病因有哪些|的诱因|怎么形成的]
{disease}是[遗传|{habit}|免疫力低]造成的吗
引起{disease}的[主要原因|常见因素|几大原因]
[导致|诱发|造成]{person}{disease}的[原因|因素]
{habit}的人为什么容易{symptom}
{disease}的发病[机制|原因|机理]
{person}{disease}的[生理原因|根源]
为什么{person}[容易得|老是得|多发]{disease}
""",
    "指标解读": """
{index}{value}[高不高|正常吗|算偏低吗|说明什么]
{person}{index}[正常值|的参考范围|多少算正常|的标准是多少]
{test}里{index}[阳性|偏高|偏低|带箭头][是什么意思|代表什么|怎么看]
{index}和{test}[结果|数值]怎么看
{index}[偏高|偏低|超标]一点[说明什么|有意义吗]
{person}{test}报告[怎么看|解读]
{test}单子上{finding}是什么意思
{person}{index}{value}算[高|低|正常]吗
{test}[提示|报告]{finding}怎么理解
""",
    "就医建议": """
{person}{symptom}[挂什么科|看什么科|挂哪个科]
{part}{feeling}[要挂哪个科|去哪个科看|挂什么号]
{disease}[该挂|应该看|属于]{department}吗
{city}[治|看|治疗]{disease}[哪家医院好|哪个医院强|去哪里好|最好的医院]
{city}{department}[哪家医院好|排名|比较好的医院]
{city}{procedure}[哪家医院好|去哪个医院做|正规医院]
{person}{disease}[需要做哪些检查|要做什么检查|做啥检查能查出来]
确诊{disease}要做{test}吗
{sign}[需要去医院吗|要不要看医生|要做什么检查]
{disease}[去综合医院还是专科医院|用住院吗]
{city}有看{disease}的老中医吗
{person}{test}去哪个科室做
""",
    "疾病表述": """
{person}{disease}[有什么症状|有哪些表现|初期症状|什么样子]
{disease}[前期|晚期|急性期]的[表现|症状有哪些|特征]
{disease}和{disease}[的区别|怎么区分|有啥不同]
{disease}[会传染给{person}吗|会遗传给下一代吗|通过什么传染]
{disease}的[潜伏期有多长|分型|分期标准|好发部位|高发人群]
{disease}[到底是什么意思|是啥病|属于什么类型的病]
{person}得{disease}的[几率|概率]大吗
{disease}[会引起|会伴有|有没有]{symptom}吗
{disease}晚期[还能活几年|能存活多久]
{disease}[长什么样|早期图片|发病时间]
{disease}是[慢性病|传染病|遗传病|绝症|自身免疫病]吗
""",
    "后果表述": """
{habit}[有什么危害|会导致{disease}吗|对身体有什么坏处|会怎么样]
{person}[误食|吃多了|吃了太多]{food}会[怎样|怎么样|有什么后果]
{person}{habit}[会影响|会伤到]{part}吗
{drug}吃[多了|过量|错了]会[怎样|有什么后果|死吗]
{disease}[对怀孕|对胎儿|对寿命]有影响吗
{procedure}[会有后遗症吗|对身体伤害大吗|的后遗症有哪些]
{disease}不治疗会[恶化成|引发|变成]{disease}吗
{disease}的[危害有多大|并发症是什么]
{person}长期喝{drink}会[变胖|上瘾|缺钙|伤胃]吗
孕期[服用|误吃]{drug}[对孩子有影响吗|会畸形吗]
""",
    "注意事项": """
{disease}[患者|病人]能[吃|碰]{food}吗
{disease}[可不可以|可以|能不能]喝{drink}
吃{drug}期间[能喝|可以喝]{drink}吗
{drug}和{food}[能同吃吗|可以一起吃吗|相克吗]
{drug}[和|与]{drug}能[同时吃|一起服用]吗
{procedure}[前|后|当天][要注意什么|有什么禁忌|不能吃什么|可以吃{food}吗]
{test}前[可以喝{drink}吗|要注意啥|能不能吃{food}]
{person}[做|进行]{exercise}要注意什么
{disease}[日常护理要点|忌口有哪些|不能吃哪些东西|要忌什么]
{disease}[可以|能]{exercise}吗
{person}{symptom}能[打疫苗|洗头|洗澡|坐飞机|吃{food}]吗
服{herb}的[禁忌人群|忌口]
{drug}[饭前吃还是饭后吃|停药要注意什么]
""",
    "功效作用": """
{herb}[泡水|煮水|泡酒|磨粉|炖汤][喝有什么作用|的功效|有啥功效]
{herb}[和|加|配]{herb}[泡水的功效|一起煮有什么作用]
{herb}[能治|可以治]{disease}吗
{person}吃{food}有[什么好处|哪些好处|啥营养]
{food}[加|配]{drink}的[功效|好处]
{food}的[药用价值|营养成分和功效|食疗作用]
早上空腹喝{drink}的[好处|作用]
{drug}[主要作用|治什么病|是治啥的|有什么副作用]
{drug}对{disease}[有效吗|起什么作用]
{exercise}对{disease}有[好处|帮助]吗
{therapy}{part}有什么[好处|作用]
""",
    "医疗费用": """
{city}{procedure}[多少钱|的价格|收费标准|大概费用]
{city}做{test}[多少钱|要花多少钱|贵吗]
{person}做{procedure}[要多少钱|一共要花多少|得准备多少钱]
{test}加{test}[一共多少钱|总共要多少费用]
{disease}[住院一周|手术|治疗一个疗程]要花[多少钱|几万]
{procedure}[医保报销后多少钱|进口和国产价格差多少|自费价格]
{drug}[多少钱一盒|零售价|价格表]
{city}{department}[挂号费|专家号]多少钱
治{person}{disease}的[费用|花费]大概多少
""",
    "其他": """
{drug}[一天吃几次|一次吃几片|保质期多久|哪个厂家的好|是处方药吗|是抗生素吗]
{drug}和{drug}[哪个好|有什么区别|是一种药吗]
{food}[怎么做好吃|的家常做法|怎么保存|的热量]
{food}和{food}哪个[营养高|热量高|含糖多]
{test}[要空腹吗|多久出结果|要预约吗|疼不疼|怎么做的]
{procedure}[疼不疼|后多久能上班|要住院几天|要打麻药吗|详细流程]
{city}{procedure}能[报销|用医保]吗
{exercise}[一天做几次合适|的正确姿势|消耗多少热量|练哪里]
{person}[睡几个小时|一天喝多少水|喝多少{drink}]合适
{drink}[怎么泡|什么时候喝最好|有没有糖|过期了能喝吗]
{herb}[多少钱一斤|怎么种|的产地|长什么样子|怎么挑]
{department}[实习要轮转多久|医生累吗|和{department}有什么区别]
{person}{part}按摩[视频|手法]
{disease}[能上保险吗|能入职吗|能当兵吗|用英语怎么说|的药方歌诀]
{part}{feeling}怎么形容
""",
}

# Likelier intent, other intent, share of the ambiguous queries in per cent; the reader can't tell the two apart.
AMBIGUOUS = {
    ("治疗方案", "其他", 18): """
{disease}[用|吃]{drug}[行不行|可行吗|靠谱吗]
{disease}做{procedure}[好不好|可行吗]
{person}{disease}[试试|做]{therapy}行不行
""",
    ("其他", "治疗方案", 15): """
{person}{disease}[多久能好|几天能好|要养多长时间]
{disease}{drug}[的用法|怎么用|用多大量]
{disease}[偏方|土方子|老方子][靠谱吗|可信吗]
""",
    ("病情诊断", "病因分析", 8): """
{person}[总是|老是|突然]{symptom}[怎么回事|什么原因|是怎么引起的]
{span}{symptom}，{sign}[怎么回事|什么原因]
{part}[突然|一直]{feeling}[怎么回事|什么原因]
""",
    ("病情诊断", "治疗方案", 14): """
{span}{symptom}[怎么办|咋整|怎么弄]
{symptom}，{sign}[怎么办|咋整|怎么弄]
{part}{feeling}[怎么办|咋整|怎么弄]
""",
    ("治疗方案", "注意事项", 11): """
{disease}[吃什么好|吃啥好得快|饮食怎么安排]
{person}{disease}[平时怎么调养|饮食上怎么办]
{disease}喝{drink}[调养|养着]行吗
""",
    ("注意事项", "其他", 10): """
{person}[能吃|可以吃|能不能吃]{food}吗
{person}[能|可以][喝{drink}|做{exercise}|吃{herb}]吗
""",
    ("疾病表述", "后果表述", 6): """
{person}{disease}[严重吗|要紧吗|危险吗]
{disease}[拖久了|时间长了][严重吗|要紧吗|会怎样]
""",
    ("疾病表述", "治疗方案", 5): """
{person}{disease}[能治好吗|能断根吗|可以自愈吗]
{disease}[拖了一年|拖了半年|复发了][能治好吗|能断根吗]
""",
    ("指标解读", "病情诊断", 2): """
{person}{index}[偏高|偏低|超标][怎么回事|严重吗]
""",
    ("就医建议", "其他", 4): """
{city}{department}[医生怎么样|几点上班|口碑怎么样]
{city}[治|看]{disease}的医院[怎么样|口碑如何]
""",
    ("功效作用", "注意事项", 3): """
{disease}喝{drink}[有好处吗|有用吗]
{person}喝{herb}水[有好处吗|有用吗]
""",
    ("医疗费用", "就医建议", 2): """
{city}[哪里|哪家医院][做{procedure}|做{test}]便宜
""",
    ("后果表述", "注意事项", 2): """
{food}[和|跟]{drink}[一起吃会中毒吗|同吃有事吗]
""",
}
