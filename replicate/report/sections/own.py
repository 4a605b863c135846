"""The front page of a report on somebody's own data: which row is the best, and what the claims come to."""

from __future__ import annotations

from replicate.findings.own import Best, OwnAnswer
from replicate.report.blocks import Block, Heading, Items, Line, Plain, Prose, Table, Text
from replicate.report.sections.answer import shown_claim, told_claim
from replicate.report.words import mean_sd, named, number, plural


def section_own_answer(finding: OwnAnswer) -> list[Block]:
    """What the scores are of, the best row under each profile, and the claims."""
    facts = finding.facts
    f1: Prose = ""
    if facts.positive_class:
        f1 = (
            " F1 of class 1 is that of ",
            Plain(facts.positive_class),
            ", the second label, which counts as predicted where its probability is over one half, as in the article; "
            "macro-F1 is of all labels.",
        )
    counted = f"{plural(facts.examples, 'dev example')}, {plural(finding.records, 'record')}."
    return [
        Text(
            (
                f"{counted} Every score is of the dev set, which also chooses the step that is kept.",
                f1,
                " Nothing here is compared with a published value.",
            )
        ),
        *(Text(_best(one)) for one in finding.best),
        *_claims(finding),
        *([Items(tuple(map(told_claim, finding.shown)))] if finding.shown else []),
    ]


def _best(one: Best) -> Prose:
    if one.row is None:
        return f"Under `{one.profile.id}` no row gave a score."
    score = f"**{mean_sd(*one.row.summary('accuracy'))}** (macro-F1 {number(one.row.summary('macro_f1')[0])})"
    baseline: Prose = ""
    if one.baseline:
        baseline = ("; the linear baseline ", named(one.baseline), f" has {mean_sd(*one.baseline.summary('accuracy'))}")
    return (
        f"Under `{one.profile.id}` the highest mean accuracy is that of ",
        named(one.row),
        f": {score}",
        baseline,
        ". The highest of several means is partly luck; the differences on the page of the profile say more.",
    )


def _claims(finding: OwnAnswer) -> list[Block]:
    """What the main table's claims, made of other data, come to on these."""
    if not finding.claims:
        return []
    profiles = [one.profile.id for one in finding.best]
    lines = tuple(
        Line((Plain(claim.text), *map(shown_claim, results)), (claim.row, claim.against))
        for claim, results in finding.claims
    )
    return [
        Heading(2, "What the article's claims come to on these data", "claims"),
        Text("The article makes them of its rows on other data. Each has the difference in accuracy (interval):"),
        Table(("claim", *(f"`{name}`" for name in profiles)), lines),
    ]
