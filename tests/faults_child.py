"""Run one row from nothing to its report, telling each stage: what `test_faults.py` kills.

Arguments: a store, a folder for record and report, the data's folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replicate import compat, report, run
from replicate.files import write_text
from replicate.profile import Profile, load_profile
from replicate.record import Record, load_records
from replicate.stages import STAGES
from replicate.store import Store
from replicate.table_file import load_tables
from tests.tiny import ARCHITECTURE

OPTIONS: dict[str, dict[str, Any]] = {
    "pretrain": {"architecture": ARCHITECTURE, "passes": 1, "batch_size": 16, "max_seq_length": 48},
    "augment": {"copies": 2, "mix": {"unk": 0.4, "truncate": 0.3, "pos_replace": 0.3}},
    "finetune": {"learning_rate": 3e-3, "batch_size": 16, "epochs": 3, "max_seq_length": 48, "batching": "length"},
    "prune": {"learning_rate": 1e-3, "batch_size": 32, "epochs": 1, "max_seq_length": 48},
}


def main(store: Path, records: Path, data: Path) -> None:
    """Every stage of the article's row of width 1/2, seed 1, its record and a report of it."""
    # Imports before the first stage is told, so that kills meet stages.
    compat.quiet()
    tables = load_tables()
    article = tables["ernie3_kuake_qic"]
    # By the name of a profile that the report knows.
    smoke = load_profile("smoke")
    profile = Profile(
        **{
            **vars(smoke),
            "dataset": str(data),
            "unlabelled": str(data / "data.txt"),
            "options": OPTIONS,
            "tables": (article.id,),
        }
    )
    for name, stage in STAGES.items():
        STAGES[name] = telling(name, stage)  # type: ignore[index]
    runner = run.Runner(profile, Store(store), quiet=True, offline=True)
    runner.keep(runner.run(article, "prune-1-2", 1), records / "records")
    print("stage report", flush=True)
    # Often enough to be met while it writes.
    for _ in range(20):
        write_text(records / "REPORT.md", report_of(load_records(records / "records")))
    print("done", flush=True)


def report_of(records: Sequence[Record]) -> str:
    """A report of nothing else."""
    return report.render(load_tables(), records, {"smoke": load_profile("smoke")})


def telling(name: str, stage: Any) -> Any:
    """A stage that says when it begins."""

    def told(inputs: Any) -> Any:
        print(f"stage {name}", flush=True)
        return stage(inputs)

    return told


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
