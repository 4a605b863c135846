"""Options and fixtures of `pytest bench`; `pytest tests` uses none of them.

pytest's own `--strict` makes inconclusive verdicts fail too.
"""

from __future__ import annotations

import argparse
import ctypes
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata

import pytest
from _pytest.terminal import TerminalReporter

from replicate.commands.flags import seeds_of
from replicate.common.errors import UserError
from replicate.common.paths import MEASURED, REPORT, store_root
from replicate.findings.rows import RowResult, RowVerdict, judge_row, judge_row_against_baseline, row_result
from replicate.records.run import load_records
from replicate.report import build as report
from replicate.runs.runner import Runner, selected
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile
from replicate.tables.table import ResultsTable, Row


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the benchmark."""
    group = parser.getgroup("replicate", "replication of published tables (pytest bench)")
    group.addoption("--profile", metavar="P", help="paper, small or smoke (default: paper on a usable GPU, else smoke)")
    group.addoption("--seeds", metavar="1,2,3", help="instead of the profile's seeds")
    group.addoption("--device", metavar="DEVICE", help="cpu or gpu, instead of the profile's device")
    group.addoption("--timing", choices=("quick", "full"), default="quick", help="how much inference is timed")
    group.addoption("--accept", action="store_true", help="keep the records in measured/ and rewrite REPORT.md")


PROFILE = pytest.StashKey[Profile]()


@dataclass
class Bench:
    """One session of the benchmark: rows are run when a test first asks for them.

    Attributes:
        runner: runs rows under the profile.
        tables: every published table.
        baseline: the accepted records of the profile, as they were when the session began.
        accept: write records into measured/.
    """

    runner: Runner
    tables: Mapping[str, ResultsTable]
    baseline: tuple[RowResult, ...]
    accept: bool
    verdicts: dict[str, RowVerdict] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    _results: dict[str, RowResult] = field(default_factory=dict)

    @property
    def profile(self) -> Profile:
        """What the session runs with."""
        return self.runner.profile

    def result(self, row: Row) -> RowResult:
        """The row's records, one a seed; run now unless the store has them."""
        if row.full_id not in self._results:
            records = []
            for seed in self.profile.seeds:
                record = self.runner.run(self.tables[row.table], row.id, seed)
                self.runner.keep(record)
                records.append(record)
            self._results[row.full_id] = row_result(records, row, self.profile.id)
        return self._results[row.full_id]

    def verdict(self, row: Row) -> RowVerdict:
        """Against the published values where the profile may be compared with them, else against the baseline."""
        if row.full_id not in self.verdicts:
            table, result = self.tables[row.table], self.result(row)
            if self.profile.comparable and row.published:
                verdict = judge_row(table, result)
            else:
                accepted = next((old for old in self.baseline if old.row == row), None)
                verdict = judge_row_against_baseline(table, result, accepted)
            self.verdicts[row.full_id] = verdict
        return self.verdicts[row.full_id]

    def accept_records(self) -> list[str]:
        """Write the session's records into `measured/` and REPORT.md; returns the rows that were refused.

        A row that differs from its own baseline is refused, or a regression would be the baseline of the next session.
        """
        refused = []
        for name, result in self._results.items():
            regressed = self.verdict(result.row).status in ("lower", "higher", "error")
            if regressed and not self.profile.comparable:
                refused.append(name)
                continue
            for record in result.records:
                self.runner.keep(record, MEASURED)
        report.write()
        return refused


BENCH = pytest.StashKey[Bench]()


def chosen_profile(config: pytest.Config) -> Profile:
    """The profile that the options name, or that this machine can run."""
    profile = load_profile(config.getoption("--profile") or ("paper" if usable_gpu() else "smoke"))
    seeds = config.getoption("--seeds")
    return profile.changed(seeds=seeds_of(seeds) if seeds else None, device=config.getoption("--device"))


