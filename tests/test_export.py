"""An export computes what the dynamic net computes, is written whole or not at all, and says how near it is."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from replicate.commands import export as cli
from replicate.common.errors import UserError
from replicate.corpus import kuake, load_dataset
from replicate.corpus.formats import Dataset, Split
from replicate.inference import export as module
from replicate.inference.export import KINDS, TOLERANCE, export
from replicate.inference.exported import MANIFEST, read_exported
from replicate.inference.runtime import open_runtime
from replicate.nets.classifier import classifier_from_config, load_classifier
from replicate.nets.device import seed_everything
from replicate.nets.tokens import build_vocabulary
from replicate.stages.finetune import FinetuneOptions, finetune
from replicate.verdicts.pairs import mcnemar
from tests.agreement import check_agreement, labels_of
from tests.command_line import ran
from tests.tiny import ARCHITECTURE, QUIET, Made


@pytest.mark.parametrize("kind", KINDS)
def test_finetuned_graph_agrees(finetuned: Made, dataset: Dataset, tmp_path: Path, kind: str) -> None:
    """A fine-tuned net's graph gives its logits and its labels."""
    check_agreement(finetuned.folder, tmp_path / "out", kind, dataset.dev)


@pytest.mark.parametrize("kind", KINDS)
def test_pruned_graph_agrees(pruned: Made, dataset: Dataset, tmp_path: Path, kind: str) -> None:
    """So does a pruned net's, of each width."""
    check_agreement(pruned.folder, tmp_path / "out", kind, dataset.dev)


@pytest.mark.data
def test_labels_agree_on_the_real_dev_set(tmp_path: Path) -> None:
    """A net fine-tuned on KUAKE-QIC and its graphs name the same classes for all 1,955 texts; 8 bits lose little."""
    if kuake.find() is None:
        pytest.skip(f"{kuake.VARIABLE} is not set")
    real = load_dataset(kuake.NAME)
    part = Split(real.train.texts[:1500], real.train.labels[:1500])
    seed_everything(1)
    net = classifier_from_config(ARCHITECTURE, build_vocabulary(part.texts), real.labels, tmp_path)
    options = FinetuneOptions(learning_rate=3e-3, epochs=3, max_seq_length=48)
    finetune(net, part, real.dev, options, 1, tmp_path / "net", QUIET)
    expected = labels_of(open_runtime(tmp_path / "net"), real.dev)
    assert len(set(expected.tolist())) > 3
    for kind in KINDS:
        export(tmp_path / "net", tmp_path / kind, kind)
        assert np.array_equal(labels_of(open_runtime(tmp_path / kind), real.dev), expected)
    export(tmp_path / "net", tmp_path / "int8", "onnx", int8=True, calibration=real.train.texts[:500])
    small = labels_of(open_runtime(tmp_path / "int8"), real.dev)
    gold = np.asarray(real.dev.labels)
    assert (small == expected).mean() > 0.97
    assert mcnemar(small == gold, expected == gold).p > 0.01


@pytest.mark.parametrize(("kind", "least"), [("paddle", 0.6), ("onnx", 0.9)])
def test_int8_agrees_on_most_labels(pruned: Made, dataset: Dataset, tmp_path: Path, kind: str, least: float) -> None:
    """A pruned net in 8 bits gives most labels of its own on texts that it wasn't made with; the manifest says so."""
    manifest = export(pruned.folder, tmp_path / "out", kind, int8=True, calibration=dataset.train.texts)
    dynamic, small = open_runtime(pruned.folder), open_runtime(tmp_path / "out")
    assert small.precision == manifest.precision == "int8"
    share = float((labels_of(dynamic, dataset.dev) == labels_of(small, dataset.dev)).mean())
    assert share >= least
    assert manifest.probe == len(dataset.train.texts)
    assert manifest.agreement >= least
    # In fp32 it would be smaller, and an unquantised graph would pass for a good one.
    assert manifest.max_difference > TOLERANCE


def test_int8_reaches_every_matrix_product(pruned: Made, tmp_path: Path) -> None:
    """All products with weights are of integers: six a layer, the pooler and the classifier."""
    export(pruned.folder, tmp_path / "out", "onnx", int8=True)
    nodes = Counter(node.op_type for node in onnx.load(tmp_path / "out" / "model.onnx").graph.node)
    layers = ARCHITECTURE["num_hidden_layers"]
    assert nodes["MatMulInteger"] == 6 * layers + 2
    # Scores and their weighted sum have no weights.
    assert nodes["MatMul"] == 2 * layers


