"""Fixtures that several test modules share: a generated data set and tiny nets of every stage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate.corpus.formats import Dataset, write_dataset
from replicate.corpus.generated import generate
from replicate.stages.pretrain import PretrainOptions, pretrain
from replicate.stages.prune.options import PruneOptions
from tests.tiny import ARCHITECTURE, QUIET, STUDENT_SHAPES, Made, run_finetune, run_prune

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of this machine, or the one that REPLICATE_CHROMIUM names."""
    found = os.environ.get("REPLICATE_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail("no Chromium here; install one, or name it in REPLICATE_CHROMIUM")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        # A container often lets no process make the namespaces of Chromium's sandbox; the page is our own.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """200 training and 70 dev examples: more than one batch of each, and 200 lines without a label."""
    return generate(examples_train=200, examples_dev=70, unlabelled=200)


@pytest.fixture(scope="session")
def data_folder(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set in the local format."""
    folder = tmp_path_factory.mktemp("data") / "generated"
    write_dataset(dataset, folder)
    return folder


@pytest.fixture(scope="session")
def pretrain_options() -> PretrainOptions:
    """Two passes of a tiny net."""
    return PretrainOptions(
        architecture=ARCHITECTURE, passes=2, batch_size=16, learning_rate=5e-3, heldout=0.1, max_seq_length=48, seed=1
    )


@pytest.fixture(scope="session")
def pretrained(dataset: Dataset, pretrain_options: PretrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A pretrained model folder."""
    folder = tmp_path_factory.mktemp("pretrained")
    return Made(folder, pretrain(dataset.unlabelled, pretrain_options, folder, QUIET))


@pytest.fixture(scope="session")
def finetuned(dataset: Dataset, pretrained: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A fine-tuned model folder, seed 3; it names several classes."""
    return run_finetune(
        dataset, pretrained.folder, tmp_path_factory.mktemp("finetuned"), seed=3, epochs=6, batch_size=8
    )


@pytest.fixture(scope="session")
def fellows(dataset: Dataset, pretrained: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three fine-tuned model folders of one pretrained net, seeds 1 to 3, which label some texts differently."""
    root = tmp_path_factory.mktemp("fellows")
    return tuple(
        run_finetune(dataset, pretrained.folder, root / str(seed), seed, epochs=3, batch_size=8).folder
        for seed in (1, 2, 3)
    )


@pytest.fixture(scope="session")
def kinds(finetuned: Made, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dynamic net, its exports, one of them in 8 bits, and a student that is no ERNIE."""
    from replicate.inference.export import export
    from replicate.nets.classifier import load_classifier
    from replicate.nets.folder import save_model
    from replicate.nets.students import build_student

    root = tmp_path_factory.mktemp("kinds")
    teacher = load_classifier(finetuned.folder)
    student = build_student("bilstm", STUDENT_SHAPES["bilstm"], teacher)
    save_model(student.network, student.tokenizer, root / "student", student.labels)
    for kind in ("onnx", "paddle"):
        export(finetuned.folder, root / kind, kind)
    export(finetuned.folder, root / "int8", "onnx", int8=True, calibration=dataset.train.texts)
    return {"dynamic": finetuned.folder, **{kind: root / kind for kind in ("student", "onnx", "paddle", "int8")}}


@pytest.fixture(scope="session", params=["1/2", "2/3"])
def pruned(
    request: pytest.FixtureRequest, dataset: Dataset, finetuned: Made, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """A pruned model folder of each width; `save_steps` is larger than the number of steps."""
    folder = tmp_path_factory.mktemp("pruned")
    options = PruneOptions(width=request.param, learning_rate=1e-3, epochs=1, max_seq_length=48, save_steps=1000)
    return run_prune(dataset, finetuned.folder, folder, options)
