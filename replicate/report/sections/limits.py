"""One table: how near each stage is to what matrix products alone reach on the same machine."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.findings.limits import NearLimit
from replicate.report.blocks import Block, Cell, Heading, Line, Plain, Table, Text
from replicate.report.sections.timed import mark, ratio_cell
from replicate.report.words import figure
from replicate.timing.limit import shown_rate

_READING = (
    "What a stage's result can't do without, in operations, over its time: as a share of the rate at which the fastest "
    "library here multiplies matrices of the same shapes, in the same rounds and with the same threads. To 1 it lacks "
    "memory, layer norm, dropout, softmax, the optimiser, Python, and the difference between libraries. Of inference "
    "the fastest of this package's runtimes stands here for each precision, with the whole net."
)


def limits(found: Sequence[NearLimit]) -> list[Block]:
    """The table; without records that it has not been measured."""
    blocks: list[Block] = [Heading(2, "How near the limit", "inference-limit")]
    if not found:
        return [
            *blocks,
            Text("**not-run**: no record has matrix products beside its stages; `tox -e timing` makes them."),
        ]
    head = ("stage", "net", "batch × length", "ms", "share of the limit", "limit", "record")
    lines = tuple(
        Line(
            (
                one.what,
                Plain(one.race.shape),
                f"{one.race.batch} × {one.race.length}",
                figure(one.ms, ",.2f"),
                _share(one),
                Cell(shown_rate(one.share.rate), one.share.rate.rate),
                Plain(one.record.name),
            )
        )
        for one in found
    )
    return [*blocks, Text(_READING), Table(head, lines)]


def _share(one: NearLimit) -> Cell:
    cell = ratio_cell(one.share.ratio)
    return Cell(f"{cell.shown}{mark(one.stable)}", cell.value)
