"""Seeds on the pretrained nets that they descend from: which belongs to which, and the scores of each in order.

With N nets, seed 1 descends from net 0, seed 2 from net 1, and so on round. The first seed of each net has place 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from replicate.common.errors import UserError
from replicate.records.run import Record
from replicate.records.selection import score_of
from replicate.verdicts.plan import Plan, Scores


def net_of(seed: int, nets: int) -> int:
    """Which of so many nets a seed descends from, from 0."""
    return (seed - 1) % nets


def seed_at(place: int, net: int, nets: int) -> int:
    """The seed at a place, from 1, on a net, from 0."""
    return (place - 1) * nets + net + 1


def member_seeds(seed: int, members: int, nets: int) -> tuple[int, ...]:
    """The seeds that an ensemble of so many members takes: other ones for each seed, and all on the seed's own net.

    On one net, seed s takes members (s - 1) + 1 … members s: with three members 1, 2, 3, then 4, 5, 6.

    Raises:
        UserError: there is no seed before the first.
    """
    if seed < 1:
        raise UserError(f"seed {seed} has no members", hint="ensembles count their seeds from 1")
    place = (seed - 1) // nets
    return tuple(seed_at(members * place + number, net_of(seed, nets), nets) for number in range(1, members + 1))


def net_names(nets: int) -> tuple[str, ...]:
    """What a plan calls its nets."""
    return tuple(f"net-{net}" for net in range(nets))


def of_plan(plan: Plan, table: str, profile: str, records: Iterable[Record]) -> list[Record]:
    """Those of the records that a table's plan under a profile is about: of its rows, with its seeds."""
    rows = {row for claim in plan.claims for row in (claim.a, claim.b)}
    return [
        one
        for one in records
        if (one.table, one.profile) == (table, profile)
        and one.row in rows
        and 1 <= one.seed <= plan.most * len(plan.nets)
    ]


def scores_of(plan: Plan, records: Iterable[Record], metrics: Sequence[str] = ()) -> Mapping[str, Scores]:
    """By metric, row and net, the scores in order of place; NaN where a run failed or diverged.

    Only an unbroken run of places from the first counts, and none beyond the plan's last.

    Args:
        plan: gives rows, nets and metrics.
        records: of one table and profile, of any rows.
        metrics: besides those that the plan's claims are about.

    Raises:
        UserError: the seeds of one net descend from different ones, or those of two nets from one; names both files.
    """
    rows = {row for claim in plan.claims for row in (claim.a, claim.b)}
    by_place = {(one.row, one.seed): one for one in records if one.row in rows}
    nets_of(plan, by_place.values())
    wanted = dict.fromkeys([*(claim.metric for claim in plan.claims), *metrics])
    found: dict[str, dict[str, dict[str, list[float]]]] = {metric: {row: {} for row in rows} for metric in wanted}
    for row in rows:
        for index, net in enumerate(plan.nets):
            prefix = []
            for place in range(1, plan.most + 1):
                record = by_place.get((row, seed_at(place, index, len(plan.nets))))
                if record is None:
                    break
                prefix.append(record)
            for metric in wanted:
                found[metric][row][net] = [score_of(record, metric) for record in prefix]
    return found


def nets_of(plan: Plan, records: Iterable[Record]) -> Mapping[str, str]:
    """By the plan's name, the digest of each net that some record descends from.

    Raises:
        UserError: as `scores_of`.
    """
    first: dict[str, Record] = {}
    by_digest: dict[str, tuple[str, Record]] = {}
    for record in sorted(records, key=lambda one: (one.seed, one.row)):
        if not record.pretrained or record.seed < 1:
            continue
        net = plan.nets[net_of(record.seed, len(plan.nets))]
        other = first.setdefault(net, record)
        if other.pretrained != record.pretrained:
            what = f"made with another pretrained net than {other.place}, and both seeds belong to {net}"
            raise UserError(what, path=record.place, hint="remove one of them, or run it again")
        name, other = by_digest.setdefault(record.pretrained, (net, record))
        if name != net:
            what = f"belongs to {net}, but was made with the pretrained net of {other.place}, which belongs to {name}"
            raise UserError(what, path=record.place, hint="remove it, and run it again")
    return {net: record.pretrained for net, record in first.items()}
