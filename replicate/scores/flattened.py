"""Scores that take each yes/no decision on a label for an example, and what they say of the labels themselves.

With C labels a text has C decisions, of which one is yes. Of all of them micro-F1 over both answers is plain accuracy,
so whoever always says no is right in (C - 1) / C of them. Macro-F1 is the mean of the F1 of yes and that of no.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Decisions:
    """What a net says yes to.

    Attributes:
        right: share of the texts whose own label it says yes to.
        wrong: other labels that it says yes to, a text.
    """

    right: float
    wrong: float

    def scores(self, classes: int) -> tuple[float, float]:
        """Micro-F1 and macro-F1 over all decisions of texts with one of so many labels each."""
        errors, quiet = 1 - self.right + self.wrong, classes - 1 - self.wrong
        yes = 2 * self.right / (2 * self.right + errors) if self.right or errors else 0.0
        return 1 - errors / classes, (yes + 2 * quiet / (2 * quiet + errors)) / 2


def decisions_of(micro: float, macro: float, classes: int) -> Decisions | None:
    """The decisions that give both scores; None where none do.

    Args:
        micro: F1 over all decisions, from 0 to 1.
        macro: mean F1 of yes and no.
        classes: labels, of which each text has one.
    """
    errors = classes * (1 - micro)
    # With so many errors, more right answers mean more wrong ones too, and a higher F1 of yes.
    low, high = max(0.0, 1 - errors), min(1.0, classes - errors)
    if not low <= high:
        return None

    def of(right: float) -> Decisions:
        return Decisions(right, errors - 1 + right)

    if not of(low).scores(classes)[1] - 1e-9 <= macro <= of(high).scores(classes)[1] + 1e-9:
        return None
    if macro >= 1:
        return of(high)
    # With x = 2 right + errors, what is in the denominators is x of yes and 2 C - x of no, so 1 - macro is
    # errors C / (x (2 C - x)): a quadratic, whose smaller root is where yes is the rarer answer.
    product = errors * classes / (1 - macro)
    x = classes - math.sqrt(max(0.0, classes * classes - product))
    return of(min(max((x - errors) / 2, low), high))
