"""Each stage as a command: a whole model folder or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.files import finished_folder
from replicate.corpus.formats import Dataset, write_dataset
from replicate.inference.predict import predict
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.stages.prune.options import ENGINES
from tests.tiny import PROFILE, Made

MODEL = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A profile file of one's own, in a folder of its own."""
    path = tmp_path / "settings" / "tiny.toml"
    path.parent.mkdir()
    path.write_text(PROFILE, encoding="utf-8")
    return path


def names(folder: Path) -> set[str]:
    """What a folder holds."""
    return {path.name for path in folder.iterdir()}


def test_folder_appears_when_it_is_finished(tmp_path: Path) -> None:
    """While it is written the target isn't there; then it holds everything, readable for others, beside nothing."""
    target = tmp_path / "deep" / "model"
    with finished_folder(target) as folder:
        (folder / "file").write_text("x", encoding="utf-8")
        assert not target.exists()
    assert names(target) == {"file"}
    assert names(target.parent) == {"model"}
    assert target.stat().st_mode & 0o055


@pytest.mark.parametrize("error", [ValueError("bug"), UserError("bad"), KeyboardInterrupt()])
def test_failure_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    """An error or an interrupt leaves neither the target nor a half of it."""

    def fail() -> None:
        with finished_folder(tmp_path / "model") as folder:
            (folder / "file").write_text("x", encoding="utf-8")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(tmp_path) == set()


