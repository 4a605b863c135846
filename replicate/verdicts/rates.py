"""How often something happened in simulated trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

# Simulated scores are whole numbers of this many examples, as those of the dev set are.
EXAMPLES = 1955


@dataclass(frozen=True)
class Rate:
    """How often something happened in a number of trials."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        """The share."""
        return self.hits / self.trials

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Exact binomial (Clopper-Pearson) interval of the true share."""
        tail, misses = (1 - level) / 2, self.trials - self.hits
        low = float(special.betaincinv(self.hits, misses + 1, tail)) if self.hits else 0.0
        high = float(special.betaincinv(self.hits + 1, misses, 1 - tail)) if misses else 1.0
        return low, high

    def __str__(self) -> str:
        """The share with its 95 % interval."""
        low, high = self.interval()
        return f"{self.value:.1%} ({low:.1%} to {high:.1%})"


def table_of(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table of what str makes of each value."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (head, ["---"] * len(head), *rows))
