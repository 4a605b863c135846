"""What decided a label: a score for each piece of the text, for the best label and against the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from replicate.explain.pieces import Pieces

METHODS = ("occlusion", "ig", "gradient")
# Decimals of what is shown: more would tell nothing, and differ from one machine to the next.
_PLACES = 4


class Method(Protocol):
    """Gives each piece of a text a score."""

    def __call__(self, pieces: Pieces, best: int, second: int) -> NDArray[np.float64]:
        """Scores [pieces, 2]: what each piece adds to the logit of `best`, and to its lead over `second`."""
        ...


@dataclass(frozen=True)
class Explanation:
    """Why a text has its label.

    Attributes:
        pieces: what the net reads.
        labels: the best label and the second; none where the text has nothing to read.
        probabilities: of the two.
        scores: [pieces, 2]: what each piece adds to the logit of the best label, and to its lead over the second, which
            is why this and not that. Logits are attributed, since probabilities near 1 hide what decided them.
        method: one of `METHODS`.
    """

    pieces: Pieces
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    scores: NDArray[np.float64]
    method: str

    def to_json(self) -> dict[str, Any]:
        """As `replicate explain --json` and the service give it."""
        text = self.pieces.text
        return {
            "text": text,
            "method": self.method,
            "labels": [
                {"label": label, "probability": round(probability, _PLACES)}
                for label, probability in zip(self.labels, self.probabilities, strict=True)
            ],
            "pieces": [
                {
                    "text": text[begin:end],
                    "begin": begin,
                    "end": end,
                    "score": round(float(score), _PLACES),
                    "against_second": round(float(lead), _PLACES),
                }
                for (begin, end), (score, lead) in zip(self.pieces.spans, self.scores, strict=True)
            ],
            "truncated": self.pieces.truncated,
        }
