"""What the verdicts say to do: whether to augment, prune, distil or compute less precisely, in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from replicate.common.markdown import anchor, table_of
from replicate.findings.compression import Compressed, compressed_rows
from replicate.findings.evidence import Material
from replicate.records.timing import TimingRecord
from replicate.report.sections import augmentation as report_augmentation
from replicate.report.sections import compression as report_compression
from replicate.tables.profile import Profile
from replicate.tables.table import Step
from replicate.timing.goals import pick
from replicate.timing.pruned import WHOLE, largest, net_name
from replicate.timing.race import speed_up
from replicate.timing.summary import shown_ratio
from replicate.verdicts.equivalence import RatioInterval

NOT_RUN = "**not-run**"
# An answer and the anchor of the section that it sums up; None where a profile has no such rows.
Answer = tuple[str, str] | None


def advice(material: Material) -> list[str]:
    """A table of questions with what the records answer, profile by profile; nothing where no rows ask any."""
    profiles = [one for one in material.profiles if material.same_data(material.tables[0], one)]
    questions: Sequence[tuple[str, Callable[[Material, Profile], Answer]]] = (
        ("Augment?", _augment),
        ("Prune?", _prune),
        ("Distil?", _distil),
    )
    lines = []
    for question, ask in questions:
        answers = [(profile, answer) for profile in profiles if (answer := ask(material, profile))]
        run = [(profile, answer) for profile, answer in answers if answer[0] != NOT_RUN]
        for at, (profile, (words, where)) in enumerate(run or answers[:1]):
            lines.append(["" if at else f"**{question}**", words, f"[`{profile.id}`](#{where})"])
    timed = [line for record in material.timings if (line := _less_precise(record))]
    lines += [["" if at else "**Lower precision instead?**", *line] for at, line in enumerate(timed)]
    if not lines:
        return []
    return [
        "What to do, as far as the verdicts tell, each for the nets and the machine that it was measured with:",
        table_of(["", "answer", "measured in"], lines),
    ]


def _augment(material: Material, profile: Profile) -> Answer:
    """Whether copies with changes help, by the table that tries most ways of them."""
    found = [one for one in report_augmentation.ablations(material) if one.profile == profile and one.ways]
    if not found:
        return None
    most = max(found, key=lambda one: len(one.ways))
    return report_augmentation.in_short(most) or NOT_RUN, anchor(report_augmentation.HEADING)


def _prune(material: Material, profile: Profile) -> Answer:
    return _compress(material, profile, "pruned")


def _distil(material: Material, profile: Profile) -> Answer:
    return _compress(material, profile, "distilled")


def _compress(material: Material, profile: Profile, kind: str) -> Answer:
    """Whether nets made smaller in one way keep their parent's accuracy."""
    rows: list[Compressed] = []
    seen: list[tuple[Step, ...]] = []
    for table in material.tables:
        if table.id in profile.tables and material.same_data(table, profile):
            for one in compressed_rows(material, table, profile):
                # The same stages in two tables are one net.
                if one.kind == kind and (chain := table.chain(one.row.id)) not in seen:
                    seen.append(chain)
                    rows.append(one)
    if not rows:
        return None
    return report_compression.in_short(material, profile, rows) or NOT_RUN, anchor(report_compression.under(profile))


def _less_precise(record: TimingRecord) -> list[str]:
    """What other precisions of the whole net buy beside what pruning buys in fp32, in a record's largest batches."""
    found = next(iter(largest(record)), None)
    if found is None:
        return []
    comparison, whole, (narrowest, row) = found.race, found.whole, found.nets[0]
    kinds = dict.fromkeys(one.precision for one in comparison.contestants if one.precision != "fp32")
    picked = [one for kind in kinds if (one := pick(comparison, replace(WHOLE, precision=kind)))]
    ratios = {
        f"{one.precision} in `{one.runtime}`": speed_up(comparison.seconds, one.label, whole.label)
        for one in picked
        if one.model == whole.model
    }
    if not ratios:
        return []
    pruned = RatioInterval(*row["speed-up"])
    best = max(ratios.values(), key=lambda ratio: ratio.median)
    if best.low > pruned.high:
        word = "More speed than pruning."
    elif best.high < pruned.low:
        word = "Less speed than pruning."
    else:
        word = "Its speed is not told apart from that of pruning."
    named = ", ".join(f"{name} {shown_ratio(ratio)}" for name, ratio in ratios.items())
    words = (
        f"**{word}** Times as fast as the whole {whole.model} in fp32: {named}; {shown_ratio(pruned)} with "
        f"{net_name(comparison, narrowest)} in fp32."
    )
    return [words, f"[`{record.name}`](#{anchor('What pruning buys at inference')})"]
