"""A plan: what is decided, how, and after how many seeds, written down before there is data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from replicate.verdicts.spending import RHO, spent

Kind = Literal["lowers", "keeps", "raises"]
Pairing = Literal["seed", "none"]
# Row, then its pretrained net, then one score a seed in the order of the plan's seeds; NaN for a seed that gave no
# number. A row that descends from no net stands under each.
Scores = Mapping[str, Mapping[str, Sequence[float]]]
# Intervals are printed with so many digits, and a margin has no more.
DIGITS = 4
# Boundaries are computed for each look.
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Claim:
    """That row `a` lowers, keeps or raises a metric, against row `b`."""

    name: str
    kind: Kind
    a: str
    b: str
    metric: str = "accuracy"


@dataclass(frozen=True)
class Plan:
    """One family of claims, and the rule that decides them.

    Attributes:
        claims: the family. Each gets alpha over their number, so that all words together are wrong at most at alpha.
        margins: for each metric, the difference that counts as none.
        first: seeds at the first look.
        most: seeds at the last look.
        alpha: probability of any false word in the family, at most.
        spending: `power`: up to look n, a level has been spent as (n / most) ** rho.
        rho: its power; the larger, the less is spent early.
        nets: the pretrained nets on which every seed is run: strata.
        pairing: `seed` takes differences of the runs with one seed number; `none` compares two separate samples.

    Raises:
        ValueError: a rule that can't be followed, or a claim without a margin.
    """

    claims: tuple[Claim, ...]
    margins: Mapping[str, float]
    first: int = 5
    most: int = 20
    alpha: float = 0.05
    spending: Literal["power"] = "power"
    rho: float = RHO
    nets: tuple[str, ...] = ("pretrained",)
    pairing: Pairing = "seed"

    def __post_init__(self) -> None:
        names = [claim.name for claim in self.claims]
        if not names or len(set(names)) < len(names):
            raise ValueError("a plan has claims, each with a name of its own")
        if not 3 <= self.first <= self.most <= MOST_SEEDS:
            what = f"looks from {self.first} to {self.most} seeds: the first takes at least 3"
            raise ValueError(f"{what}, the last at most {MOST_SEEDS}")
        if not (0 < self.alpha < 1 and self.rho > 0 and self.spending == "power"):
            raise ValueError(f"alpha {self.alpha}, spending {self.spending} or rho {self.rho} is out of range")
        if not self.nets or len(set(self.nets)) < len(self.nets):
            raise ValueError("a plan has nets, each named once")
        if self.pairing not in get_args(Pairing):
            raise ValueError(f"a pairing is one of {', '.join(get_args(Pairing))}, not {self.pairing!r}")
        for claim in self.claims:
            margin = self.margins.get(claim.metric, 0.0)
            if claim.kind not in get_args(Kind) or claim.a == claim.b:
                raise ValueError(f"claim {claim.name}: a row {', '.join(get_args(Kind))} against another")
            if not 0 < margin < 1 or round(margin, DIGITS) != margin:
                raise ValueError(
                    f"claim {claim.name}: the margin of {claim.metric} needs 1 to {DIGITS} digits: {margin}"
                )

    @property
    def level(self) -> float:
        """What one claim may be wrong at: its interval is one of level 1 - this, over all looks together."""
        return self.alpha / len(self.claims)

    def spent(self, look: int) -> float:
        """How much of a claim's level is spent up to this look."""
        return spent(self.level, look, self.most, self.rho)

    @property
    def digest(self) -> str:
        """SHA-256 of the plan as canonical JSON; the order of the claims makes no difference."""
        fields = asdict(self) | {"claims": sorted((asdict(claim) for claim in self.claims), key=lambda c: c["name"])}
        text = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