def usable_gpu() -> bool:
    """Whether the GPU build of Paddle is installed and sees a device that it has kernels for."""
    try:
        metadata.version("paddlepaddle-gpu")
        ctypes.CDLL("libcuda.so.1")
    except (metadata.PackageNotFoundError, OSError):
        return False
    from replicate.commands.doctor import check_device, probe

    return check_device("gpu", probe("gpu")).ok


def pytest_configure(config: pytest.Config) -> None:
    """Bad options end the session before anything is collected."""
    if any(config.getoption(name) for name in ("--profile", "--seeds", "--device")):
        try:
            profile_of(config)
        except (UserError, argparse.ArgumentTypeError) as error:
            raise pytest.UsageError(str(error)) from error


def profile_of(config: pytest.Config) -> Profile:
    """The session's profile, chosen when it is first asked for."""
    if PROFILE not in config.stash:
        config.stash[PROFILE] = chosen_profile(config)
    return config.stash[PROFILE]


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    """Which profile runs, and why."""
    profile = config.stash.get(PROFILE, None)
    if profile is None:
        return None
    how = "as asked" if config.getoption("--profile") else "chosen for this machine"
    seeds = ", ".join(map(str, profile.seeds))
    return f"replicate: profile {profile.id} ({how}), device {profile.device}, seeds {seeds}, store {store_root()}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a row or claim, its id the row's or the claim's."""
    if "bench" not in metafunc.fixturenames:
        return
    profile, tables = profile_of(metafunc.config), load_tables()
    if "row" in metafunc.fixturenames:
        rows = [table.row(row) for table, row in selected(tables, profile, ())]
        metafunc.parametrize("row", rows, ids=[row.full_id for row in rows])
    if "claim" in metafunc.fixturenames:
        claims = [(tables[name], claim) for name in profile.tables for claim in tables[name].claims_under(profile.id)]
        metafunc.parametrize(("table", "claim"), claims, ids=[f"{table.id}/{claim.id}" for table, claim in claims])


@pytest.fixture(scope="session")
def bench(pytestconfig: pytest.Config) -> Iterator[Bench]:
    """The session's benchmark; REPORT.md is rewritten at its end where records are accepted."""
    profile = profile_of(pytestconfig)
    tables = load_tables()
    records = load_records(MEASURED)
    rows = [row for table in tables.values() for row in table.rows]
    baseline = tuple(result for row in rows if (result := row_result(records, row, profile.id)).records)
    quiet = os.environ.get("REPLICATE_QUIET", "") == "1"
    bench = Bench(Runner(profile, Store(store_root()), quiet), tables, baseline, pytestconfig.getoption("--accept"))
    pytestconfig.stash[BENCH] = bench
    yield bench
    if bench.accept:
        bench.refused = bench.accept_records()


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """The rows' figures and verdicts, and where the records are."""
    bench = config.stash.get(BENCH, None)
    if bench is None or not bench.verdicts:
        return
    from tabulate import tabulate

    from replicate.common.markdown import spread

    lines = []
    for name, verdict in bench.verdicts.items():
        result = next(one for one in bench._results.values() if one.row.full_id == name)
        figures = [spread(*result.summary(metric)) for metric in ("accuracy", "f1", "macro_f1")]
        lines.append((name, *figures, verdict.status))
    terminalreporter.section(f"replicate: profile {bench.profile.id}")
    headers = ("row", "accuracy", "F1 (class 1)", "macro-F1", "verdict")
    terminalreporter.write_line(tabulate(lines, headers=headers, disable_numparse=True))
    if bench.claims:
        claims = tabulate(list(bench.claims.items()), headers=("claim", "verdict"), disable_numparse=True)
        terminalreporter.write_line(f"\n{claims}")
    if bench.refused:
        again = f"`replicate run --profile {bench.profile.id} --accept` accepts the change"
        terminalreporter.write_line(f"not accepted, differs from the baseline: {', '.join(bench.refused)}; {again}")
    where = MEASURED / bench.profile.id if bench.accept else bench.runner.records
    then = f"report in {REPORT}" if bench.accept else "--accept keeps them in measured/ and rewrites REPORT.md"
    terminalreporter.write_line(f"records in {where}; {then}")
