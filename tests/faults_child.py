"""Run rows from nothing to their report, telling each stage: for `test_faults.py` and `test_same_bits.py`.

Arguments: a store, a folder for records and report, the data's folder, the rows as `table/row`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from replicate.common.files import write_text
from replicate.findings.compute import compute
from replicate.findings.evidence import gather
from replicate.nets import upstream
from replicate.records.run import Record, load_records
from replicate.report.markdown import markdown
from replicate.report.pages import project_pages
from replicate.report.site import Site
from replicate.runs.ask import Ask
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.stages.kind import Inputs, Kind
from replicate.stages.registry import KINDS
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile
from replicate.tables.table import ResultsTable, Step
from tests.tiny import ARCHITECTURE

OPTIONS: dict[str, dict[str, Any]] = {
    "pretrain": {"architecture": ARCHITECTURE, "passes": 1, "batch_size": 16, "max_seq_length": 48},
    "augment": {"copies": 2, "mix": {"unk": 0.4, "truncate": 0.3, "pos_replace": 0.3}},
    "finetune": {"learning_rate": 3e-3, "batch_size": 16, "epochs": 3, "max_seq_length": 48, "batching": "length"},
    "prune": {"learning_rate": 1e-3, "batch_size": 32, "epochs": 1, "max_seq_length": 48},
    "distill": {"copies": 1, "unlabelled": 0.5, "batch_size": 32, "epochs": 2, "max_seq_length": 48},
    "fuse": {"max_seq_length": 48},
    "prompt": {"learning_rate": 3e-3, "batch_size": 16, "steps": 60, "max_seq_length": 48, "batching": "length"},
    "pseudo": {"per_class": 3, "candidates": 60, "max_seq_length": 48},
    "contrast": {"learning_rate": 3e-3, "batch_size": 16, "steps": 30, "max_seq_length": 48},
    "head": {"max_seq_length": 48},
}
# Of a row that trains on some of the lines: the data are few, and a class has two.
SAMPLES = {"sample": {"examples": 100}, "shots": {"per_class": 2}}


def main(store: Path, records: Path, data: Path, *rows: str) -> None:
    """Every stage of these rows, seed 1, their records and a report of them."""
    # Imports before the first stage is told, so that kills meet stages.
    upstream.quiet()
    tables = load_tables()
    # By the name of a profile that the report knows.
    smoke = load_profile("smoke")
    profile = Profile(
        **{
            **vars(smoke),
            "dataset": str(data),
            "unlabelled": str(data / "data.txt"),
            "options": OPTIONS,
            "tables": tuple(tables),
        }
    )
    for name, kind in KINDS.items():
        KINDS[name] = Telling(**vars(kind))
    runner = Runner(profile, Store(store), quiet=True, offline=True)
    asks = []
    for name in rows:
        table, _, row = name.partition("/")
        asks.append(Ask(smaller(tables[table]), row, 1))
    for record in runner.drive(asks):
        assert record.status == "ok", record.reason
        runner.keep(record, records / "records")
    print("stage report", flush=True)
    # Often enough to be met while it writes.
    for _ in range(20):
        write_text(records / "REPORT.md", report_of(load_records(records / "records")))
    print("done", flush=True)


def report_of(records: Sequence[Record]) -> str:
    """A report of nothing else."""
    findings = compute(gather(load_tables(), records, {"smoke": load_profile("smoke")}))
    return "\n".join(markdown(Site(project_pages(findings))).values())


def smaller(table: ResultsTable) -> ResultsTable:
    """The table with samples as in `SAMPLES`."""

    def step(old: Step) -> Step:
        return replace(old, options={**old.options, **SAMPLES.get(old.stage, {})})

    rows = (replace(row, recipe=tuple(map(step, row.recipe))) for row in table.rows)
    return replace(table, rows=tuple(rows))


class Telling(Kind):
    """A stage that says when it begins."""

    def __call__(self, inputs: Inputs) -> dict[str, Any]:
        """Say so, and run."""
        print(f"stage {self.name}", flush=True)
        return super().__call__(inputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
