"""What fusion makes is a model like every other: an ensemble, a soup, a student of several teachers."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from replicate.commands.main import main
from replicate.corpus.formats import Dataset
from replicate.inference.predict import predict
from tests.agreement import check_agreement
from tests.load import service

TEXT = "胃疼怎么办"


@pytest.fixture(scope="module", params=["ensemble", "soup", "student"])
def made(
    request: pytest.FixtureRequest,
    fellows: tuple[Path, ...],
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder that its command wrote."""
    folder = tmp_path_factory.mktemp("fused") / request.param
    models = [str(one) for one in fellows]
    lines = {
        "ensemble": ["fuse", *models, "--save_dir", str(folder), "--max_seq_length", "48"],
        "soup": ["fuse", *models, "--save_dir", str(folder), "--max_seq_length", "48", "--how", "soup"],
        "student": [
            *("distill", "--teacher", *models, "--student", "cnn", "--copies", "0", "--unlabelled_per_text", "0"),
            *("--dataset_dir", str(data_folder), "--output_dir", str(folder), "--epochs", "3"),
            *("--max_seq_length", "48", "--learning_rate", "1e-2"),
        ],
    }
    assert main(lines[request.param]) == 0
    return folder


@pytest.mark.parametrize("kind", ["onnx", "paddle"])
def test_graph_gives_its_logits(made: Path, dataset: Dataset, tmp_path: Path, kind: str) -> None:
    """One graph, to 1e-5, and every label of dev."""
    check_agreement(made, tmp_path / "graph", kind, dataset.dev)
    assert len(list((tmp_path / "graph").glob("*.onnx"))) == (kind == "onnx")


def test_it_answers_wherever_a_model_answers(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`predict` and `serve` give one label from folder and graph, and `explain` explains it."""
    (expected,) = predict(made, [TEXT], 48)
    graph = tmp_path / "graph"
    assert main(["export", str(made), str(graph), "--format", "onnx"]) == 0
    for folder in (made, graph):
        capsys.readouterr()
        assert main(["predict", str(folder), "--text", TEXT, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["label"] == expected.label
        with service(folder, "--max_seq_length", "48", OMP_NUM_THREADS="1") as running:
            answer = httpx.post(f"{running.url}/predict", json={"text": TEXT}, timeout=30).json()["predictions"][0]
        assert (answer["label"], answer["probability"]) == (
            expected.label,
            pytest.approx(expected.probability, abs=2e-4),
        )
    assert main(["explain", str(made), "--text", TEXT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"][0]["label"] == expected.label


def test_it_is_timed_beside_its_members(
    made: Path, fellows: tuple[Path, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`time` lets it race one of its members, in each runtime."""
    line = ["time", str(fellows[0]), str(made), "--runtimes", "dygraph,onnxruntime,paddle-inference", "--json"]
    assert main([*line, "--batch", "2", "--length", "8", "--rounds", "2", "--warmups", "0", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in found].count(made.name) == 3
