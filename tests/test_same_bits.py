"""Two processes, the same seed, a CPU: the same bits of every stage, timings apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replicate.common.paths import ROOT
from tests.killable import Run, contents

# Between them they have every stage, both engines of pruning and each kind of transfer text.
ROWS = (
    "ernie3_kuake_qic/prune-1-2",
    "ernie3_kuake_qic/svm",
    "compression/native-1-2",
    "distillation/bilstm-distilled",
    "augmentation/lines-500-duplicate",
    "fusion/base-soup",
    "fusion/stack",
    "few_shot/selftrain-8",
    "few_shot/contrast-8",
    "few_shot/linear-550-chosen",
)
STAGES = {
    *("pretrain", "sample", "holdout", "duplicate", "augment", "finetune", "prune", "distill", "fuse", "svm", "report"),
    *("shots", "choose", "linear", "prompt", "pseudo", "contrast", "head"),
}
# Every net of a store, fused ones too, as both kinds of graph; prints the digests that each export has.
EXPORT = """
import json, sys
from pathlib import Path
from replicate.inference.export import export
store, out = map(Path, sys.argv[1:])
found = {}
for stage in ("finetune", "prune", "distill", "prompt", "fuse"):
    # A mixture with the SVM is no net.
    for model in sorted(one.parent for one in (store / stage).glob("*/config.json")):
        for kind in ("paddle", "onnx"):
            made = export(model, out / f"{model.name}-{kind}", kind)
            found[f"{stage}/{model.name}/{kind}"] = [made.weights, made.files]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_processes_give_the_same_bits(data_folder: Path, tmp_path: Path) -> None:
    """Records, summaries and every file of every artefact; only hashes of strings and folders' names differ."""
    found = []
    for number, name in enumerate(("one", "另 一个")):
        work = tmp_path / name
        run = Run(work, data_folder, *ROWS, PYTHONHASHSEED=str(number + 1))
        assert set(run.stages()) == STAGES
        command = [sys.executable, "-c", EXPORT, str(work / "store"), str(tmp_path / f"exports {number}")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(number + 3)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append((contents(work), json.loads(done.stdout.splitlines()[-1])))
    assert len(found[0][1]) == 26
    assert found[0] == found[1]
