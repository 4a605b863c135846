"""The front page's answer: whether the main table holds, its claims at a glance, and what to know first."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.findings.answer import Answer, Choice
from replicate.findings.compared import ClaimResult
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Link, Plain, Prose, Runs, Table, Text
from replicate.report.words import NAMES, interval, listed, number, plural, quoted, reason, tally
from replicate.tables.profile import Profile


def section_answer(finding: Answer) -> list[Block]:
    """Whether the main table holds, its claims in one table, and what a reader has to know first."""
    return [
        Text(("Does the table ", quoted(finding.table.title), " hold when it is run again with several seeds?")),
        Text(_answer(finding)),
        *_besides(finding),
        *_glance(finding),
        *_first(finding),
    ]


def _answer(finding: Answer) -> Prose:
    """The verdicts in a paragraph, with what has not been run."""
    verdicts = [verdict.status for *_, verdict in finding.published.verdicts]
    rows = sum(bool(row.published) for row in finding.table.rows)
    profiles = finding.published.comparable
    names = " or ".join(f"`{profile.id}`" for profile in profiles) or "a comparable profile"
    if finding.holds == "not-run":
        answer = "**Not known yet: it has not been run.** "
        answer += f"None of its {plural(rows, 'published row')} has a record under {names}."
        if any(profile.device == "gpu" for profile in profiles):
            answer += " It takes a CUDA GPU; `tox -e replicate` runs it there and writes this page again."
        return answer
    if finding.holds == "yes":
        return f"**Yes.** Each of its {rows} published rows is replicated under {names}."
    lead = "**No, not all of it.**" if finding.holds == "no" else "**Not settled.**"
    return f"{lead} {plural(len(verdicts), 'comparison')} under {names}: {tally(verdicts)}."


def _besides(finding: Answer) -> list[Block]:
    """What the other profiles' records are not."""
    told = [f"`{profile.id}` ({plural(count, 'record')})" for profile, count in finding.besides]
    if not told:
        return []
    what = "answers another question and replicates" if len(told) == 1 else "answer other questions and replicate"
    return [Text(f"{listed(told)} {what} nothing.")]


def _glance(finding: Answer) -> list[Block]:
    """Each claim with the published difference in accuracy and what each profile on the same data shows."""
    if not finding.claims or not finding.columns:
        return []
    lines = []
    for printed, results in finding.claims:
        value = printed.differences.get("accuracy")
        published = Cell("") if value is None else Cell(f"{value:+.4f}, one seed", value)
        about = (printed.claim.row, printed.claim.against)
        lines.append(Line((Plain(printed.claim.text), published, *map(shown_claim, results)), about))
    comparable = finding.published.comparable
    head = ("claim", "published, accuracy", *(_named(profile, comparable) for profile in finding.columns))
    others = [profile for profile in finding.columns if profile not in comparable]
    return [
        Heading(2, "What the source claims, at a glance", "claims"),
        Text(
            (
                "Each claim has the difference in accuracy (interval) and the verdict on all of its metrics. ",
                Link("The reasons", f"#claims-{finding.table.id}"),
                " stand on the page of the article.",
            )
        ),
        Table(head, tuple(lines)),
        *(
            Text(
                (
                    f"`{profile.id}` tests the claims on the same data; what it shows holds for ",
                    reason(profile.reason),
                    " ",
                    Link("Its verdicts in full", f"#claims-{finding.table.id}-{profile.id}"),
                    ".",
                )
            )
            for profile in others
        ),
    ]


def _named(profile: Profile, comparable: Sequence[Profile]) -> str:
    return f"`{profile.id}`" if profile in comparable else f"`{profile.id}`, another net"


def shown_claim(result: ClaimResult) -> Cell:
    """The verdict on a claim, with the difference in accuracy and its pairs where there is one."""
    words = f"**{result.verdict.status}**"
    one = result.differences.get("accuracy")
    if one is None:
        return Cell(words)
    pairs, mean = plural(one.found.n, "pair"), number(one.found.difference, "+.4f")
    ends = f" ({interval(one.found.ci)})" if interval(one.found.ci) else ""
    shown = f"{words}: {mean or 'no score'}{ends}, {pairs}"
    return Cell(shown, one.found.difference if mean else None, Runs(one.by_seed, "+.4f"))


def told_claim(result: ClaimResult) -> Prose:
    """A claim that was shown, with its differences."""
    differences = [
        f"{NAMES[metric]} {number(one.found.difference, '+.4f')} ({interval(one.found.ci)})"
        for metric, one in result.differences.items()
    ]
    return (reason(result.claim.text), f" Shown under `{result.a.profile}`: {', '.join(differences)}.")


def _first(finding: Answer) -> list[Block]:
    """What changes how the figures are read."""
    facts, told = finding.table.dataset, list[Prose]()
    if facts.positive_class and any(row.counts and row.counts.tp is not None for row in finding.table.rows):
        told.append(
            (
                "The F1 that the source prints is that of one class, ",
                Plain(facts.positive_class),
                ", ",
                Link("not of the task", f"#printed-f1-{finding.table.id}"),
                ".",
            )
        )
    told += map(_choice, finding.choices)
    told += map(told_claim, finding.shown)
    impossible = [
        one.claim
        for one in finding.published.claims
        if one.totals and one.totals.significant_up_to is None and one.claim.kind != "keeps"
    ]
    if impossible:
        pairs = listed([f"`{claim.row}` against `{claim.against}`" for claim in impossible])
        told.append(
            f"The source's one seed a row could not have shown its difference of {pairs}, whatever each row got right."
        )
    return [Heading(2, "Things to know first", "first"), Items(tuple(told))] if told else []


def _choice(one: Choice) -> Prose:
    first, second = (NAMES.get(metric, metric) for metric in one.metrics)
    best, of = one.bests
    return (
        f"`{one.row}` keeps the step with the best {first}, `{one.against}` the one with the best {second}, and that "
        f"rule is part of their difference: under `{one.profile}` their best evaluations have an accuracy of "
        f"{number(best)} and {number(of)} (",
        Link("how training went", f"#training-{one.table}-{one.profile}"),
        ").",
    )
