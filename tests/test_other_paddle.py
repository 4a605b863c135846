"""What this Paddle prunes, another version prunes to the same bits; `tox -e py-paddle3` installs 2.6.2 beside 3.1.1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replicate.common.paths import ROOT
from tests.tiny import Made

PRUNE = """
import json, sys
from pathlib import Path
from replicate.corpus.generated import generate
from replicate.nets import upstream
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import weights_of
from replicate.stages.prune.options import PruneOptions
from tests.tiny import run_prune
upstream.quiet()
import paddle
dataset = generate(examples_train=200, examples_dev=70, unlabelled=200)
options = PruneOptions(width="1/2", learning_rate=1e-3, batch_size=20, epochs=1, max_seq_length=48)
made = run_prune(dataset, Path(sys.argv[1]), Path(sys.argv[2]), options)
tensors = {name: value.tobytes().hex() for name, value in weights_of(load_classifier(made.folder).network).items()}
print(json.dumps({"paddle": paddle.__version__, "steps": made.summary["steps"], "tensors": tensors}))
"""


def test_pruned_weights_are_the_same_bits(finetuned: Made, tmp_path: Path) -> None:
    """Ten steps of PaddleNLP's pruning from one parent: every tensor, under both versions."""
    other = os.environ.get("REPLICATE_OTHER_PADDLE")
    if not other:
        pytest.skip("REPLICATE_OTHER_PADDLE names no folder with another Paddle")
    found = []
    for name, path in (("one", str(ROOT)), ("other", f"{ROOT}{os.pathsep}{other}")):
        command = [sys.executable, "-W", "ignore", "-c", PRUNE, str(finetuned.folder), str(tmp_path / name)]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    one, another = found
    assert one["paddle"] != another["paddle"]
    assert one["steps"] == another["steps"] == 10
    assert len(one["tensors"]) > 20
    assert [name for name, value in one["tensors"].items() if another["tensors"][name] != value] == []
