"""`replicate time` on tiny nets: every runtime, a child process, a data set end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.commands import time as cli
from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.records.timing import BATCHINGS
from replicate.records.timing_file import read_timing
from replicate.timing import contestants
from replicate.timing.contestants import (
    OPENVINO_PYTHON,
    TORCH_PYTHON,
    Child,
    Entrant,
    Models,
    opened,
)
from replicate.timing.dataset import batches_of, label_texts, padded_share
from replicate.timing.grid import SMALL, Heat, compare, cross, field_of, grid
from replicate.timing.random_net import SHAPES, encoder_flops
from replicate.timing.subject import describe, shape_name
from tests.command_line import ran
from tests.tiny import ARCHITECTURE, Made

TINY = {**ARCHITECTURE, "vocab_size": 100, "max_position_embeddings": 64}
# Says what it is given, so that a test knows what was asked; on a third request it dies.
PEER = """
import json, sys
print(json.dumps({"parameters": 7, "bytes": 28, "environment": " ".join(sys.argv[2:])}), flush=True)
for number, line in enumerate(sys.stdin):
    if number == 2:
        raise SystemExit("out of memory")
    batch, length = map(int, line.split())
    print(batch * length, flush=True)
"""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No idle seconds between calls, a store of one's own, and no PyTorch."""
    monkeypatch.setattr("replicate.timing.grid.PAUSE", 0.0)
    monkeypatch.setattr("replicate.timing.dataset.PAUSE", 0.0)
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv(TORCH_PYTHON, raising=False)
    # The command's --threads sets it, and no other test should see that.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """Where random nets are made."""
    (tmp_path / "models").mkdir()
    return Models(tmp_path / "models")


def run(*words: str | Path, accept: bool = False) -> int:
    """`replicate time` with these words."""
    return ran(cli, *words, "--quiet")


def test_models_in_every_runtime(finetuned: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two folders race in each runtime of the package; the record holds raw seconds, and no place of this machine."""
    pair = [tmp_path / "base", tmp_path / "other"]
    for folder in pair:
        folder.symlink_to(finetuned.folder)
    runtimes = ("dygraph", "paddle-inference", "onnxruntime")
    sizes = ("--batch=1,3", "--length=8", "--rounds=3", "--warmups=1", "--threads=1")
    assert run(*pair, f"--runtimes={','.join(runtimes)},pytorch", *sizes) == 0
    path = tmp_path / "store" / "timing" / "cpu-1.json"
    record = read_timing(path)
    assert record.threads == record.device["threads"] == 1
    assert [(one.batch, one.length, one.rounds) for one in record.comparisons] == [(1, 8, 3), (3, 8, 3)]
    for comparison in record.comparisons:
        assert (comparison.weights, comparison.shape) == ("trained", "1 x 48")
        assert [one.label for one in comparison.contestants] == [
            f"{runtime} fp32 {model}" for runtime in runtimes for model in ("base", "other")
        ]
        assert {one.parameters for one in comparison.contestants} == {finetuned.summary["parameters"]}
        assert list(comparison.left_out) == ["pytorch fp32 base", "pytorch fp32 other"]
    shown = capsys.readouterr().out
    assert f"left out: pytorch fp32 base: {TORCH_PYTHON} is not set" in shown
    assert f"record in {path}" in shown
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    assert [one.name for one in (tmp_path / "store").iterdir()] == ["timing"]


def test_accepted_record_is_kept(
    finetuned: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --accept the record is in measured/timing/ and the report is written; --json prints the table's rows."""
    written: list[int] = []
    monkeypatch.setattr("replicate.commands.session.MEASURED", tmp_path / "measured")
    monkeypatch.setattr("replicate.report.build.write", lambda: written.append(1))
    words = ("--runtimes=dygraph", "--batch=2", "--length=4", "--rounds=2", "--name=mine", "--accept", "--json")
    assert run(finetuned.folder, *words) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["runtime"], row["batch × length"], row["width"]) == ("dygraph", "2 × 4", "1")
    assert written == [1]
    assert read_timing(tmp_path / "measured" / "timing" / "mine.json").name == "mine"


