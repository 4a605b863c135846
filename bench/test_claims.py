"""One case a claim of a table: what this profile's seeds say of it, or the plan where one is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Bench
    from replicate.tables.table import Claim, ResultsTable


def test_claim(table: ResultsTable, claim: Claim, bench: Bench, pytestconfig: pytest.Config) -> None:
    """The claim is supported; under a profile that replicates nothing its verdict is told, and fails nobody."""
    status, reason = bench.verdict(table, claim)
    comparable = bench.session.profile.comparable
    words = f"{status}: {reason}"
    bench.claims[claim.id] = words
    if not comparable or status in ("undecided", "not-run"):
        if pytestconfig.getoption("strict", False) and comparable:
            pytest.fail(words)
        pytest.skip(words)
    assert status == "supported", words
