"""Tables with a plan: the synthetic one with made-up records, and a checkout whose rows are real and tiny."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from replicate.common.paths import ROOT
from replicate.records.run import Record
from replicate.tables.file import load_table
from replicate.tables.table import ResultsTable
from tests.killable import without_timings
from tests.synthetic import SMALL, TABLE, record

RULE = """
[sequential]
first = 5
most = 20
alpha = "0.05"
rho = "2"
spending = "power"
metric = "accuracy"
pairing = "seed"
claims = ["prune-lowers"]
margins = { accuracy = { value = "0.010", reason = "no smaller" }, f1 = { value = "0.010", reason = "nor here" } }
[[sequential.added]]
id = "prune-keeps-last"
text = "Pruning keeps the accuracy of the last step."
kind = "keeps"
row = "prune"
against = "base"
metric = "accuracy_last"
provenance = "ours"
"""
TWO = replace(SMALL, nets=2, model=None, unlabelled="generated")

# Rows of a second each. Many wrong words make `less` a claim that is soon decided.
TINY_TABLE = """
schema = 1
id = "tiny_table"
title = "Tiny rows"
main = true
[provenance]
source = "a test"
published = "2026"
language = "English"
retrieved = "2026-01-01"
protocol_known = ["all"]
protocol_unknown = ["nothing"]
[dataset]
name = "generated"
split = "dev"
examples = 600
[statistics]
alpha = { value = "0.05", reason = "usual" }
minimum_seeds = { value = "3", reason = "few" }
[tolerances]
accuracy = { value = "0.05", reason = "wide" }
[[rows]]
id = "base"
title = "Base"
recipe = [{ stage = "sample", examples = 100 }, { stage = "finetune", select = "accuracy" }]
[[rows]]
id = "short"
title = "One epoch"
recipe = [{ stage = "sample", examples = 100 }, { stage = "finetune", select = "accuracy", epochs = 1 }]
[[rows]]
id = "svm"
title = "Baseline"
role = "baseline"
recipe = [{ stage = "svm" }]
[[claims]]
id = "svm-raises"
text = "A baseline is better than a net that has read next to nothing."
kind = "raises"
row = "svm"
against = "short"
metrics = ["accuracy"]
provenance = "a test"
[[claims]]
id = "short-keeps"
text = "One epoch is enough."
kind = "keeps"
row = "short"
against = "base"
metrics = ["accuracy"]
provenance = "a test"
[sequential]
first = 3
most = 8
alpha = "0.05"
rho = "2"
spending = "power"
metric = "accuracy"
pairing = "seed"
claims = ["svm-raises", "short-keeps"]
margins = { accuracy = { value = "0.02", reason = "a test" } }
"""
TINY_PROFILE = """
schema = 1
id = "tiny"
question = "Does it run?"
comparable = false
reason = "a test"
device = "cpu"
dataset = "generated"
seeds = [1, 2]
nets = 2
tables = ["tiny_table"]
unlabelled = "generated"

[pretrain]
architecture = { hidden_size = 24, num_hidden_layers = 1, num_attention_heads = 6, intermediate_size = 24 }
passes = 1
batch_size = 16
max_seq_length = 48

[finetune]
learning_rate = 3e-3
batch_size = 16
epochs = 2
max_seq_length = 48
batching = "length"
"""


def planned(folder: Path, rule: str = RULE) -> ResultsTable:
    """The synthetic table with a plan of its claim, which is about F1 too, and of one more."""
    text = TABLE.replace('metrics = ["accuracy"]', 'metrics = ["accuracy", "f1"]')
    text = text.replace("[[rows]]", '[tolerances.f1]\nvalue = "0.05"\nreason = "as it is"\n[[rows]]', 1)
    (folder / "planned.toml").write_text(text + rule, encoding="utf-8")
    return load_table(folder / "planned.toml")


def runs(row: str, wrongs: Sequence[int], start: int = 1) -> list[Record]:
    """A run a seed, on two nets in turn, each with a last evaluation that is its own score."""
    found = []
    for seed, wrong in enumerate(wrongs, start=start):
        one = record(row, seed, wrong, profile="small")
        history = [{"step": 1, "accuracy": 1 - wrong / 100, "f1": 0.5}]
        stage = {**one.stages[0], "key": f"{row}-{seed}", "seconds": 360.0, "summary": {"history": history}}
        net = {"stage": "pretrain", "key": f"net-{seed % 2}", "config": {"seed": seed % 2}, "seconds": 1800.0}
        shared = {**stage, **net}
        found.append(replace(one, pretrained=f"digest-{seed % 2}", stages=(shared, stage)))
    return found


class Checkout:
    """A checkout with one tiny table and profile, on which the real command runs.

    Args:
        root: where it is made.
        store: of its results.
    """

    def __init__(self, root: Path, store: Path) -> None:
        self.root, self.store = root, store
        if not root.exists():
            shutil.copytree(ROOT / "replicate", root / "replicate", ignore=shutil.ignore_patterns("__pycache__"))
            for folder, name, text in (("expected", "tiny_table", TINY_TABLE), ("profiles", "tiny", TINY_PROFILE)):
                (root / folder).mkdir()
                (root / folder / f"{name}.toml").write_text(text, encoding="utf-8")

    @property
    def records(self) -> Path:
        """Where its records are before somebody accepts them."""
        return self.store / "records"

    @property
    def left(self) -> list[str]:
        """What a run may not leave behind in the store."""
        places = ("partial/*", "sweeps/*", "locks/test-*", ".*")
        return [str(path) for place in places for path in self.store.glob(place)]

    @property
    def plan(self) -> Path:
        """Where its plan is kept."""
        return self.records / "tiny" / "plan.json"

    def change(self, old: str, new: str) -> None:
        """Change the table."""
        path = self.root / "expected" / "tiny_table.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def start(self, *words: str, code: str = "") -> subprocess.Popen[str]:
        """`replicate run` under its profile, or what a program makes of these words."""
        program = ["-c", code] if code else ["-m", "replicate"]
        command = [sys.executable, *program, "run", "--profile", "tiny", "--quiet", "--offline", *words]
        variables = {
            "PYTHONPATH": str(self.root),
            "REPLICATE_STORE": str(self.store),
            "REPLICATE_CHECKPOINT": "4",
            # Several processes share the cores, and another number of threads trains another net.
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.Popen(
            command,
            cwd=self.root,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        """The same to its end: what it prints, and what it tells beside that."""
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        assert process.returncode == code, err
        return out, err

    def until_decided(self, *words: str) -> dict[str, dict[str, Any]]:
        """Until the plan's claims are decided: what is said of each."""
        out, _ = self.run("--until-decided", "--json", *words)
        return {one["claim"]: one for one in json.loads(out)}


def records(checkout: Checkout) -> dict[str, Any]:
    """By row and seed, without what a clock decides."""
    paths = sorted(checkout.records.rglob("seed-*.json"))
    return {f"{path.parent.name}-{path.stem}": without_timings(json.loads(path.read_bytes())) for path in paths}
