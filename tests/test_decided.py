"""`[sequential]` of a table, the plan that follows under a profile, and what the records say of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.common.errors import UserError
from replicate.common.paths import EXPECTED
from replicate.findings.decided import decided
from replicate.records.strata import net_of, nets_of, scores_of, seed_at
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile, profile_ids
from replicate.tables.sequential import plan_of
from replicate.verdicts.decisions import beside
from tests.planned import RULE, TWO, planned, runs
from tests.synthetic import failure, record


def test_seeds_and_places_are_two_names_of_one_run() -> None:
    """Seed 1 on net 0, seed 2 on net 1, and round; with one net every seed is its own place."""
    assert [net_of(seed, 2) for seed in (1, 2, 3, 4)] == [0, 1, 0, 1]
    assert {seed_at(place, net, 3) for place in (1, 2, 3) for net in range(3)} == set(range(1, 10))
    assert [(net_of(seed, 1), seed_at(seed, 0, 1)) for seed in (1, 7)] == [(0, 1), (0, 7)]


def test_the_plan_is_what_table_and_profile_say(tmp_path: Path) -> None:
    """Looks are seeds on each net, so two nets halve them; the first look is never after the last."""
    table = planned(tmp_path)
    plan = plan_of(table, TWO)
    assert plan is not None
    assert (plan.first, plan.most, plan.nets, plan.level) == (5, 10, ("net-0", "net-1"), 0.025)
    assert [(claim.name, claim.kind, claim.a, claim.b, claim.metric) for claim in plan.claims] == [
        ("prune-lowers", "lowers", "prune", "base", "accuracy"),
        ("prune-keeps-last", "keeps", "prune", "base", "accuracy_last"),
    ]
    assert plan.margins == {"accuracy": 0.01, "f1": 0.01, "accuracy_last": 0.01}
    one, five = (plan_of(table, replace(TWO, nets=nets)) for nets in (1, 5))
    assert one
    assert five
    assert (one.first, one.most, one.nets) == (5, 20, ("net-0",))
    assert (five.first, five.most) == (4, 4)
    assert plan_of(table, replace(TWO, nets=7)) is None
    assert plan_of(replace(table, sequential=None), TWO) is None


def test_a_claim_of_a_row_that_is_not_run_is_left_out(tmp_path: Path) -> None:
    """And a plan of none is no plan."""
    table = planned(tmp_path)
    elsewhere = tuple(replace(row, profiles=("paper",)) if row.id == "prune" else row for row in table.rows)
    assert plan_of(replace(table, rows=elsewhere), TWO) is None


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("first = 5", "first = 2", "first"),
        ("first = 5", "first = 21", "first"),
        ("most = 20", "", "most"),
        ("most = 20", "most = 1001", "most"),
        ("most = 20", "most = 20\nleast = 3", "least"),
        ('alpha = "0.05"', 'alpha = "1"', "alpha"),
        ('rho = "2"', 'rho = "0"', "rho"),
        ('"power"', '"pocock"', "spending"),
        ('metric = "accuracy"', 'metric = "recall"', "metric"),
        ('"seed"', '"chain"', "pairing"),
        ('["prune-lowers"]', '["prune-raises"]', "claims"),
        ('["prune-lowers"]', '["prune-lowers", "prune-lowers"]', "claims"),
        ("accuracy = {", "accuracy_last = {", "margins.accuracy_last"),
        ('"0.010", reason = "no', '"0.01234", reason = "no', "margins.accuracy.value"),
        ('reason = "nor here"', 'reason = ""', "margins.f1.reason"),
        ('id = "prune-keeps-last"', 'id = "prune-lowers"', "added.prune-lowers.id"),
        ('"accuracy_last"', '"accuracy_first"', "added.prune-keeps-last.metric"),
        ('"accuracy_last"', '"macro_f1"', "added.prune-keeps-last.metric"),
        ('against = "base"\nmetric', 'against = "prune"\nmetric', "added.prune-keeps-last.against"),
        ('kind = "keeps"', 'kind = "helps"', "added.prune-keeps-last.kind"),
    ],
)
def test_a_faulty_rule_names_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    """One line, before anything runs."""
    assert old in RULE
    with pytest.raises(UserError) as caught:
        planned(tmp_path, RULE.replace(old, new, 1))
    assert str(caught.value).startswith(f"{tmp_path / 'planned.toml'}: sequential.{key}: ")


@pytest.mark.parametrize("profile", profile_ids())
def test_every_plan_of_ours_can_be_followed(profile: str) -> None:
    """Each metric of each claim has a margin, and the article's four claims are in the main table's plan."""
    tables = load_tables(EXPECTED)
    plan = plan_of(tables["ernie3_kuake_qic"], load_profile(profile))
    assert plan is not None
    assert {claim.id for claim in tables["ernie3_kuake_qic"].claims} <= {claim.name for claim in plan.claims}


def test_scores_are_those_of_an_unbroken_prefix(tmp_path: Path) -> None:
    """By net, in order of place; what comes after a gap waits, a failed run has no number, other rows are left out."""
    plan = plan_of(planned(tmp_path), TWO)
    assert plan is not None
    records = [one for one in runs("base", range(10, 18)) if one.seed != 6] + runs("prune", [20, 21, 22])
    records[2] = replace(failure("base", 3, "diverged", profile="small"), pretrained="digest-1")
    found = scores_of(plan, [*reversed(records), record("svm", 1, 5, profile="small")])
    base = found["accuracy"]["base"]
    assert set(found) == {"accuracy", "accuracy_last"}
    assert set(found["accuracy"]) == {"base", "prune"}
    assert base["net-1"] == [0.89, 0.87]
    assert (base["net-0"][0], base["net-0"][2:]) == (0.9, [0.86, 0.84])
    assert math.isnan(base["net-0"][1])
    assert found["accuracy_last"]["prune"] == {"net-0": [0.8, 0.78], "net-1": [0.79]}


def test_a_seed_of_another_net_is_refused_with_both_files(tmp_path: Path) -> None:
    """Two digests on one net, and one digest on two nets: as a run from before there were two has it."""
    plan = plan_of(planned(tmp_path), TWO)
    assert plan is not None
    good = runs("base", [10, 11, 12, 13])
    assert nets_of(plan, good) == {"net-0": "digest-1", "net-1": "digest-0"}
    for seed, digest, other in ((3, "digest-9", 1), (2, "digest-1", 1)):
        bad = [replace(one, pretrained=digest) if one.seed == seed else one for one in good]
        with pytest.raises(UserError) as caught:
            scores_of(plan, bad)
        assert all(f"base/seed-{number}.json" in str(caught.value) for number in (seed, other))


def test_what_the_records_decide(tmp_path: Path) -> None:
    """Verdicts by claim, F1 beside at the same look, both nets, seeds, and hours that count a shared stage once."""
    table = planned(tmp_path)
    wrongs = [20, 21, 19, 20, 21, 20, 22, 19, 20, 21]
    records = runs("base", wrongs) + runs("prune", [wrong + 10 + place % 3 for place, wrong in enumerate(wrongs)])
    found = decided(table, TWO, [*records, *(replace(one, profile="paper", pretrained="x") for one in records)])
    assert found is not None
    lowers = found.verdicts["prune-lowers"]
    assert (lowers.word, lowers.answer, lowers.look, lowers.decided) == ("below", "yes", 5, True)
    assert found.verdicts["prune-keeps-last"].answer == "no"
    f1 = found.secondary["prune-lowers"]["f1"]
    assert (f1.difference, f1.interval) == (0, (0, 0))
    by_last = scores_of(found.plan, records)["accuracy_last"]
    again = beside(found.plan, lowers, by_last, "accuracy_last")
    assert again.interval == lowers.interval
    assert again.difference == pytest.approx(lowers.difference)
    assert found.secondary["prune-keeps-last"] == {}
    assert found.claims["prune-keeps-last"].text.startswith("Pruning keeps")
    assert found.strata == {"net-0": "digest-1", "net-1": "digest-0"}
    assert found.seeds == {"base": 10, "prune": 10}
    assert found.hours == pytest.approx((2 * 1800 + 20 * 360) / 3600)
    assert set(lowers.nets) == {"net-0", "net-1"}


def test_claims_outside_the_first_plan_are_post_hoc_for_good(tmp_path: Path) -> None:
    """The first plan goes on deciding its own claims at its own level; another rule makes all of them post hoc."""
    table = planned(tmp_path)
    plan = plan_of(table, TWO)
    assert plan is not None
    first = replace(plan, claims=plan.claims[:1], margins={"accuracy": 0.01, "f1": 0.01})
    records = runs("base", [20, 26] * 5) + runs("prune", [22, 23, 24, 30, 21, 28, 23, 29, 22, 27])
    alone, both, later, other = (
        decided(table, TWO, records, before)
        for before in (None, plan, first, replace(first, margins={"accuracy": 0.02, "f1": 0.01}))
    )
    assert alone
    assert both
    assert later
    assert other
    assert both.post_hoc == set()
    assert later.post_hoc == {"prune-keeps-last"}
    assert alone.post_hoc == other.post_hoc == {"prune-lowers", "prune-keeps-last"}
    narrow, wide = (one.verdicts["prune-lowers"].interval for one in (later, both))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert repr(later.verdicts["prune-keeps-last"]) == repr(both.verdicts["prune-keeps-last"])


def test_before_the_first_look_nothing_is_decided(tmp_path: Path) -> None:
    """No record, or a few: undecided, with no interval for F1 either."""
    found = decided(planned(tmp_path), TWO, runs("base", [20, 21]))
    assert found is not None
    assert {one.word for one in found.verdicts.values()} == {"undecided"}
    assert math.isnan(found.secondary["prune-lowers"]["f1"].difference)
    assert found.seeds == {"base": 2, "prune": 0}
