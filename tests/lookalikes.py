"""Generated look-alikes of how public sets are published: their file names, columns and quirks, never their texts."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

NAMES = ("天气", "体育, 球类", "音乐/歌", "<b>其他</b>")


def examples(count: int, start: int = 0) -> list[tuple[str, int]]:
    """Texts, each another one, with classes in turn; some have commas and quotation marks."""
    return [(f'第{at}句，说"{NAMES[at % 4][:2]}", 不多', at % 4) for at in range(start, start + count)]


def _json_lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(head: Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([head, *rows] if head else rows)
    return file.getvalue()


def thucnews(folder: Path) -> None:
    """Text, TAB, number; class.txt has the names."""
    for name, start, count in (("train", 0, 40), ("dev", 100, 8), ("test", 200, 8)):
        lines = "".join(f"{text}\t{label}\n" for text, label in examples(count, start))
        (folder / f"{name}.txt").write_text(lines, encoding="utf-8")
    (folder / "class.txt").write_text("".join(f"{name}\n" for name in NAMES), encoding="utf-8")


def cnews(folder: Path) -> None:
    """Label, TAB, text, with a vocabulary beside them."""
    (folder / "cnews.vocab.txt").write_text("<PAD>\n，\n的\n", encoding="utf-8")
    for name, start, count in (("train", 0, 40), ("val", 100, 8), ("test", 200, 8)):
        lines = "".join(f"{NAMES[label]}\t{text}\n" for text, label in examples(count, start))
        (folder / f"cnews.{name}.txt").write_text(lines, encoding="utf-8")


def toutiao(folder: Path) -> None:
    """One file, five fields parted by `_!_`; keywords may be longer than the title."""
    lines = "".join(
        f"65{at}_!_10{label}_!_{NAMES[label]}_!_{text}_!_{'词,' * 30}\n"
        for at, (text, label) in enumerate(examples(48))
    )
    (folder / "toutiao_cat_data.txt").write_text(lines, encoding="utf-8")


def clue_tnews(folder: Path) -> None:
    """JSON Lines with a number, a name of the class and a sentence; the test file has no labels."""
    for name, start, count in (("train", 0, 40), ("dev", 100, 8)):
        rows = [
            {"label": f"10{label}", "label_desc": NAMES[label], "sentence": text, "keywords": ""}
            for text, label in examples(count, start)
        ]
        (folder / f"{name}.json").write_text(_json_lines(rows), encoding="utf-8")
    bare: list[Mapping[str, object]] = [{"id": at, "sentence": text} for at, (text, _) in enumerate(examples(5, 300))]
    (folder / "test.json").write_text(_json_lines(bare), encoding="utf-8")
    (folder / "labels.json").write_text(
        _json_lines([{"label": f"10{at}", "label_desc": name} for at, name in enumerate(NAMES)]), encoding="utf-8"
    )


def iflytek(folder: Path) -> None:
    """JSON Lines with `label_des`; the texts are long."""
    for name, start, count in (("train", 0, 40), ("dev", 100, 8)):
        rows = [
            {"label": str(label), "label_des": NAMES[label], "sentence": text * 40}
            for text, label in examples(count, start)
        ]
        (folder / f"{name}.json").write_text(_json_lines(rows), encoding="utf-8")


def chip_ctc(folder: Path) -> None:
    """Lists of objects, as CBLUE has them."""
    for name, start, count in (("train", 0, 40), ("dev", 100, 8)):
        rows = [
            {"id": f"s{at}", "label": NAMES[label], "text": text}
            for at, (text, label) in enumerate(examples(count, start))
        ]
        text = json.dumps(rows, ensure_ascii=False, indent=2)
        (folder / f"CHIP-CTC_{name}.json").write_text(text, encoding="utf-8")
    (folder / "README.txt").write_text("See the source.\n", encoding="utf-8")


def cblue_qic(folder: Path) -> None:
    """`query` and `label`; the test file's labels are empty, and samples of a submission lie beside it."""
    rows = [{"id": at, "query": text, "label": NAMES[label]} for at, (text, label) in enumerate(examples(48))]
    bare = [{**row, "query": f"{row['query']}吗", "label": ""} for row in rows[:3]]
    for name, found in (("QIC_train", rows), ("QIC_test", bare), ("example_gold", rows[:2]), ("example_pred", bare)):
        (folder / f"{name}.json").write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")


