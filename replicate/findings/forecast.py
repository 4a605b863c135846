"""What to expect of a plan before it is run: how often a claim would be decided, after how many seeds and hours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from replicate.findings.rounds import Study
from replicate.records.run import Record
from replicate.records.selection import plain_metric, score_of
from replicate.tables.profile import Profile
from replicate.verdicts.plan import Claim
from replicate.verdicts.sequential_rates import expected

# Where a profile has no records of its own: the same rows, many of them, on a CPU.
ELSEWHERE = "exploratory"
# Of a seed's difference where no record tells: that of most pairs of rows under `exploratory`.
ASSUMED_SD = 0.008
# A spread takes three differences.
FEWEST = 3
SECONDS_AN_HOUR = 3600
WORLDS = ("no difference", "as published", "as measured")


@dataclass(frozen=True)
class Spread:
    """How a seed's difference scatters, and what its mean was.

    Attributes:
        sd: of one seed's difference, on one net.
        mean: NaN where nothing is known.
        seeds: that both rows have; 0 where nothing is known and `sd` is an assumption.
        profile: whose records they are.
    """

    sd: float
    mean: float
    seeds: int
    profile: str


@dataclass(frozen=True)
class Chance:
    """The share of studies that decide a claim whose true difference is this, and their mean number of seeds in all."""

    difference: float
    decided: float
    seeds: float


@dataclass(frozen=True)
class ClaimForecast:
    """One claim: its spread, and by world its chance; a world is left out where it says nothing of the claim."""

    claim: Claim
    spread: Spread
    chances: Mapping[str, Chance]


@dataclass(frozen=True)
class Hours:
    """What the runs of a study take, each stage once.

    Attributes:
        by_world: by world, where it says something of a claim.
        most: up to the last look.
        net: for each pretrained net that isn't there yet; 0 where nothing is pretrained.
        profile: whose records tell.
    """

    by_world: Mapping[str, float]
    most: float
    net: float
    profile: str


@dataclass(frozen=True)
class Forecast:
    """What to expect of a study; `hours` is None where no record tells."""

    study: Study
    claims: tuple[ClaimForecast, ...]
    hours: Hours | None


def forecast(
    study: Study, profile: Profile, own: Sequence[Record], others: Sequence[Record], published: bool
) -> Forecast:
    """What to expect of a study.

    Args:
        study: the study.
        profile: that it is run under.
        own: records of the same data.
        others: of whatever data; those of `ELSEWHERE` are taken where the profile has none of a row.
        published: whether the table's published values are about these data.
    """
    claims = tuple(_claim(study, claim, profile, own, others, published) for claim in study.claims)
    return Forecast(study, claims, _hours(study, claims, profile, own, others))


def _claim(
    study: Study, claim: Claim, profile: Profile, own: Sequence[Record], others: Sequence[Record], published: bool
) -> ClaimForecast:
    spread = _spread(study, claim, _of(study, profile.id, own), profile.id)
    spread = spread or _spread(study, claim, _of(study, ELSEWHERE, others), ELSEWHERE)
    spread = spread or Spread(ASSUMED_SD, math.nan, 0, "")
    rows, metric = [study.table.row(row) for row in (claim.a, claim.b)], plain_metric(claim.metric)
    differences = {WORLDS[0]: 0.0, WORLDS[2]: spread.mean}
    # A published value is of the step that the source chose.
    if published and metric == claim.metric and all(metric in row.published for row in rows):
        differences[WORLDS[1]] = float(rows[0].published[metric].value - rows[1].published[metric].value)
    nets = len(study.plan.nets)
    chances = {}
    for world in WORLDS:
        if math.isfinite(difference := differences.get(world, math.nan)):
            decided, looks = expected(study.plan, claim, difference, spread.sd / math.sqrt(nets))
            chances[world] = Chance(difference, decided, looks * nets)
    return ClaimForecast(claim, spread, chances)


def _spread(study: Study, claim: Claim, records: Sequence[Record], profile: str) -> Spread | None:
    """From the seeds that both rows have, within each net; None where they are too few."""
    scores = {(one.row, one.seed): score_of(one, claim.metric) for one in records}
    # A row that descends from no net stands beside one that does.
    nets = {one.seed: one.pretrained for one in records if one.row in (claim.a, claim.b) and one.pretrained}
    pairs: dict[str, list[tuple[float, float]]] = {}
    for seed in sorted({one.seed for one in records}):
        pair = scores.get((claim.a, seed), math.nan), scores.get((claim.b, seed), math.nan)
        if all(map(math.isfinite, pair)):
            pairs.setdefault(nets.get(seed, ""), []).append(pair)
    blocks = [np.array(one) for one in pairs.values() if len(one) > 1]
    seeds = sum(map(len, blocks))
    if seeds - len(blocks) < FEWEST - 1:
        return None
    differences = np.concatenate([one[:, 0] - one[:, 1] for one in blocks])
    of_each = [one[:, :1] - one[:, 1:] if study.plan.pairing == "seed" else one for one in blocks]
    # Of two separate samples the variances add up.
    squares = sum(float(((one - one.mean(axis=0)) ** 2).sum()) for one in of_each)
    return Spread(math.sqrt(squares / (seeds - len(blocks))), float(differences.mean()), seeds, profile)


def _hours(
    study: Study, claims: Sequence[ClaimForecast], profile: Profile, own: Sequence[Record], others: Sequence[Record]
) -> Hours | None:
    for name, records in ((profile.id, own), (ELSEWHERE, others)):
        of_device = [one for one in _of(study, name, records) if one.device["kind"] == profile.device]
        found = _hours_from(study, claims, of_device, name, pretrains=profile.model is None)
        if found:
            return found
    return None


def _hours_from(
    study: Study, claims: Sequence[ClaimForecast], records: Sequence[Record], profile: str, pretrains: bool
) -> Hours | None:
    runs = {(one.row, one.seed): one for one in records if one.status == "ok"}
    # A seed of fewer rows takes less, but what they share takes as long.
    seeds = [seed for seed in {one.seed for one in records} if all((row, seed) in runs for row in study.rows)]
    if not seeds:
        return None

    def seconds(rows: Iterable[str]) -> float:
        """Of one seed of these rows, each stage once; what all seeds share is divided among them."""
        stages = (stage for row in rows for seed in seeds for stage in runs[row, seed].stages)
        of_key = {stage["key"]: float(stage["seconds"]) for stage in stages if stage["stage"] != "pretrain"}
        return sum(of_key.values()) / len(seeds)

    def total(of_row: Mapping[str, float]) -> float:
        """Hours of so many seeds of each row."""
        rows, found, done = sorted(of_row, key=lambda row: of_row[row]), 0.0, 0.0
        for place, row in enumerate(rows):
            found += (of_row[row] - done) * seconds(rows[place:])
            done = of_row[row]
        return found / SECONDS_AN_HOUR

    by_world = {}
    for world in WORLDS:
        of_row: dict[str, float] = {}
        for one in claims:
            for row in (one.claim.a, one.claim.b):
                if world in one.chances:
                    of_row[row] = max(of_row.get(row, 0.0), one.chances[world].seeds)
        if of_row:
            by_world[world] = total(of_row)
    nets = {
        stage["key"]: float(stage["seconds"])
        for one in runs.values()
        for stage in one.stages
        if stage["stage"] == "pretrain"
    }
    net = sum(nets.values()) / len(nets) / SECONDS_AN_HOUR if nets and pretrains else 0.0
    most = study.plan.most * len(study.plan.nets)
    return Hours(by_world, total(dict.fromkeys(study.rows, float(most))), net, profile)


def _of(study: Study, profile: str, records: Iterable[Record]) -> list[Record]:
    """Records of the study's rows under a profile, whatever their seed."""
    return [one for one in records if (one.table, one.profile) == (study.table.id, profile) and one.row in study.rows]