def test_dataset_end_to_end(finetuned: Made, data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The dev texts are timed in both batchings, and padding is told."""
    words = ("--runtimes=dygraph", "--dataset", data_folder, "--rounds=2", "--limit=40", "--json")
    assert run(finetuned.folder, *words) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["texts"] == 40
    assert 0 < row["padding, by length"] < row["padding, file order"] < 1
    assert len(row["speed-up"]) == 4


def test_labels_do_not_depend_on_the_batching(finetuned: Made, dataset: Dataset) -> None:
    """Sorted by length or not, every text gets its own label back in its own place."""
    from replicate.inference.predict import predict
    from replicate.inference.runtime import open_runtime

    runtime = open_runtime(finetuned.folder)
    expected = [one.label for one in predict(finetuned.folder, dataset.dev.texts)]
    assert len(set(expected)) > 1
    for how in BATCHINGS:
        assert label_texts(runtime, dataset.dev.texts, 32, how, 128) == expected


def test_padding_is_counted() -> None:
    """Lengths 1, 9, 1, 9 in pairs: 16 of 36 tokens are padding in file order, none by length; a rest is a batch too."""
    lengths = [1, 9, 1, 9]
    assert padded_share(lengths, 2, "file order") == pytest.approx(16 / 36)
    assert padded_share(lengths, 2, "by length") == 0
    assert [list(one) for one in batches_of([5, 3, 4], 2, "file order")] == [[0, 1], [2]]
    assert [list(one) for one in batches_of([5, 3, 4], 2, "by length")] == [[1, 2], [0]]


def test_random_nets_of_a_shape(models: Models) -> None:
    """A heat makes its nets, compares the whole one with the pruned, and says that their weights are random."""
    heat = Heat(TINY, 2, 8, cross(("dygraph",), ("fp32", "int8"), ("1", "1/2")), rounds=2, warmups=0)
    with field_of(models, "cpu", 1) as field:
        found = compare(heat, field)
    assert (found.weights, found.shape) == ("random", "1 x 48")
    whole, half = found.contestants
    assert whole.parameters > half.parameters
    assert whole.flops == encoder_flops(TINY, Fraction(1), 2, 8)
    assert found.base_of(half) == whole
    assert found.base_of(whole) is None
    assert set(found.left_out) == {"dygraph int8 1", "dygraph int8 1/2"}
    assert [len(samples) for samples in found.seconds.values()] == [2, 2]


@pytest.mark.slow
def test_default_dynamic_graph_runs_in_its_own_process(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child has none of this package's settings, as installed not even threads, and answers with its seconds."""
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")
    subject = models.random(TINY, "1/2")
    started: list[dict[str, str]] = []
    popen = subprocess.Popen

    def spy(command: Sequence[str], **options: Any) -> Any:
        started.append(options["env"])
        return popen(command, **options)

    monkeypatch.setattr("subprocess.Popen", spy)
    for runtime, threads in (("dygraph-as-installed", 1), ("dygraph-default", 2)):
        with opened(subject, Entrant(runtime), models, "cpu", 2) as child:
            call = child.call(2, 8)
            seconds = [call(), call()]
            assert all(one is not None and 0 < one < 10 for one in seconds)
            assert child.environment == f"default flags, OMP_NUM_THREADS {threads}"
    with opened(subject, Entrant("dygraph"), models, "cpu", 1) as here:
        assert child.parameters == here.parameters
        assert child.bytes == here.bytes
    installed, default = started
    assert "OMP_NUM_THREADS" not in installed
    assert default["OMP_NUM_THREADS"] == "2"
    assert not {"FLAGS_use_stride_kernel", "MKL_DEBUG_CPU_TYPE"} & (set(installed) | set(default))


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in PyTorch's place."""
    path = tmp_path / "peer.py"
    path.write_text(PEER, encoding="utf-8")
    monkeypatch.setattr(contestants, "PEER", path)
    monkeypatch.setenv(TORCH_PYTHON, sys.executable)
    return path


def test_peer_answers_with_its_seconds(peer: Path, finetuned: Made, models: Models) -> None:
    """PyTorch's Python is given config, threads, device and precision; its death is one line with its last word."""
    with opened(describe(finetuned.folder), Entrant("pytorch"), models, "cpu", 2) as child:
        assert (child.parameters, child.bytes, child.environment) == (7, 28, "2 cpu fp32")
        assert child.call(3, 8)() == 24
        assert child.call(1, 1)() == 1
        with pytest.raises(UserError, match=r"ended: out of memory$"):
            child.call(1, 1)()


def test_openvino_reads_the_graph_in_fp32(
    finetuned: Made, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its program is given the ONNX graph, of which it makes its own int8; without its Python it is left out."""
    told = 'import json, sys; print(json.dumps({"parameters": 1, "bytes": 1, "environment": " ".join(sys.argv[1:])}))'
    path = tmp_path / "peer.py"
    path.write_text(told, encoding="utf-8")
    monkeypatch.setattr(contestants, "OPENVINO_PEER", path)
    subject, entrant = describe(finetuned.folder), Entrant("openvino", "int8")
    monkeypatch.delenv(OPENVINO_PYTHON, raising=False)
    with pytest.raises(UserError, match=f"{OPENVINO_PYTHON} is not set"), opened(subject, entrant, models, "cpu", 2):
        pass
    monkeypatch.setenv(OPENVINO_PYTHON, sys.executable)
    with opened(subject, entrant, models, "cpu", 2) as child:
        graph, *words = child.environment.split(" ")
        assert words == ["2", "cpu", "int8"]
        assert Path(graph) == models.exported(subject, "onnx", False) / "model.onnx"


@pytest.mark.parametrize("program", ["raise SystemExit('no torch here')", "print('hello', flush=True)"])
def test_child_that_does_not_describe_itself(program: str) -> None:
    """What ends at once, or talks of something else, is refused."""
    with (
        pytest.raises(UserError, match="no torch here|does not describe itself"),
        Child.start([sys.executable, "-c", program], dict(os.environ)),
    ):
        pass


def test_child_is_gone_afterwards() -> None:
    """However the block ends, the process has ended."""
    program = 'import time; print(\'{"parameters": 1, "bytes": 1, "environment": ""}\', flush=True); time.sleep(60)'
    with pytest.raises(KeyboardInterrupt), Child.start([sys.executable, "-c", program], dict(os.environ)) as child:
        raise KeyboardInterrupt
    assert child.process.returncode is not None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("MODEL", "--widths=1/2"), "--shape, --widths and --grid are for random weights"),
        (("--grid=full", "--dataset=generated"), "a grid has no data set"),
        (("MODEL", "--length=4096"), "--length 4096 is more than the net can read"),
        (("--widths=0.6",), "width 3/5 does not divide 12 attention heads"),
        (("--name=../x",), "is no name for a record"),
        (("nowhere",), "nowhere: not a model folder"),
        (("MODEL", "--runtimes=pytorch"), f"{TORCH_PYTHON} is not set"),
        (("MODEL", "--warmups=-1"), "--warmups -1 is negative"),
    ],
)
def test_bad_words_are_refused(words: tuple[str, ...], complaint: str, finetuned: Made, tmp_path: Path) -> None:
    """Each is one line, and leaves no record."""
    with pytest.raises(UserError) as refused:
        run(*(finetuned.folder if word == "MODEL" else word for word in words))
    assert complaint in str(refused.value)
    assert not (tmp_path / "store" / "timing").exists()


@pytest.mark.parametrize("words", [("--batch=0",), ("--runtimes=tensorrt",), ("--length=a",), ("--rounds=0",)])
def test_bad_values_are_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse names the option."""
    with pytest.raises(SystemExit):
        run(*words)
    assert words[0].partition("=")[0] in capsys.readouterr().err


def test_grids(models: Models) -> None:
    """Heats have ids of their own, labels are not repeated, bases stand first, and the goals' contestants take part."""
    for device in ("cpu", "gpu"):
        for name in ("quick", "full"):
            heats = grid(name, device)
            assert len({heat.id for heat in heats}) == len(heats)
            for heat in heats:
                assert len(set(heat.entrants)) == len(heat.entrants)
                assert heat.entrants[0].model == "1"
                assert heat.rounds >= 6
    full = {heat.id: heat for heat in grid("full", "cpu")}
    assert {entrant.runtime for entrant in full["ernie-3.0-base-32x32"].entrants} == set(cli.ALL_RUNTIMES)
    assert {entrant.precision for entrant in grid("full", "gpu")[0].entrants} == {"fp32", "fp16"}
    assert shape_name(SHAPES["medium"]) == "ernie-3.0-medium"
    assert shape_name(SMALL) == "2 x 768"


def test_calls_hold_no_padding() -> None:
    """Token ids of a call are the same every time, and none is the padding's."""
    first, again = (contestants.token_ids(100, 4, 8) for _ in range(2))
    assert first.shape == (4, 8)
    assert first.min() > 0
    assert np.array_equal(first, again)
