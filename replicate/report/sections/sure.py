"""How sure the front page's words are."""

from __future__ import annotations

from replicate.findings.answer import Answer
from replicate.findings.method import Method
from replicate.report.blocks import Block, Heading, Items, Link, Prose
from replicate.report.words import STATISTICS


def section_sure(answer: Answer, method: Method) -> list[Block]:
    """What the verdicts are corrected for, what their intervals are about, and what they are not."""
    if not method.profiles:
        return []
    level = float(answer.table.statistics.alpha.value)
    environments = [one for runs in method.profiles for one in runs.environments]
    seeds = sorted({len(one.result.records) for runs in method.profiles for one in runs.durations})
    count = f"{seeds[0]} to {seeds[-1]}" if seeds[0] != seeds[-1] else str(seeds[0])
    told: list[Prose] = [
        f"Rows have {count} seeds each, and two rows are compared over the seeds that both have.",
        f"Verdicts on several claims of the source are corrected together (Holm, level {level:g}). The intervals "
        "beside them are not, so one that leaves out 0 can stand beside *not distinguishable*. Each page corrects its "
        "own comparisons, so the same difference can have another word there.",
        "An interval is about other seeds, with the same dev set and the same pretrained net. The dev set also chooses "
        "the step that is scored.",
    ]
    changed = sum(one.dirty for one in environments)
    if changed:
        told.append(
            (
                "Some of the records were made by a checkout with changes that were not committed: ",
                Link("which, and how everything was measured", "docs/report/method.md"),
                ".",
            )
        )
    told.append(("How verdicts are made, and how often each is wrong: ", STATISTICS, "."))
    return [Heading(2, "How sure is this?", "sure"), Items(tuple(told))]
