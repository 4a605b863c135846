"""One case a claim of a published table: what this profile's seeds say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replicate.findings.rows import judge_claims

if TYPE_CHECKING:
    from conftest import Bench
    from replicate.tables.table import Claim, ResultsTable


def test_claim(table: ResultsTable, claim: Claim, bench: Bench, pytestconfig: pytest.Config) -> None:
    """The claim is supported; under a profile that replicates nothing its verdict is told, and fails nobody."""
    # All rows of the table's claims: the correction is over the whole family.
    named = {name for one in table.claims_under(bench.profile.id) for name in (one.row, one.against)}
    records = [record for name in sorted(named) for record in bench.result(table.row(name)).records]
    result = next(one for one in judge_claims(table, records, bench.profile.id) if one.claim == claim)
    words = f"{result.verdict.status}: {result.verdict.reason}"
    bench.claims[claim.id] = words
    if not bench.profile.comparable or result.verdict.status in ("not distinguishable", "not-run"):
        if pytestconfig.getoption("strict", False) and bench.profile.comparable:
            pytest.fail(words)
        pytest.skip(words)
    assert result.verdict.status == "supported", words