def test_onnx_graph_takes_any_batch_of_token_ids(finetuned: Made, tmp_path: Path) -> None:
    """One input, int64, both axes free; the word embeddings are stored once, and nothing is that isn't read."""
    export(finetuned.folder, tmp_path / "out", "onnx")
    graph = onnx.load(tmp_path / "out" / "model.onnx").graph
    (source,), (target,) = graph.input, graph.output
    kind = source.type.tensor_type
    assert (source.name, kind.elem_type) == ("input_ids", onnx.TensorProto.INT64)
    assert [axis.dim_param for axis in kind.shape.dim] == ["batch", "length"]
    assert (target.name, target.type.tensor_type.shape.dim[0].dim_param) == ("logits", "batch")
    words = load_classifier(finetuned.folder).network.ernie.embeddings.word_embeddings.weight.shape
    assert [list(one.dims) for one in graph.initializer].count(words) == 1
    read = {name for node in graph.node for name in node.input}
    assert {one.name for one in graph.initializer} <= read
    assert "Constant" not in {node.op_type for node in graph.node}


@pytest.mark.parametrize(("kind", "int8"), [("paddle", False), ("onnx", False), ("onnx", True)])
def test_same_net_same_bytes(finetuned: Made, tmp_path: Path, kind: str, int8: bool) -> None:
    """Two exports of one net are equal, file by file, manifest included; only Paddle's quantiser orders by address."""
    for name in ("one", "two"):
        export(finetuned.folder, tmp_path / name, kind, int8)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_folder_holds_what_predicting_needs(finetuned: Made, tmp_path: Path) -> None:
    """Graph, tokenizer, labels and manifest, and nothing that is read by unpickling."""
    export(finetuned.folder, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"model.pdmodel", "model.pdiparams", "vocab.txt", "tokenizer_config.json", "label.txt"} <= names
    assert not [name for name in names if name.endswith(".info")]
    fields = json.loads((tmp_path / "out" / MANIFEST).read_text(encoding="utf-8"))
    assert set(fields["files"]) == names - {MANIFEST}
    assert fields["weights"] == finetuned.summary["weights"]
    assert fields["parameters"] == finetuned.summary["parameters"]


@pytest.mark.parametrize("error", [1e-4, float("nan")])
def test_wrong_graph_is_not_written(
    finetuned: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    """A graph whose logits are off, or not numbers, is refused and leaves no folder."""
    reopened = module._reopened
    monkeypatch.setattr(module, "_reopened", lambda *args: lambda ids: reopened(*args)(ids) + np.float32(error))
    with pytest.raises(UserError, match="logits differ by"):
        export(finetuned.folder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_encoder_is_refused(pretrained: Made, tmp_path: Path) -> None:
    """A pretrained encoder has no labels, so there is nothing to export."""
    with pytest.raises(UserError, match=r"label\.txt"):
        export(pretrained.folder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_impossible_exports_are_refused(finetuned: Made, tmp_path: Path) -> None:
    """An unknown format and a folder that holds something are named before anything is made."""
    with pytest.raises(UserError, match="format is 'tflite'"):
        export(finetuned.folder, tmp_path / "out", "tflite")
    with pytest.raises(UserError, match="already exists"):
        export(finetuned.folder, Path(shutil.copytree(finetuned.folder, tmp_path / "full")))
    assert not (tmp_path / "out").exists()


def run(*words: object) -> int:
    """`replicate export` with these arguments."""
    return ran(cli, *words)


@pytest.mark.parametrize("kind", KINDS)
def test_command_says_what_it_wrote(
    finetuned: Made, data_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    """Two lines: the difference, and what was written; upstream's own chatter is not among them."""
    words = (finetuned.folder, tmp_path / "out", "--format", kind, "--int8", "--calibration", data_folder / "data.txt")
    assert run(*words) == 0
    printed = capfd.readouterr()
    first, second = printed.out.splitlines()
    numbers = re.fullmatch(r"[^:;]+: (\S+); \D+ ([\d.]+)% of (\d+) probe rows", first)
    assert numbers
    made = read_exported(tmp_path / "out")
    assert (float(numbers[1]), float(numbers[2])) == pytest.approx((made.max_difference, 100 * made.agreement), rel=0.1)
    assert int(numbers[3]) == made.probe == 200
    assert second.endswith(f"MB of weights in {tmp_path / 'out'}")
    assert printed.err == ""


def test_calibration_and_int8_belong_together(finetuned: Made, tmp_path: Path) -> None:
    """Texts for a comparison that isn't made are a mistake, and so are Paddle's 8 bits without texts."""
    with pytest.raises(UserError, match="--calibration is for --int8"):
        run(finetuned.folder, tmp_path / "out", "--calibration", "texts.txt")
    with pytest.raises(UserError, match="name them with --calibration"):
        run(finetuned.folder, tmp_path / "out", "--int8")


def test_examples_are_taken_evenly(finetuned: Made) -> None:
    """Of many texts about 512 are read, from the whole of the file; a handful is read whole."""
    classifier = load_classifier(finetuned.folder)
    rows = [row for ids in module._text_probe(classifier, ["病"] * 4000 + ["病病"] * 1000) for row in ids]
    assert 512 <= len(rows) < 1024
    assert 0.1 < sum(int(np.count_nonzero(row)) == 4 for row in rows) / len(rows) < 0.3
    assert sum(len(ids) for ids in module._text_probe(classifier, ["病"] * 3)) == 3
