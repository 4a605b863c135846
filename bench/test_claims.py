"""One case a claim of a published table: what this profile's seeds say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Bench
    from replicate.tables.table import Claim, ResultsTable


def test_claim(table: ResultsTable, claim: Claim, bench: Bench, pytestconfig: pytest.Config) -> None:
    """The claim is supported; under a profile that replicates nothing its verdict is told, and fails nobody."""
    verdict, comparable = bench.session.claim(table, claim).verdict, bench.session.profile.comparable
    words = f"{verdict.status}: {verdict.reason}"
    bench.claims[claim.id] = words
    if not comparable or verdict.status in ("undecided", "not-run"):
        if pytestconfig.getoption("strict", False) and comparable:
            pytest.fail(words)
        pytest.skip(words)
    assert verdict.status == "supported", words
