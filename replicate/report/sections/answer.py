"""The front page's answer: whether the article's claims hold, and three things to know before anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence

from replicate.findings.answer import Answer, Asked
from replicate.findings.compared import ClaimResult
from replicate.findings.judged import Judged
from replicate.findings.leak import Pruned
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Link, Plain, Prose, Runs, Table, Text
from replicate.report.words import NAMES, interval, listed, number, plural, reason
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable

# From which power on one run is said to be able to show a difference.
LIKELY, HARDLY = 0.8, 0.5
NOT_YET = "**not run yet**"
_ANSWERS = {"supported": "**YES**", "contradicted": "**NO**", "undecided": "**UNDECIDED**"}
_HELD = {
    "supported": ("holds", "hold"),
    "contradicted": ("doesn't", "don't"),
    "undecided": ("is undecided", "are undecided"),
}
_WORDS = {
    "above": "above",
    "below": "below",
    "no difference": "no difference",
    "not worse": "not worse",
}


def section_answer(finding: Answer) -> list[Block]:
    """Whether the article's claims hold, and what a reader has to know first."""
    return [*_state(finding), *_claims(finding), *_first(finding)]


def _state(finding: Answer) -> list[Block]:
    """In a paragraph: what was tested, on which net, and what has not been."""
    best = finding.best
    words: list[Prose] = []
    if best.profile and best.tests:
        held: list[str] = [one.result.verdict.status for one in finding.claims if one.result]
        told = [
            f"{held.count(status)} {one if held.count(status) == 1 else several}"
            for status, (one, several) in _HELD.items()
            if held.count(status)
        ]
        if missing := len(finding.claims) - len(held):
            told.append(f"{missing} {'has' if missing == 1 else 'have'} not been run")
        words.append(f"**Of the article's {plural(len(finding.claims), 'claim')}, {listed(told)}**, tested ")
        if best.profile.comparable:
            words.append(f"on the article's own net (`{best.profile.id}`).")
        else:
            words += [f"on the same data (`{best.profile.id}`) with ", reason(best.profile.reason)]
        if best.waiting:
            words.append(f" {_waiting(best.waiting)}")
    else:
        where = f" {_waiting(best.waiting)}" if best.waiting else ""
        words.append(f"**Not known yet.** The article's claims have not been tested.{where}")
        if best.profile:
            words.append(
                f" What there is are exploratory runs (`{best.profile.id}`): few seeds, looked at before there was a "
                "plan. Ideas come from them, and no answer."
            )
    return [Text(tuple(words))]


def _waiting(profiles: Sequence[Profile]) -> str:
    """The profiles that have not been run, and what would run them."""
    own = "The article's own net"
    return " ".join(
        f"{own if one.comparable else 'A smaller net'} has not been run yet (`{one.id}`: "
        + ("needs a CUDA GPU, `tox -e replicate`)." if one.device == "gpu" else f"`tox -e {one.id}`).")
        for one in profiles
    )


def _claims(finding: Answer) -> list[Block]:
    """Each claim with what it printed, whether one run could show it, our runs, and the answer."""
    if not finding.claims:
        return []
    lines = tuple(
        Line(
            (
                Plain(one.printed.claim.text),
                _printed(one),
                _could(one),
                _ours(one, finding),
                _answer(one, finding),
            ),
            (one.printed.claim.row, one.printed.claim.against),
            (finding.best.profile.id,) if finding.best.profile else (),
        )
        for one in finding.claims
    )
    head = ("the article says", "it printed, one run each", "could one run show it?", "our runs", "does it hold?")
    margin = finding.decided.plan.margins.get("accuracy") if finding.decided else None
    examples = finding.table.dataset.examples
    within = ""
    if margin:
        within = f" Less than {margin:g}, {margin * examples:.0f} of {examples:,}, counts as no difference."
    where = f"#claims-{finding.table.id}"
    if finding.best.profile and not finding.best.profile.comparable:
        where += f"-{finding.best.profile.id}"
    return [
        Table(head, lines),
        Text(
            (
                "Differences in accuracy, which decides; in brackets the interval in which the true one lies, as far "
                f"as these runs tell.{within} ",
                Link("F1, each net by itself, and the rule", where),
                "; ",
                Link("whether the printed figures go with ours", f"#originals-{finding.table.id}"),
                ".",
            )
        ),
    ]


def _printed(one: Asked) -> Prose:
    """The published difference in examples, where the totals are known, and by the source's own log."""
    printed = one.printed
    value = printed.differences.get("accuracy")
    if printed.totals is None:
        return "" if value is None else f"{value:+.4f}"
    log = f" (by its log {_more(printed.logged_examples)})" if printed.logged_examples is not None else ""
    return f"{_more(printed.totals.difference)} of {printed.totals.examples:,} right{log}"


def _more(examples: int) -> str:
    return f"{abs(examples)} {'more' if examples > 0 else 'fewer'}" if examples else "as many"


def _could(one: Asked) -> str:
    """Whether one run could have shown the claim."""
    if one.printed.claim.kind == "keeps":
        return "no: one run can't show that nothing is lost"
    if one.original is None or not math.isfinite(one.original.found.power):
        return "not known yet"
    power = one.original.found.power
    lead = "yes" if power >= LIKELY else "hardly" if power >= HARDLY else "no"
    return f"{lead}: {100 * power:.0f} of 100 such runs would"


