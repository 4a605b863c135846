"""How sure the front page's words are."""

from __future__ import annotations

from replicate.findings.answer import Answer
from replicate.findings.method import Method
from replicate.report.blocks import Block, Heading, Items, Link, Prose
from replicate.report.sections.origins import net_facts
from replicate.report.words import STATISTICS, plural


def section_sure(answer: Answer, method: Method, contested: str = "") -> list[Block]:
    """How many false words to expect, what the intervals are about, and what they rest on.

    Args:
        answer: to what.
        method: how it was measured.
        contested: what is known of labels that the nets contest, as a sentence.
    """
    if not method.profiles:
        return []
    families = answer.families
    told: list[Prose] = []
    if families.planned or families.studies:
        told.append(
            f"Words are made in families: {plural(families.planned, 'plan')} and "
            f"{plural(families.studies, 'study').replace('studys', 'studies')}, each with any false word in at most "
            f"{families.alpha:.0%} of cases. So of all words on these pages at most {families.false_words:.2f} are "
            "false on average. One comparison has one word and one interval, wherever it stands."
        )
    decided = answer.decided
    if decided and answer.best.profile:
        most = decided.plan.most * len(decided.plan.nets)
        seeds = sorted(decided.seeds.values())
        span = f"{seeds[0]} to {seeds[-1]}" if seeds[0] != seeds[-1] else str(seeds[0])
        post_hoc = ""
        if decided.post_hoc:
            every = len(decided.post_hoc) == len(decided.verdicts)
            post_hoc = (
                " All of its words are post hoc: no plan was kept before the first seed."
                if every
                else (
                    f" Post hoc, since the plan did not have them before the first seed: "
                    f"{', '.join(f'`{name}`' for name in sorted(decided.post_hoc))}."
                )
            )
        told.append(
            f"`{answer.best.profile.id}` has {span} of up to {most} seeds a row, in {decided.hours:.1f} hours of "
            f"computing.{post_hoc}"
        )
    told += [("Pretrained net ", net_facts(one)) for one in answer.origins if one.digest]
    told.append(
        "Intervals are about other seeds, on this dev set and these pretrained nets; the dev set also chooses the step "
        "that is scored. A claim that was decided early has an estimate that leans outwards: read the interval."
    )
    if contested:
        told.append((f"{contested} ", Link("Which, and what they cost each row", "docs/report/data.md"), "."))
    if sum(one.dirty for runs in method.profiles for one in runs.environments):
        told.append(
            (
                "Some records were made by a checkout with changes that were not committed: ",
                Link("which, and how everything was measured", "docs/report/method.md"),
                ".",
            )
        )
    told.append(("How words are made, and how often each is wrong: ", STATISTICS, "."))
    return [Heading(2, "How sure is this?", "sure"), Items(tuple(told))]
