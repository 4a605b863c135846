"""What a source prints of a row: figures, the whole numbers behind them, where they stand, and how large the net is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from replicate.scores.metrics import article_scores


@dataclass(frozen=True)
class Published:
    """One published figure: `printed` as its source prints it, `value` as a fraction (or milliseconds)."""

    printed: str
    unit: str
    value: Decimal


@dataclass(frozen=True)
class Counts:
    """Whole numbers behind a row's published figures."""

    examples: int
    correct: int
    tp: int | None = None
    fp: int | None = None
    fn: int | None = None

    def scores(self) -> dict[str, float]:
        """The metrics that these counts determine."""
        if self.tp is None or self.fp is None or self.fn is None:
            return {"accuracy": self.correct / self.examples}
        return article_scores(correct=self.correct, examples=self.examples, tp=self.tp, fp=self.fp, fn=self.fn)


@dataclass(frozen=True)
class RowProvenance:
    """Where in its source a row is printed, the log line or cell it is from, and a remark."""

    section: str
    log: str
    note: str


@dataclass(frozen=True)
class Size:
    """Parameters of a published net: as the recipe gives them here, and as the source's net probably had, and why."""

    parameters: int
    probable: int
    reason: str
