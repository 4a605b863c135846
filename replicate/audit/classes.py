"""Classes with few texts, and shares that differ from train to dev by more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

# Fewer training texts teach a net little, and fewer dev texts measure nothing.
THIN = 20
_LEVEL = 0.01


@dataclass(frozen=True)
class ClassFacts:
    """One class in train and dev.

    Attributes:
        label: its name.
        train: its training texts.
        dev: its dev texts.
        shares: of all training and of all dev texts.
        shifted: whether the two differ by more than chance (two proportions, level 0.01 over all classes).
        doubted: its texts of both whose label is in doubt.
    """

    label: str
    train: int
    dev: int
    shares: tuple[float, float]
    shifted: bool
    doubted: int

    @property
    def thin(self) -> bool:
        """Whether one of the two has few of it."""
        return min(self.train, self.dev) < THIN


def class_facts(
    names: Sequence[str], train: NDArray[np.int64], dev: NDArray[np.int64], doubted: NDArray[np.int64]
) -> tuple[ClassFacts, ...]:
    """What is known of each class.

    Args:
        names: of the classes.
        train: class of each training text.
        dev: class of each dev text.
        doubted: number of doubted texts of each class.
    """
    of_train, of_dev = (np.bincount(one, minlength=len(names)) for one in (train, dev))
    # Bonferroni's, two-sided.
    critical = NormalDist().inv_cdf(1 - _LEVEL / len(names) / 2)
    return tuple(
        ClassFacts(
            label=name,
            train=int(of_train[at]),
            dev=int(of_dev[at]),
            shares=(float(of_train[at] / len(train)), float(of_dev[at] / len(dev))),
            shifted=abs(_z(int(of_train[at]), len(train), int(of_dev[at]), len(dev))) > critical,
            doubted=int(doubted[at]),
        )
        for at, name in enumerate(names)
    )


def shift(facts: Sequence[ClassFacts]) -> float:
    """Half the sum of the differences of all shares: what part of dev would have to be of other classes."""
    return sum(abs(one.shares[0] - one.shares[1]) for one in facts) / 2


def _z(a: int, of_a: int, b: int, of_b: int) -> float:
    share = (a + b) / (of_a + of_b)
    error = math.sqrt(share * (1 - share) * (1 / of_a + 1 / of_b))
    return (a / of_a - b / of_b) / error if error else 0.0
