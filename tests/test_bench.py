"""`pytest bench` as a user starts it: what it leaves out, what it writes, and that the checkout stays as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from replicate.common.paths import MEASURED, REPORT, ROOT
from replicate.records.run import load_records, write_record
from tests.synthetic import all_right

# Puts measured/ elsewhere, and in place of the report a file that says that it was written.
ELSEWHERE = """
import os
from pathlib import Path
from replicate.commands import session
from replicate.report import build
session.MEASURED = Path(os.environ["ELSEWHERE"], "measured")
build.write = Path(os.environ["ELSEWHERE"], "written").touch
"""
ROW = "ernie3_kuake_qic/svm"
FAST = (
    "test_augment.py",
    "test_compression.py",
    "test_explain.py",
    "test_growth.py",
    "test_inference.py",
    "test_limit.py",
    "test_memory.py",
    "test_serve.py",
    "test_sweeps.py",
)


def bench(store: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`pytest bench --profile smoke` with more words, in a process of its own and with a store of its own."""
    command = [sys.executable, "-m", "pytest", "bench", "--profile", "smoke", "-p", "no:cacheprovider", *words]
    environment = {**os.environ, "REPLICATE_STORE": str(store), "REPLICATE_QUIET": "1", **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def checkout() -> dict[Path, tuple[int, bytes]]:
    """Time and content of every file that `--accept` may write."""
    pages = [REPORT, *ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*"), *MEASURED.rglob("*")]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in pages if path.is_file()}


def test_without_accept_the_checkout_stays_as_it_was(tmp_path: Path) -> None:
    """Records and a report of the rows just run go into the store, and the last lines say where."""
    before = checkout()
    done = bench(tmp_path, "-k", ROW)
    assert done.returncode == 0, done.stdout
    assert checkout() == before
    records, page = tmp_path / "records", tmp_path / "report" / "REPORT.md"
    assert [(f"{one.table}/{one.row}", one.seed) for one in load_records(records)] == [
        (ROW, seed) for seed in (1, 2, 3)
    ]
    assert f"records in {records}; report in {page} and {page.with_name('report.html')}" in done.stdout
    rows = page.parent / "docs" / "report" / "smoke.md"
    assert "[`svm`](../../../records/smoke/ernie3_kuake_qic/svm)" in rows.read_text(encoding="utf-8")
    for one in (page, rows):
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", one.read_text(encoding="utf-8")):
            assert (one.parent / link).exists(), link
    assert page.with_name("report.html").stat().st_size > 10_000
    assert {path.name for path in tmp_path.iterdir()} == {"locks", "partial", "records", "report", "svm"}


@pytest.mark.parametrize(
    ("words", "raced", "rows"),
    [((), False, True), (("-m", "speed"), True, False), (("--timing", "full"), True, True)],
    ids=["neither", "marker", "full"],
)
def test_races_run_only_where_they_are_asked_for(
    words: tuple[str, ...], raced: bool, rows: bool, tmp_path: Path
) -> None:
    """Of themselves only rows and claims run; what is left out is told, with how it would run."""
    out = bench(tmp_path, "--collect-only", "-q", *words).stdout
    files = set(re.findall(r"^bench/(\w+\.py)::", out, re.MULTILINE))
    assert files == {*(FAST if raced else ()), *(("test_claims.py", "test_rows.py") if rows else ())}
    assert bool(re.search(r"left out; `-m speed` runs", out)) is not raced


def test_its_cases_are_not_spread_over_processes(tmp_path: Path) -> None:
    """Each process would write a report of its own rows over the other's; pytest's code 4 is wrong usage."""
    done = bench(tmp_path, "-n", "2", "--collect-only")
    assert done.returncode == 4
    assert "--processes" in done.stderr


def test_accept_refuses_a_row_that_differs_from_its_baseline(tmp_path: Path) -> None:
    """The first session's records are the baseline, a worse session's are not, unless somebody says so."""
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    variables = {"ELSEWHERE": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    words = ("-p", "elsewhere", "-k", ROW, "--seeds", "1,2,3,4,5")
    store, measured = tmp_path / "store", tmp_path / "measured"
    before = checkout()
    done = bench(store, *words, "--accept", **variables)
    assert done.returncode == 0, done.stdout
    assert f"accepted into {measured / 'smoke'}; " in done.stdout
    assert (tmp_path / "written").exists()
    accepted = load_records(measured)
    assert [(f"{one.table}/{one.row}", one.seed) for one in accepted] == [(ROW, seed) for seed in range(1, 6)]
    for one in accepted:
        write_record(all_right(one), measured)
    better = load_records(measured)
    done = bench(store, *words, "--accept", **variables)
    assert done.returncode == 1, done.stdout
    assert f"not accepted: {ROW}, lower: " in done.stdout
    assert load_records(measured) == better
    done = bench(store, *words, "--accept-changed", **variables)
    assert "not accepted" not in done.stdout
    assert load_records(measured) == accepted
    assert checkout() == before
