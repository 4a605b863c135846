"""Options and fixtures of `pytest bench`; `pytest tests` uses none of them.

Cases marked `speed` are left out unless `-m speed` or `--timing full` asks for them. pytest's own `--strict` makes
inconclusive verdicts fail too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from replicate.commands.auto import budget_of
from replicate.commands.engine import OPTIONS, engine_of
from replicate.commands.flags import seeds_of
from replicate.commands.session import Session, chosen_profile, refusal
from replicate.commands.until import Ended, check_seeds, plan_path, told, told_failures, until_decided, why_open
from replicate.common.errors import UserError
from replicate.common.paths import REPORT, store_root
from replicate.findings.rounds import Study, narrowed, studies_of
from replicate.runs.accept import Decision
from replicate.runs.ask import selected
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile
from replicate.tables.sequential import planned_claims
from replicate.tables.table import Claim, ResultsTable, Row


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the benchmark."""
    group = parser.getgroup("replicate", "replication of published tables (pytest bench)")
    group.addoption("--profile", metavar="P", help="of profiles/ (default: paper on a usable GPU, else smoke)")
    group.addoption("--seeds", metavar="1,2,3", help="instead of the profile's seeds")
    group.addoption("--device", metavar="DEVICE", help="cpu or gpu, instead of the profile's device")
    group.addoption(
        "--until-decided",
        action="store_true",
        help="run the rows of the tables' plans, seeds from 1 on, until every claim of a plan is decided; rows of no "
        "plan are not run",
    )
    group.addoption("--max-seeds", type=int, metavar="N", help="with --until-decided: stop at so many seeds in all")
    group.addoption(
        "--timing",
        choices=("quick", "full"),
        default="quick",
        help="how much is measured of speed and memory, in cases that need `-m speed` or `--timing full`: quick "
        "(default) shows that it runs, full is what measured/timing/ holds",
    )
    group.addoption(
        "--accept",
        action="store_true",
        help="also keep the records in measured/, as the baseline of later sessions, and rewrite REPORT.md; a row that "
        "differs from its own baseline, or failed, is refused by name. Without it records and a report of the session "
        "go into the store alone",
    )
    group.addoption(
        "--budget",
        type=budget_of,
        metavar="4h",
        help="with --processes or --engine: the time after which everything stops, with checkpoints",
    )
    for name, told_of in OPTIONS:
        group.addoption(name, **told_of)
    group.addoption("--accept-changed", action="store_true", help="as --accept, rows that differ or failed included")


