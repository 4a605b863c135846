"""Contestants timed in turn, and what their seconds say: paired ratios with an interval, and whether they wander."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from replicate.verdicts.equivalence import RatioInterval

# A contestant of this process gives None and is timed around its call; one in a process of its own gives its seconds.
Contestants = Mapping[str, Callable[[], float | None]]
Seconds = Mapping[str, Sequence[float]]
# Interquartile range over median above which a measurement is called unstable.
UNSTABLE = 0.10


def orders(labels: Sequence[str], seed: int = 0) -> Iterator[tuple[str, ...]]:
    """The order of every round, without end: each contestant follows each other one equally often.

    A Williams design (1949) over labels shuffled by the seed: of n labels, n rounds are balanced where n is even, and
    2 n where it is odd. What one contestant leaves in caches and clock rates is then not always borne by the same one.
    """
    shuffled = [labels[i] for i in np.random.default_rng(seed).permutation(len(labels))]
    n = len(shuffled)
    zigzag = [(step + 1) // 2 if step % 2 else (n - step // 2) % n for step in range(n)]
    while True:
        for mirrored in (False, True):
            for shift in range(n):
                order = tuple(shuffled[(place + shift) % n] for place in zigzag)
                yield order[::-1] if mirrored else order


def one_round(contestants: Contestants, order: Sequence[str], pause: float = 0.0) -> dict[str, float]:
    """Seconds of one call of each contestant, in the order given; `pause` seconds are idle before each."""
    seconds = {}
    for label in order:
        time.sleep(pause)
        started = time.perf_counter()
        own = contestants[label]()
        took = time.perf_counter() - started
        seconds[label] = took if own is None else own
    return seconds


def race(
    contestants: Contestants,
    rounds: int,
    warmups: int,
    *,
    seed: int = 0,
    pause: float = 0.0,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, tuple[float, ...]]:
    """Raw seconds of every contestant, one a round; in each round every contestant runs once.

    Args:
        contestants: by label; a call returns when the device is done.
        rounds: that count.
        warmups: rounds before them that don't.
        seed: of the order.
        pause: idle seconds before each call, for the threads of the one before to fall asleep.
        tell: told how many rounds are done, warm-ups included.
    """
    order = orders(tuple(contestants), seed)
    found = []
    for number in range(1, warmups + rounds + 1):
        found.append(one_round(contestants, next(order), pause))
        tell(number)
    return {label: tuple(one[label] for one in found[warmups:]) for label in contestants}


def speed_up(seconds: Seconds, label: str, over: str) -> RatioInterval:
    """How many times as fast `label` is as `over`: the median of the rounds' ratios and its 95 % interval."""
    # SciPy takes a third of a second, which nobody who only wants to know of a race should wait for.
    from replicate.verdicts.equivalence import ratio_interval

    return ratio_interval(seconds[over], seconds[label])


def spread(samples: Sequence[float]) -> float:
    """Interquartile range over median."""
    low, middle, high = np.quantile(samples, [0.25, 0.5, 0.75])
    return float((high - low) / middle)


def unstable(samples: Sequence[float]) -> bool:
    """Whether the samples' interquartile range is over 10 % of their median."""
    return spread(samples) > UNSTABLE