def _ours(one: Asked, finding: Answer) -> Cell:
    """Our difference with its interval and seeds."""
    if one.result is None:
        return Cell("-")
    judged, nets = one.result.judged, len({record.pretrained for record in one.result.a.records} - {""})
    seeds = _seeds(judged.pairs or len(one.result.differences["accuracy"].seeds), nets)
    lead = "" if finding.best.tests else "exploratory: "
    runs = Runs(one.result.differences["accuracy"].by_seed, "+.4f")
    value = judged.difference if math.isfinite(judged.difference) else None
    return Cell(f"{lead}{_figures(judged)}, {seeds}", value, runs if runs.scores else None)


def _seeds(pairs: int, nets: int) -> str:
    return plural(pairs, "seed") + (f" on {nets} nets" if nets > 1 else "")


def _figures(judged: Judged) -> str:
    ends = f" ({interval(judged.interval)})" if judged.has_interval else ""
    return f"{number(judged.difference, '+.4f') or 'no score'}{ends}"


def _answer(one: Asked, finding: Answer) -> Prose:
    """The word for the claim; none from figures that are only exploratory."""
    if one.result is None or not finding.best.tests:
        return NOT_YET
    judged = one.result.judged
    words = [_WORDS[judged.word]] if judged.word in _WORDS and one.result.verdict.status != "undecided" else []
    words += [judged.reason] if judged.reason else []
    words += ["post hoc"] if judged.rule == "post hoc" else []
    leaking = {(row.row.table.id, row.row.row.id) for row in finding.pruned if row.leaks}
    if one.result.verdict.status == "supported" and (finding.table.id, one.printed.claim.row) in leaking:
        words.append("but see the leak below")
    return (_ANSWERS[one.result.verdict.status], Plain(f": {', '.join(words)}" if words else ""))


def _first(finding: Answer) -> list[Block]:
    """What changes how the figures are read."""
    told: list[Prose] = [
        *_one_class(finding),
        *_leak(finding),
        *_larger(finding.table),
        *(_rule(one, finding) for one in finding.ruled[:1]),
    ]
    if not finding.ruled:
        told += [_unruled(one) for one in finding.selects[:1]]
    if not told:
        return []
    return [Heading(2, "Things to know first", "first"), Items(tuple(told))]


def _one_class(finding: Answer) -> list[Prose]:
    facts = finding.table.dataset
    if not (facts.positive_class and any(row.counts and row.counts.tp is not None for row in finding.table.rows)):
        return []
    return [
        (
            "The F1 that the article prints is that of one class, ",
            Plain(facts.positive_class),
            ", ",
            Link("not of the task", f"#printed-f1-{finding.table.id}"),
            ".",
        )
    ]


def _larger(table: ResultsTable) -> list[Prose]:
    """That published nets were probably larger than what their recipes give here."""
    sizes = [(row, row.size) for row in table.rows if row.size]
    if not sizes:
        return []
    told = [f"`{row.id}` with {size.probable:,} parameters ({size.parameters:,})" for row, size in sizes]
    lead = "The published pruned nets were probably larger than what their recipes give now (in brackets)"
    return [(f"{lead}: {listed(told)}. ", reason(sizes[0][1].reason))]


def _leak(finding: Answer) -> list[Prose]:
    """That PaddleNLP's pruning trains on gradients of dev labels, and what is left without them."""
    leaking = [one for one in finding.pruned if one.leaks]
    clean = [one for one in finding.pruned if not one.leaks]
    if not clean or finding.pruning is None:
        return []
    with_words = finding.pruning_tests
    widths = dict.fromkeys(one.width for one in finding.pruned)
    told = []
    for width in widths:
        leaks, free = ([one for one in rows if one.width == width] for rows in (leaking, clean))
        parts = [f"{listed([_mean(one, with_words) for one in leaks])} with it"] if leaks else []
        parts += [f"{listed([_mean(one, with_words) for one in free])} without"] if free else []
        told.append(f"width {width} {', '.join(parts)}")
    exploratory = "" if with_words else " (exploratory, no verdict)"
    gains = [any(one.row.judged.word == "above" for one in rows) for rows in (leaking, clean)]
    explained = (
        "PaddleNLP's pruning, the article's, has a leak: its first step learns from the labels of the very examples "
        f"that it is scored on. Accuracy over the net that was pruned{exploratory}: {'; '.join(told)}. "
        + ("A gain is shown with the leak only. " if with_words and gains == [True, False] else "")
    )
    return [(explained, Link("The intervals", f"#compression-{finding.pruning.id}"), ".")]


def _mean(one: Pruned, with_words: bool) -> str:
    """A pruned row's difference to its parent, the engine where it has no leak, and the word where there is one."""
    engine = {"native": "our engine"}.get(one.engine, "" if one.leaks else "PaddleNLP's, mended")
    beside = ", ".join(filter(None, (engine, one.row.judged.word if with_words else "")))
    return f"{number(one.row.judged.difference, '+.4f')}{f' ({beside})' if beside else ''}"


def _rule(result: ClaimResult, finding: Answer) -> Prose:
    """What is left of a difference where one rule chooses the step of both rows."""
    judged, claim = result.judged, result.claim
    lead, word = ("", f", **{judged.word}**") if finding.best.tests else (" (exploratory)", "")
    figures = f"{lead}: {_figures(judged)}{word}" if judged.pairs else ": not run yet"
    return (
        f"The article keeps the step of `{claim.row}` by F1 and that of `{claim.against}` by accuracy, and the rule is "
        f"part of the difference. Both by accuracy{figures}.",
    )


def _unruled(one: tuple[str, str, str, str]) -> Prose:
    row, mine, against, other = one
    return (
        f"`{row}` keeps the step with the best {NAMES[mine]}, `{against}` the one with the best {NAMES[other]}: that "
        "rule is part of their difference."
    )
