"""One case a claim of a published table: what this profile's seeds say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replicate.findings.compared import compare_table
from replicate.findings.rows import RowResult

if TYPE_CHECKING:
    from conftest import Bench
    from replicate.tables.table import Claim, ResultsTable


def test_claim(table: ResultsTable, claim: Claim, bench: Bench, pytestconfig: pytest.Config) -> None:
    """The claim is supported; under a profile that replicates nothing its verdict is told, and fails nobody."""
    # All rows of the table's claims: the correction is over the whole family.
    named = {name for one in table.claims_under(bench.profile.id) for name in (one.row, one.against)}
    results = {
        row.id: bench.result(row) if row.id in named else RowResult(row, bench.profile.id, ()) for row in table.rows
    }
    result = next(one for one in compare_table(table, results, bench.profile.id).claims if one.claim == claim)
    words = f"{result.verdict.status}: {result.verdict.reason}"
    bench.claims[claim.id] = words
    if not bench.profile.comparable or result.verdict.status in ("not distinguishable", "not-run"):
        if pytestconfig.getoption("strict", False) and bench.profile.comparable:
            pytest.fail(words)
        pytest.skip(words)
    assert result.verdict.status == "supported", words
