"""`replicate run --until-decided` on real rows of a second: to the end, in parts, side by side, killed, on own data."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from replicate.corpus import load_dataset
from replicate.corpus.formats import write_dataset
from replicate.records.run import load_records
from tests.killable import without_timings
from tests.planned import Checkout

Claims = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Claims]:
    """A study that nobody disturbs, and what it says of its claims."""
    work = tmp_path_factory.mktemp("undisturbed")
    checkout = Checkout(work / "checkout", work / "store")
    return checkout, checkout.until_decided()


@pytest.fixture
def other(undisturbed: tuple[Checkout, Claims], tmp_path: Path) -> Checkout:
    """The same checkout with a store of its own."""
    return Checkout(undisturbed[0].root, tmp_path / "store")


def outcome(checkout: Checkout) -> tuple[list[Any], Any]:
    """Records and plans, without what a clock decides."""
    records = [without_timings(json.loads(path.read_bytes())) for path in sorted(checkout.records.rglob("seed-*.json"))]
    plans = json.loads(checkout.plan.read_bytes())
    for plan in plans["plans"].values():
        del plan["written"]
    return records, plans


def seeds(checkout: Checkout) -> dict[str, list[int]]:
    """The seeds that each row has records of."""
    found: dict[str, list[int]] = {}
    for record in load_records(checkout.records):
        found.setdefault(record.row, []).append(record.seed)
    return found


def test_to_the_end_on_two_nets(undisturbed: tuple[Checkout, Claims]) -> None:
    """One claim is decided at the first look and its row is left alone; the other goes on to the plan's last seed."""
    checkout, claims = undisturbed
    early, late = claims["svm-raises"], claims["short-keeps"]
    assert (early["answer"], early["word"], early["seeds_a_net"]) == ("yes", "above", 3)
    assert (late["answer"], late["seeds_a_net"], late["nets"]) == ("undecided", 4, 2)
    assert "8 seeds" in late["open"]
    assert seeds(checkout) == {"svm": [*range(1, 7)], "short": [*range(1, 9)], "base": [*range(1, 9)]}
    assert len({record.pretrained for record in load_records(checkout.records) if record.row != "svm"}) == 2
    assert not any(one["post_hoc"] for one in claims.values())


def test_again_runs_nothing(undisturbed: tuple[Checkout, Claims]) -> None:
    """What is decided stays decided, and no record is written again."""
    checkout, claims = undisturbed
    before = {path: path.read_bytes() for path in checkout.records.rglob("*.json")}
    assert checkout.until_decided() == claims
    assert {path: path.read_bytes() for path in checkout.records.rglob("*.json")} == before


def test_stopped_and_gone_on_with(undisturbed: tuple[Checkout, Claims], other: Checkout) -> None:
    """A stop is no change of the plan; side by side gives the same records as one after another."""
    whole, claims = undisturbed
    part = other.until_decided("--max-seeds", "7")
    assert part["svm-raises"] == claims["svm-raises"]
    assert "--max-seeds 7" in part["short-keeps"]["open"]
    assert seeds(other)["base"] == [*range(1, 7)]
    assert other.until_decided("--processes", "2") == claims
    assert outcome(other) == outcome(whole)


def test_the_plan_before_it_runs(undisturbed: tuple[Checkout, Claims], other: Checkout) -> None:
    """What to expect is told, and nothing is written."""
    out, _ = other.run("--until-decided", "--plan")
    assert "short-keeps" in out
    assert "svm-raises" in out
    assert not other.store.exists() or not list(other.store.rglob("*.json"))


def test_own_data(undisturbed: tuple[Checkout, Claims], tmp_path: Path) -> None:
    """Somebody's own data have the same plan, kept beside their records, and the report answers from it."""
    data = tmp_path / "mine"
    write_dataset(load_dataset("generated"), data)
    mine = Checkout(undisturbed[0].root, tmp_path / "store")
    told = mine.until_decided("--dataset_dir", str(data), "--max-seeds", "8")
    # Which of these looks decides is up to the processor, whose last bits train another net.
    assert all(3 <= one["seeds_a_net"] <= 4 for one in told.values())
    (folder,) = (mine.store / "records-of").iterdir()
    kept = json.loads((folder / "tiny" / "plan.json").read_bytes())["plans"]["tiny_table"]["plan"]
    assert [claim["name"] for claim in kept["claims"]] == ["svm-raises", "short-keeps"]
    pages = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.md"))
    word = told["svm-raises"]["word"]
    low, high = told["svm-raises"]["interval"]
    assert word in pages
    assert f"{low:.4f} to {high:.4f}" in pages


@pytest.mark.slow
@pytest.mark.faults
def test_killed_twice(undisturbed: tuple[Checkout, Claims], tmp_path: Path) -> None:
    """SIGKILL at two random moments, five times over: the third start ends with the same decisions, plan and bits."""
    whole, claims = undisturbed
    begun = time.monotonic()
    Checkout(whole.root, tmp_path / "timed").until_decided()
    seconds = time.monotonic() - begun
    rng = random.Random(15)
    for attempt in range(5):
        checkout = Checkout(whole.root, tmp_path / f"store-{attempt}")
        deaths = 0
        for _ in range(2):
            process = checkout.start("--until-decided")
            time.sleep(rng.uniform(0.1, 0.45) * seconds)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
            deaths += process.returncode == -signal.SIGKILL
        assert deaths == 2
        assert checkout.until_decided() == claims
        assert outcome(checkout) == outcome(whole)
        shutil.rmtree(checkout.store)