BENCH = Path(__file__).resolve().with_name("bench")
# What a plan's answer is beside the verdicts on claims that have none.
BY_ANSWER = {"yes": "supported", "no": "contradicted", "undecided": "undecided"}
PROFILE = pytest.StashKey[Profile]()
LEFT_OUT = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Bad options end the session before anything is collected."""
    paths = [Path(word.partition("::")[0]).resolve() for word in config.args]
    rows = any(path.is_relative_to(BENCH) or BENCH.is_relative_to(path) for path in paths)
    # Each process would judge its own rows, and write a report of them over the others'.
    if rows and config.getoption("dist", "no") != "no":
        raise pytest.UsageError("the cases of `pytest bench` share one process; --processes N runs stages at once")
    if config.getoption("--max-seeds") is not None and not config.getoption("--until-decided"):
        raise pytest.UsageError("--max-seeds is about a plan's seeds; add --until-decided")
    if config.getoption("--until-decided") and config.getoption("--seeds"):
        raise pytest.UsageError("--until-decided takes seeds from 1 on; leave out --seeds")
    if any(config.getoption(name) for name in ("--profile", "--seeds", "--device", "--until-decided")):
        try:
            profile_of(config)
            if config.getoption("--until-decided"):
                check_seeds(studies_of(load_tables(), profile_of(config)), config.getoption("--max-seeds"))
        except (UserError, argparse.ArgumentTypeError) as error:
            raise pytest.UsageError(str(error)) from error


def profile_of(config: pytest.Config) -> Profile:
    """The session's profile, chosen when it is first asked for."""
    if PROFILE not in config.stash:
        seeds = config.getoption("--seeds")
        config.stash[PROFILE] = chosen_profile(
            config.getoption("--profile"), seeds_of(seeds) if seeds else None, config.getoption("--device")
        )
    return config.stash[PROFILE]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whoever waits for rows and claims does not wait for races of speed."""
    if "speed" in config.getoption("-m") or config.getoption("--timing") == "full":
        return
    races = [item for item in items if item.get_closest_marker("speed")]
    config.hook.pytest_deselected(items=races)
    items[:] = [item for item in items if item not in races]
    config.stash[LEFT_OUT] = len(races)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Which profile runs, and why; what is left out, and how it would run."""
    profile = config.stash.get(PROFILE, None)
    lines = []
    if profile:
        how = "as asked" if config.getoption("--profile") else "chosen for this machine"
        seeds = ", ".join(map(str, profile.seeds))
        if config.getoption("--until-decided"):
            seeds = "from 1 on until every claim of a plan is decided"
        lines.append(
            f"replicate: profile {profile.id} ({how}), device {profile.device}, seeds {seeds}, store {store_root()}"
        )
    if left_out := config.stash.get(LEFT_OUT, 0):
        lines.append(f"replicate: {left_out} cases of speed and memory left out; `-m speed` runs them")
    return lines


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
        if metafunc.config.getoption("--until-decided"):
            claims += [one for one in _added(tables, profile) if one not in claims]
        metafunc.parametrize(("table", "claim"), claims, ids=[f"{table.id}/{claim.id}" for table, claim in claims])


