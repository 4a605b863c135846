"""Plans are kept as they were before the first seed, and nobody changes one without being told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicate.common.errors import UserError
from replicate.records.plans import Kept, path_of, read_plans, write_plans
from replicate.records.run import read_records
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from replicate.tables.sequential import plan_of
from replicate.verdicts.plan import MOST_SEEDS

PLAN = plan_of(load_tables()["ernie3_kuake_qic"], load_profile("small"))
assert PLAN is not None
KEPT = Kept(PLAN, "2026-01-01T00:00:00+00:00", "abc", dirty=False)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every field, floats too; it is no record, and a second table comes beside it."""
    assert read_plans(tmp_path, "small") == {}
    write_plans({"a": KEPT}, tmp_path, "small")
    write_plans({"b": KEPT}, tmp_path, "small")
    assert read_plans(tmp_path, "small") == {"a": KEPT, "b": KEPT}
    assert read_records(tmp_path) == []


def test_the_first_plan_stays(tmp_path: Path) -> None:
    """The same again changes no byte; another one is refused, and nothing of it is written."""
    path = write_plans({"a": KEPT}, tmp_path, "small")
    before = path.read_bytes()
    write_plans({"a": replace(KEPT, written="2027-01-01T00:00:00+00:00")}, tmp_path, "small")
    assert path.read_bytes() == before
    with pytest.raises(UserError, match="kept first"):
        write_plans({"a": replace(KEPT, plan=replace(KEPT.plan, rho=3.0)), "b": KEPT}, tmp_path, "small")
    assert path.read_bytes() == before


def _margin(value: dict[str, Any]) -> None:
    value["plans"]["a"]["plan"]["margins"]["accuracy"] = 0.02


def _kind(value: dict[str, Any]) -> None:
    value["plans"]["a"]["plan"]["claims"][0]["kind"] = "helps"


def _extra(value: dict[str, Any]) -> None:
    value["plans"]["a"]["plan"]["looks"] = 3


def _lost(value: dict[str, Any]) -> None:
    del value["plans"]["a"]["plan"]["claims"]


def _text(value: dict[str, Any]) -> None:
    value["plans"]["a"] = "none"


def _schema(value: dict[str, Any]) -> None:
    value["schema"] = 2


@pytest.mark.parametrize("spoil", [_margin, _kind, _extra, _lost, _text, _schema])
def test_a_changed_file_is_refused(tmp_path: Path, spoil: Any) -> None:
    """In one line that names the file: a margin that somebody widened is not the plan."""
    path = write_plans({"a": KEPT}, tmp_path, "small")
    value = json.loads(path.read_text())
    spoil(value)
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=str(path_of(tmp_path, "small"))) as refused:
        read_plans(tmp_path, "small")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [{"nets": (1, 2)}, {"first": 3.0}, {"rho": True}],
    ids=str,
)
def test_values_of_another_kind_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Also where the digest is of them: what reads a plan later counts on numbers and texts."""
    assert PLAN is not None
    write_plans({"a": replace(KEPT, plan=replace(PLAN, **change))}, tmp_path, "small")
    with pytest.raises(UserError, match="of another type"):
        read_plans(tmp_path, "small")


def test_looks_are_not_without_end() -> None:
    """Boundaries are computed for each."""
    assert PLAN is not None
    assert replace(PLAN, most=MOST_SEEDS).most == MOST_SEEDS
    with pytest.raises(ValueError, match=str(MOST_SEEDS)):
        replace(PLAN, most=MOST_SEEDS + 1)