def doccano(folder: Path) -> None:
    """`text` and a list of one label; a text that nobody has labelled yet has an empty one."""
    rows: list[Mapping[str, object]] = [
        {"id": at, "text": text, "label": [NAMES[label]], "Comments": []}
        for at, (text, label) in enumerate(examples(48))
    ]
    rows.append({"id": 99, "text": "还没有标", "label": [], "Comments": []})
    (folder / "admin.jsonl").write_text(_json_lines(rows), encoding="utf-8")


def doccano_data(folder: Path) -> None:
    """The same as it was before: `data` in place of `text`."""
    rows = [{"id": at, "data": text, "label": [NAMES[label]]} for at, (text, label) in enumerate(examples(48))]
    (folder / "all.jsonl").write_text(_json_lines(rows), encoding="utf-8")


def banking77(folder: Path) -> None:
    """CSV with a header, and quoted texts with commas and line breaks; a list of the classes lies beside them."""
    (folder / "categories.json").write_text(json.dumps(NAMES, ensure_ascii=False), encoding="utf-8")
    for name, start, count in (("train", 0, 40), ("test", 200, 8)):
        rows = [(f"{text}\nplease", f"{NAMES[label]}_x") for text, label in examples(count, start)]
        (folder / f"{name}.csv").write_text(_csv(("text", "category"), rows), encoding="utf-8")


def waimai(folder: Path) -> None:
    """CSV with a header, the label first, a BOM, packed."""
    data = _csv(("label", "review"), [(label % 2, text) for text, label in examples(48)]).encode("utf-8-sig")
    (folder / "waimai_10k.csv.gz").write_bytes(gzip.compress(data))


def pandas_tsv(folder: Path) -> None:
    """TAB-separated with an index, a header and quoted cells."""
    rows = [(at, text, NAMES[label]) for at, (text, label) in enumerate(examples(48))]
    (folder / "all.tsv").write_text(_csv(("", "content", "intent"), rows, "\t"), encoding="utf-8")


def fasttext(folder: Path) -> None:
    """`__label__NAME text`."""
    lines = "".join(f"__label__c{label} {text}\n" for text, label in examples(48))
    (folder / "train.txt").write_text(lines, encoding="utf-8")


def hugging_face(folder: Path) -> None:
    """What `datasets` saves: Arrow by part, classes as numbers with their names in the schema."""
    import pyarrow

    features = {"features": {"text": {"dtype": "string"}, "label": {"names": list(NAMES), "_type": "ClassLabel"}}}
    for name, start, count in (("train", 0, 40), ("validation", 100, 8)):
        found = examples(count, start)
        table = pyarrow.table({"text": [text for text, _ in found], "label": [label for _, label in found]})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": features})})
        (folder / name).mkdir()
        path = str(folder / name / "data-00000-of-00001.arrow")
        with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        (folder / name / "dataset_info.json").write_text(json.dumps(features), encoding="utf-8")
        (folder / name / "state.json").write_text("{}", encoding="utf-8")
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}', encoding="utf-8")


# Each with the texts of its parts: train, dev, test, unlabelled. Where there is no dev set, a fifth of 48, 12 a label.
FORMATS: Mapping[str, tuple[Callable[[Path], None], tuple[int, int, int, int]]] = {
    "thucnews": (thucnews, (40, 8, 8, 0)),
    "cnews": (cnews, (40, 8, 8, 0)),
    "toutiao": (toutiao, (40, 8, 0, 0)),
    "clue-tnews": (clue_tnews, (40, 8, 0, 5)),
    "iflytek": (iflytek, (40, 8, 0, 0)),
    "chip-ctc": (chip_ctc, (40, 8, 0, 0)),
    "cblue-qic": (cblue_qic, (40, 8, 0, 3)),
    "doccano": (doccano, (40, 8, 0, 1)),
    "doccano-data": (doccano_data, (40, 8, 0, 0)),
    "banking77": (banking77, (32, 8, 8, 0)),
    "waimai": (waimai, (38, 10, 0, 0)),
    "pandas-tsv": (pandas_tsv, (40, 8, 0, 0)),
    "fasttext": (fasttext, (40, 8, 0, 0)),
    "hugging-face": (hugging_face, (40, 8, 0, 0)),
}