# pytest keeps its plugins, of which this is one, in a set.
@dataclass(eq=False)
class Bench:
    """The rows of this run of pytest, and what is told of them when it ends.

    Attributes:
        session: runs and judges the rows.
        rows: the verdict of each row that was judged.
        claims: the same of claims, with the reason.
        ended: what the rounds of the plans have come to, where they are followed.
        report: REPORT.md of the session, once it is written.
        decision: what was accepted, where somebody asked.
    """

    session: Session
    rows: dict[str, str] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    report: Path | None = None
    decision: Decision | None = None

    def follow(self, studies: Sequence[Study], seeds: int | None) -> None:
        """Run the rows of these studies until their claims are decided; no other row is run."""
        session = self.session
        session.take([table.row(row) for table, row in selected(session.tables, session.profile, ())], ())
        self.ended = until_decided(session, studies, seeds)

    def verdict(self, table: ResultsTable, claim: Claim) -> tuple[str, str]:
        """Status and reason of a claim: by the plan where it is followed, else over the seeds that both rows have."""
        for one in self.ended:
            if one.study.table.id == table.id and claim.id in one.study.names:
                found = one.found.verdicts[claim.id]
                words = [found.word, why_open(one, claim.id), "post hoc" if claim.id in one.found.post_hoc else ""]
                return BY_ANSWER[found.answer], "; ".join(filter(None, words))
        verdict = self.session.claim(table, claim).verdict
        return verdict.status, verdict.reason

    def finish(self, accept: bool, changed: bool) -> None:
        """Write the session's own report; accept what the rule lets through, if asked."""
        self.report = self.session.write_report()
        if (accept or changed) and self.session.results:
            self.decision = self.session.accept(changed)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """The rows' figures and verdicts, and where the records are."""
        if not self.report:
            return
        from tabulate import tabulate

        from replicate.report.words import mean_sd

        session = self.session
        in_order = [f"{table.id}/{row}" for table, row in selected(session.tables, session.profile, ())]
        lines = []
        for name in (one for one in in_order if one in session.results and session.results[one].records):
            figures = [mean_sd(*session.results[name].summary(metric)) for metric in ("accuracy", "f1", "macro_f1")]
            lines.append((name, *figures, self.rows.get(name)))
        terminalreporter.section(f"replicate: profile {session.profile.id}")
        headers = ("row", "accuracy", "F1 (class 1)", "macro-F1", "verdict")
        terminalreporter.write_line(tabulate(lines, headers=headers, disable_numparse=True))
        if self.claims:
            claims = tabulate(list(self.claims.items()), headers=("claim", "verdict"), disable_numparse=True)
            terminalreporter.write_line(f"\n{claims}")
        if self.ended:
            by_plan = tabulate(told(self.ended), headers="keys", disable_numparse=True)
            plan = plan_path(session.runner, session.measured)
            terminalreporter.write_line(f"\n{by_plan}\n\nplan in {plan}" if session.plans else f"\n{by_plan}")
            for line in told_failures(self.ended):
                terminalreporter.write_line(line)
        page = self.report.with_name("report.html")
        where = f"records in {session.runner.records}; report in {self.report} and {page}"
        if self.decision is None:
            terminalreporter.write_line(f"{where}; `--accept` keeps the records in measured/ and rewrites REPORT.md")
            return
        terminalreporter.write_line(where)
        terminalreporter.write_line(f"accepted into {session.measured / session.profile.id}; report of all in {REPORT}")
        if self.decision.refused:
            terminalreporter.write_line(refusal(self.decision))


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[Bench]:
    """The session's rows; at its end come its own report and, where records are accepted, REPORT.md."""
    quiet = os.environ.get("REPLICATE_QUIET", "") == "1"
    engine, tables = engine_of(pytestconfig.getoption, pytestconfig.getoption("--budget")), load_tables()
    bench = Bench(Session(Runner(profile_of(pytestconfig), Store(store_root()), quiet), tables, engine=engine))
    pytestconfig.pluginmanager.register(bench, "replicate-bench")
    with closing(bench.session):
        if pytestconfig.getoption("--until-decided"):
            studies = _asked(request.session.items, studies_of(tables, bench.session.profile))
            bench.follow(studies, pytestconfig.getoption("--max-seeds"))
        elif engine.several:
            # Together: one after another, as the cases ask for them, most of the workers would wait.
            bench.session.run(_rows_of(request.session.items))
        yield bench
        bench.finish(pytestconfig.getoption("--accept"), pytestconfig.getoption("--accept-changed"))


def _added(tables: Mapping[str, ResultsTable], profile: Profile) -> Iterator[tuple[ResultsTable, Claim]]:
    """The claims of the profile's plans, with their tables."""
    for study in studies_of(tables, profile):
        for claim, _ in planned_claims(study.table):
            if claim.id in study.names:
                yield study.table, claim


def _rows_of(items: Sequence[pytest.Item]) -> list[Row]:
    """The rows that the collected cases will ask for."""
    found: dict[str, Row] = {}
    for params in map(_params, items):
        if isinstance(row := params.get("row"), Row):
            found[row.full_id] = row
        if isinstance(claim := params.get("claim"), Claim) and isinstance(table := params.get("table"), ResultsTable):
            found |= {row.full_id: row for row in map(table.row, (claim.row, claim.against))}
    return [*found.values()]


def _asked(items: Sequence[pytest.Item], studies: Sequence[Study]) -> tuple[Study, ...]:
    """The studies of the claims that the collected cases are of, or that are about a row which one is of."""
    params = [_params(item) for item in items]
    rows = {(row.table, row.id) for one in params if isinstance(row := one.get("row"), Row)}
    cases = {
        (table.id, claim.id)
        for one in params
        if isinstance(table := one.get("table"), ResultsTable) and isinstance(claim := one.get("claim"), Claim)
    }
    return narrowed(
        studies, lambda study, claim: (study.table.id, claim.name) in cases or bool(rows & study.rows_of(claim))
    )


def _params(item: pytest.Item) -> Mapping[str, object]:
    """What a case is of, by the name of its argument."""
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
