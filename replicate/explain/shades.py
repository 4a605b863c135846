"""A text in parts, each as strongly coloured as it weighs beside the heaviest."""

from __future__ import annotations

import numpy as np

from replicate.explain.explanation import Explanation

# On either side of none.
SHADES = 5


def shade(score: float, largest: float) -> int:
    """Which shade a score has, from -5 to 5, beside the largest one of its text."""
    return round(SHADES * score / largest) if largest > 0 else 0


def coloured(one: Explanation) -> list[tuple[str, int | None]]:
    """The text in parts, each with its shade; None for what is not read, or stands between pieces."""
    largest = float(np.abs(one.scores[:, 0]).max()) if len(one.pieces) else 0.0
    parts: list[tuple[str, int | None]] = []
    text, at = one.pieces.text, 0
    for (begin, end), (score, _) in zip(one.pieces.spans, one.scores, strict=True):
        # Several parts of one unknown word share its place; the first has it.
        if begin < at:
            continue
        if begin > at:
            parts.append((text[at:begin], None))
        parts.append((text[begin:end], shade(float(score), largest)))
        at = end
    return [*parts, (text[at:], None)] if at < len(text) else parts
