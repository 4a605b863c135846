"""One case a row: it runs under every seed, and its figures are what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Bench
    from replicate.tables.table import Row


def test_row_runs(row: Row, bench: Bench) -> None:
    """Every seed of the row ends well, and it answers better than always naming the commonest class would."""
    result = bench.session.result(row)
    if not result.records:
        pytest.skip("not-run: no claim of a plan that is followed is about it")
    assert not result.failed, "; ".join(f"seed {one.seed}: {one.status}, {one.reason}" for one in result.failed)
    for record in result.records:
        commonest = max(sum(counts) for counts in record.counts["confusion"]) / record.counts["examples"]
        assert result.scores[record.seed]["accuracy"] > commonest


def test_row_replicates(row: Row, bench: Bench, pytestconfig: pytest.Config) -> None:
    """The row's seeds agree with the published values, or under another profile with the accepted records."""
    verdict = bench.session.verdict(row)
    bench.rows[row.full_id] = verdict.status
    if verdict.status in ("inconclusive", "not-run") and not pytestconfig.getoption("strict", False):
        pytest.skip(f"{verdict.status}: {verdict.reason}")
    assert verdict.status == "replicated", verdict.reason
