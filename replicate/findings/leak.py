"""Pruning with and without the gradients that PaddleNLP leaks into its first step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replicate.findings.compressed import Compressed
from replicate.stages.prune.options import PruneOptions

# PaddleNLP's first step applies the gradients that importance was computed from: those of dev examples' labels.
LEAKS = "paddlenlp"
KIND = "pruned"


@dataclass(frozen=True)
class Pruned:
    """A pruned row and the engine that made it."""

    engine: str
    width: str
    row: Compressed

    @property
    def leaks(self) -> bool:
        """Whether it trained on gradients of dev labels."""
        return self.engine == LEAKS


def pruned_rows(rows: Iterable[Compressed]) -> tuple[Pruned, ...]:
    """The pruned rows that are no controls, by width; those without a leak first, our own engine before PaddleNLP's."""
    found = []
    for row in rows:
        options = row.made.options
        # A row that takes importance from training examples, or whole layers, is there to explain the others.
        if row.kind == KIND and not row.is_control and not {"importance", "depth"} & set(options):
            engine = str(options.get("engine", PruneOptions.engine))
            found.append(Pruned(engine, str(options["width"]), row))
    return tuple(sorted(found, key=lambda one: (one.leaks, one.engine, one.width)))