def test_full_folder_is_not_overwritten(tmp_path: Path) -> None:
    """What is there stays; an empty folder is taken; a file is no folder."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    (tmp_path / "empty").mkdir()
    for name in ("old", "old/file"):
        with (
            pytest.raises(UserError, match="already exists; name a folder that is new or empty"),
            finished_folder(tmp_path / name),
        ):
            pytest.fail("it was opened")
    with finished_folder(tmp_path / "empty") as folder:
        (folder / "new").touch()
    assert names(tmp_path / "empty") == {"new"}
    with pytest.raises(UserError, match="can't be written"), finished_folder(tmp_path / "old" / "file" / "model"):
        pytest.fail("it was opened")


def test_pretrain_command(
    config: Path, data_folder: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A net from a profile file, its length overridden; then the same command goes on from the folder it wrote."""
    line = ["pretrain", "--corpus", str(data_folder / "data.txt"), "--config", str(config), "--passes", "1"]
    assert main([*line, "--save_dir", str(tmp_path / "one"), "--seed", "4"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("4 steps; held-out loss ")
    assert f"model in {tmp_path / 'one'}" in told
    assert names(tmp_path / "one") == MODEL
    assert main([*line, "--save_dir", str(tmp_path / "two"), "--model_name", str(tmp_path / "one")]) == 0
    assert names(tmp_path) == {"settings", "one", "two"}
    one, two = (weights_of(load_classifier(tmp_path / name, dataset.labels).network) for name in ("one", "two"))
    word = "ernie.embeddings.word_embeddings.weight"
    assert one[word].shape == two[word].shape
    assert digest_of({word: one[word]}) != digest_of({word: two[word]})


def test_finetune_command(
    pretrained: Made, data_folder: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a model folder under the article's options; the figures printed are those of the folder written."""
    line = f"finetune --model_name {pretrained.folder} --dataset_dir {data_folder} --save_dir {tmp_path / 'model'}"
    options = "--warmup --early_stop --epochs 2 --batch_size 50 --learning_rate 3e-3 --max_seq_length 48"
    assert main([*line.split(), *options.split(), "--logging_steps", "4"]) == 0
    told = capsys.readouterr()
    found = list(predict(tmp_path / "model", dataset.dev.texts, 48))
    right = sum(one.label == dataset.labels[gold] for one, gold in zip(found, dataset.dev.labels, strict=True))
    assert f"of 8: accuracy {right / len(found):.4f}, precision " in told.out
    assert told.err.startswith("finetune step 4/8")
    assert names(tmp_path / "model") == {*MODEL, "label.txt"}


def test_finetune_from_a_checkpoint_or_from_nothing(
    finetuned: Made, config: Path, data_folder: Path, tmp_path: Path
) -> None:
    """`--init_from_ckpt` wins over the model's name; `--config` starts a random net over the training text."""
    common = f"finetune --dataset_dir {data_folder} --epochs 1 --batch_size 100 --learning_rate 1e-12"
    assert main([*common.split(), "--init_from_ckpt", str(finetuned.folder), "--save_dir", str(tmp_path / "a")]) == 0
    start, end = (weights_of(load_classifier(folder).network) for folder in (finetuned.folder, tmp_path / "a"))
    assert max(abs(start[name] - end[name]).max() for name in start) < 1e-6
    assert main([*common.split(), "--config", str(config), "--save_dir", str(tmp_path / "b")]) == 0
    assert load_classifier(tmp_path / "b").network.config.hidden_size == 24


@pytest.mark.parametrize("engine", ENGINES)
def test_prune_command(
    finetuned: Made,
    data_folder: Path,
    dataset: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    engine: str,
) -> None:
    """The model lies in DIR/0.67, as in the article, and the figures printed are its own."""
    line = f"prune --params_dir {finetuned.folder} --dataset_dir {data_folder} --output_dir {tmp_path / 'prune'}"
    line += f" --width_mult 2/3 --num_train_epochs 1 --max_seq_length 48 --engine {engine}"
    assert main(line.split()) == 0
    folder = tmp_path / "prune" / "0.67"
    assert names(folder.parent) == {"0.67"}
    found = list(predict(folder, dataset.dev.texts, 48))
    right = sum(one.label == dataset.labels[gold] for one, gold in zip(found, dataset.dev.labels, strict=True))
    told = capsys.readouterr().out
    assert "step 7 of 7: " in told
    assert f" accuracy {right / len(found):.4f}, " in told


def test_distill_command(
    finetuned: Made, data_folder: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line tells what was made of what; the accuracy is that of the folder written, which every command reads."""
    (tmp_path / "more.txt").write_text("这个病怎么治\n那个病严重吗\n", encoding="utf-8")
    folders = f"--teacher {finetuned.folder} --dataset_dir {data_folder} --output_dir {tmp_path / 'student'}"
    text = f"--copies 1 --mix word_unk=1 --unlabelled {tmp_path / 'more.txt'} --unlabelled_per_text 1.01"
    options = "--student cnn --shape filters=8,embedding_size=16 --epochs 1 --max_seq_length 48 --logging_steps 4"
    assert main(["distill", *folders.split(), *text.split(), *options.split()]) == 0
    told = capsys.readouterr()
    found = list(predict(tmp_path / "student", dataset.dev.texts, 48))
    right = sum(one.label == dataset.labels[gold] for one, gold in zip(found, dataset.dev.labels, strict=True))
    assert told.out.count("\n") == 1
    assert "from 602 texts (200 augmented, 202 unlabelled): " in told.out
    assert f"accuracy {right / len(found):.4f} at step 10 of 10, " in told.out
    assert told.err.startswith("distill step 4/10")
    assert names(tmp_path / "student") == {*MODEL, "label.txt"}
    assert load_classifier(tmp_path / "student").network.config.shape["filters"] == 8


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "finetune --model_name {pretrained} --save_dir {new} --learning_rate 1e9 --epochs 1",
            "training diverged: the loss",
        ),
        ("finetune --model_name {pretrained} --save_dir {new} --max_seq_length 129", "max_seq_length is 129"),
        ("finetune --model_name {data} --save_dir {new}", "not a model folder: config.json is missing"),
        ("prune --params_dir {finetuned} --output_dir {new} --width_mult 2/5", "choose one of 1/6, 1/3, 1/2, 2/3, 5/6"),
        ("prune --params_dir {pretrained} --output_dir {new} --width_mult 1/2", "label.txt: can't read the file"),
        ("distill --teacher {pretrained} --student bow --output_dir {new}", "label.txt: can't read the file"),
        (
            "distill --teacher {finetuned} --student bow --output_dir {new} --unlabelled_per_text 5",
            "1000 unlabelled texts are asked for, and there are 200",
        ),
        ("distill --teacher {finetuned} --student bow --output_dir {new} --alpha 0", "unlabelled text has none"),
        ("distill --teacher {finetuned} --student bow --output_dir {new} --shape filters=8", "has no 'filters'"),
        ("distill --teacher {finetuned} --student bow --output_dir {new} --mix magic=1", "unknown strategy 'magic'"),
        ("distill --teacher {finetuned} --student cnn --output_dir {new} --start teacher", "not both an ERNIE"),
        ("distill --teacher {finetuned} --student bow --output_dir {new} --unlabelled {new}", "can't read the file"),
        (
            "distill --teacher {finetuned} --student bow --output_dir {new} --max_seq_length 129",
            "takes 3 to 128 tokens",
        ),
    ],
)
def test_failed_training_leaves_no_model(
    line: str,
    words: str,
    finetuned: Made,
    pretrained: Made,
    data_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2 with one line, and no file."""
    new = tmp_path / "new"
    folders = {"pretrained": pretrained.folder, "finetuned": finetuned.folder, "data": data_folder, "new": new}
    assert main([*line.format(**folders).split(), "--dataset_dir", str(data_folder)]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name.startswith(".")]


def test_prune_wants_the_labels_of_its_model(
    finetuned: Made, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data whose labels have another order would be scored wrongly, so they are refused."""
    turned = Dataset("turned", dataset.labels[::-1], dataset.train, dataset.dev)
    write_dataset(turned, tmp_path / "data")
    line = f"prune --params_dir {finetuned.folder} --dataset_dir {tmp_path / 'data'} --output_dir {tmp_path / 'new'}"
    assert main([*line.split(), "--width_mult", "1/2"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"replicate: {finetuned.folder}: ")
    assert "other labels" in told
    assert not (tmp_path / "new").exists()


def test_existing_model_stops_before_training(
    finetuned: Made, data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds a model is refused, and the model is still the same."""
    before = (finetuned.folder / "model.safetensors").stat().st_mtime_ns
    line = f"finetune --model_name {finetuned.folder} --save_dir {finetuned.folder} --dataset_dir {data_folder}"
    assert main(line.split()) == 2
    assert "already exists" in capsys.readouterr().err
    assert (finetuned.folder / "model.safetensors").stat().st_mtime_ns == before
