"""Published differences beside ours: what one run could show, and whether it goes with ours."""

from __future__ import annotations

from replicate.findings.originals import FEWEST, Original
from replicate.findings.published import Published
from replicate.report.blocks import Block, Cell, Heading, Line, Plain, Table, Text
from replicate.report.words import bounds, number
from replicate.report.words import difference as shown_difference

# Simonsohn's words: what they saw was out of the reach of one such run, or not.
TELESCOPES = {
    "smaller than it could see": "ours is smaller than one run could see",
    "large enough to see": "ours is large enough for one run to see",
    "not distinguishable": "open",
}


def section_originals(finding: Published) -> list[Block]:
    """The published differences beside ours; nothing where the table claims none, or its rows can't be run."""
    if finding.never or not finding.claims:
        return []
    heading = Heading(2, "Do the printed differences go with ours?", f"originals-{finding.table.id}")
    if not finding.originals:
        return [heading, Text(f"**not-run**: no profile on these data has {FEWEST} seeds of both rows of a claim.")]
    profile = finding.originals[0].profile
    head = (
        "claim",
        "printed",
        "ours (pairs)",
        "one more pair of ours",
        "plausible?",
        "one run shows the printed one in",
        "one run sees a third of the time",
        "small telescope",
        "McNemar's p at our disagreement",
    )
    other = (
        ""
        if profile.comparable
        else (
            f" The net of `{profile.id}` is not the source's: its values can't be compared with printed ones, its "
            "differences and their spread can, as far as both nets behave alike."
        )
    )
    return [
        heading,
        Text(
            f"Differences in accuracy under `{profile.id}`.{other} Plausible: the printed difference lies where one "
            "more pair of our runs would fall (Patil et al., 2016). Power: how often one pair of runs shows the "
            "printed difference, were it true. Small telescope (Simonsohn, 2015): whether ours is smaller than what "
            "one run finds in a third of all cases. McNemar's test is of the printed totals, were the source's rows to "
            "disagree on as many examples as ours do."
        ),
        Table(head, tuple(map(_line, finding.originals))),
    ]


def _line(one: Original) -> Line:
    found, claim = one.found, one.printed.claim
    log = f"; by its log {one.printed.logged:+.4f}" if one.printed.logged is not None else ""
    p = ""
    if one.mcnemar:
        p = f"{one.mcnemar.p:.2g} ({one.disagreement:.1%} apart)"
    return Line(
        (
            Plain(claim.text),
            Cell(f"{found.published:+.4f}{log}", found.published),
            shown_difference(one.result.differences["accuracy"]),
            bounds(found.prediction_interval),
            ("yes" if found.plausible else "**no**") if found.sd else "no spread",
            f"{found.power:.0%} of tries" if found.sd else "",
            f"± {number(found.visible)}",
            TELESCOPES[found.telescope],
            p,
        ),
        (claim.row, claim.against),
        (one.profile.id,),
    )
