"""Claims under one profile: each with its interval, the word that this allows, and whether the claim holds."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.findings.compared import ClaimResult, Compared
from replicate.findings.decided import Decided
from replicate.records.selection import RULES
from replicate.report.blocks import Block, Cell, Line, Plain, Prose, Table, Text
from replicate.report.words import NAMES, STATISTICS, difference, ends, interval, minus, plural, reason, verdict
from replicate.tables.table import ResultsTable

CHOSEN = {"accuracy": "step by accuracy", "f1": "step by F1 of class 1", "": "last step"}
ANSWERS = {"supported": "yes", "contradicted": "no"}
# Of fewer seeds a study says a word, and answers nothing: its claims were there after the seeds.
FEWEST = 5


def section_claims(found: Compared) -> list[Block]:
    """The plan that decides a table's claims, and what it makes of them."""
    plan = _plan(found.decided) if found.decided and found.has_claims else []
    return [*plan, *claim_verdicts(found.claims, found.table, found.profile)]


def claim_verdicts(results: Sequence[ClaimResult], table: ResultsTable, profile: str) -> list[Block]:
    """Each claim's difference in each metric, and its answer; one line where no claim's rows were run."""
    if not any(result.differences for result in results):
        return [Text(("**not-run**: ", reason(results[0].verdict.reason)))]
    lines = []
    for result in results:
        claim = result.claim
        # That a profile has no such row is no news.
        if not result.differences and not all(table.row(row).runs_under(profile) for row in (claim.row, claim.against)):
            continue
        for place, metric in enumerate(claim.metrics):
            one = result.differences.get(metric)
            judged = one.judged if one and one.judged else result.judged
            names: tuple[Cell | Prose, ...] = ("", "", "")
            if not place:
                names = (Plain(claim.text), _answer(result), minus(result.a, result.b))
            cells = (name_of(metric), difference(one), ends(judged), _word(result, metric))
            lines.append(Line((*names, *cells), (claim.row, claim.against), (profile,)))
    head = ("claim", "does it hold?", "rows", "metric", "difference (pairs)", "interval", "word")
    return [Table(head, tuple(lines)), *_nets(results)]


def name_of(metric: str) -> str:
    """A metric in words, with the rule that chooses its step where one does."""
    if metric in RULES:
        score, chooser = RULES[metric]
        return f"{NAMES[score]}, {CHOSEN[chooser]}"
    return NAMES[metric]


def _answer(result: ClaimResult) -> str:
    """Whether the claim holds; a study has no answer from a handful of seeds."""
    status, judged = result.verdict.status, result.judged
    if judged.rule != "study" or status not in ANSWERS:
        return f"**{ANSWERS.get(status, status)}**"
    if judged.pairs < FEWEST:
        return f"**undecided** ({plural(judged.pairs, 'seed')}, unplanned)"
    return f"**{ANSWERS[status]}** (unplanned)"


def _word(result: ClaimResult, metric: str) -> Prose:
    one = result.differences.get(metric)
    if one is None or one.judged is None:
        return ("**not-run**: ", Plain(result.verdict.reason)) if metric == result.claim.metrics[0] else ""
    return verdict(one.judged)


def _plan(found: Decided) -> list[Block]:
    """What was fixed before the seeds, or that nothing was."""
    plan, nets = found.plan, len(found.plan.nets)
    margins = ", ".join(
        f"{margin:g} in {name_of(metric)}" for metric, margin in plan.margins.items() if metric in NAMES
    )
    on = f" on {plural(nets, 'pretrained net')}" if nets > 1 else ""
    looks = f"looks after {plan.first * nets} to {plan.most * nets} seeds"
    if plan.first == plan.most:
        looks = f"one look, after {plan.most * nets} seeds"
    words = (
        f"A plan decides {plural(len(plan.claims), 'claim')} of this table together: {looks}{on}, any false word in at "
        f"most {plan.alpha:.0%} of such plans; a difference within the margin ({margins}) is none. A claim is decided "
        "at the first look whose interval allows it, and then stays so; estimates after an early stop lean outwards, "
        "so read the interval. "
    )
    if len(found.post_hoc) == len(plan.claims):
        words += "No plan was kept before the first seed here, so every word is `post hoc`. "
    elif found.post_hoc:
        words += "Claims that came later are marked `post hoc`. "
    return [Text((words, STATISTICS, "."))]


def _nets(results: Sequence[ClaimResult]) -> list[Block]:
    """Each pretrained net by itself, where there are several."""
    told = [result for result in results if result.judged.nets]
    if not told:
        return []
    names = list(told[0].judged.nets)
    lines = tuple(
        Line(
            (
                Plain(one.claim.text),
                minus(one.a, one.b),
                ends(one.judged),
                *(interval(one.judged.nets[name]) for name in names),
            ),
            (one.claim.row, one.claim.against),
            (one.a.profile,),
        )
        for one in told
    )
    return [
        Text("Each pretrained net by itself, at the same level; the word is that of all together:"),
        Table(("claim", "rows", "together", *names), lines),
    ]
