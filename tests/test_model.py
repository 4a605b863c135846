"""Model folders: what is written reads back the same, and what isn't a model is refused in one line."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.nets.classifier import classifier_from_config, load_classifier, restart
from replicate.nets.device import seed_everything, set_device
from replicate.nets.folder import WEIGHTS, digest_of, save_model, weights_of
from replicate.nets.tokens import SPECIAL_TOKENS, build_vocabulary, encode
from tests.tiny import ARCHITECTURE, Made

HEAD = "classifier.weight"


def weights(source: Path, labels: tuple[str, ...], seed: int) -> dict[str, np.ndarray]:
    """The weights of a classifier at step 0."""
    seed_everything(seed)
    return weights_of(load_classifier(source, labels).network)


def spoil_config(folder: Path, **changes: Any) -> None:
    """Change fields of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.fixture
def copy(finetuned: Made, tmp_path: Path) -> Path:
    """A copy of the fine-tuned folder, to be spoilt."""
    return Path(shutil.copytree(finetuned.folder, tmp_path / "copy"))


def test_seed_decides_the_head(pretrained: Made, dataset: Dataset) -> None:
    """On a pretrained encoder one seed gives one head to the last bit, another seed another one."""
    first, again, other = (weights(pretrained.folder, dataset.labels, seed) for seed in (1, 1, 2))
    assert digest_of(first) == digest_of(again)
    assert digest_of(first) != digest_of(other)
    assert not np.array_equal(first[HEAD], other[HEAD])
    encoder = [name for name in first if name.startswith("ernie.")]
    assert all(np.array_equal(first[name], other[name]) for name in encoder)


def test_seed_decides_a_random_start(dataset: Dataset, tmp_path: Path) -> None:
    """Every weight of a net without pretraining follows from the seed, `restart` included."""
    vocabulary = build_vocabulary(dataset.train.texts)

    def built(seed: int) -> str:
        seed_everything(seed)
        classifier = classifier_from_config(ARCHITECTURE, vocabulary, dataset.labels, tmp_path)
        seed_everything(seed)
        assert digest_of(weights_of(restart(classifier).network)) == digest_of(weights_of(classifier.network))
        return digest_of(weights_of(classifier.network))

    assert built(1) == built(1)
    assert built(1) != built(2)


def test_seeds_reach_python_and_numpy() -> None:
    """Python's and NumPy's own generators are seeded too, and a seed that NumPy doesn't take is refused."""
    import random

    drawn = []
    for _ in range(2):
        seed_everything(2**32 - 1)
        drawn.append((random.random(), float(np.random.random())))
    assert drawn[0] == drawn[1]
    for seed in (-1, 2**32):
        with pytest.raises(UserError, match=f"seed is {seed}; it must be from 0 to 4294967295"):
            seed_everything(seed)


def test_safetensors_round_trip(finetuned: Made, tmp_path: Path) -> None:
    """A folder that is loaded and saved again holds the same weights, labels, vocabulary and token ids."""
    classifier = load_classifier(finetuned.folder)
    assert digest_of(weights_of(classifier.network)) == finetuned.summary["weights"]
    save_model(classifier.network, classifier.tokenizer, tmp_path, classifier.labels)
    again = load_classifier(tmp_path)
    assert digest_of(weights_of(again.network)) == finetuned.summary["weights"]
    assert again.labels == classifier.labels
    assert again.parameters == finetuned.summary["parameters"]
    assert (tmp_path / "vocab.txt").read_bytes() == (finetuned.folder / "vocab.txt").read_bytes()
    texts = ["发热怎么办", "ct检查 MRI"]
    for ours, theirs in zip(encode(again.tokenizer, texts), encode(classifier.tokenizer, texts), strict=True):
        assert np.array_equal(ours, theirs)


def test_digest_sees_names_shapes_and_values() -> None:
    """Equal bytes under another name, shape or type are other weights; the order of the names is not."""
    one, two = np.zeros((2, 3), dtype=np.float32), np.ones(2, dtype=np.float32)
    whole = digest_of({"a": one, "b": two})
    assert whole == digest_of({"b": two, "a": one})
    others: list[dict[str, np.ndarray]] = [
        {"a": one, "c": two},
        {"a": one.reshape(3, 2), "b": two},
        {"a": one.view(np.int32), "b": two},
    ]
    assert whole not in [digest_of(other) for other in (*others, {"a": one, "b": two + 1e-7})]


def test_vocabulary_is_made_of_characters() -> None:
    """Special tokens first, then characters by frequency; rare ones and spaces are left out, Latin ones get pieces."""
    assert build_vocabulary(["发热发热", "发A a"], minimum_count=2) == (*SPECIAL_TOKENS, "发", "a", "热", "##a")


def test_encode_adds_ends_and_cuts(finetuned: Made) -> None:
    """[CLS] and [SEP] stand around the text and survive the cut; an unknown character becomes [UNK]."""
    tokenizer = load_classifier(finetuned.folder).tokenizer
    short, empty, long = encode(tokenizer, ["㍿", "", "病" * 50], 10)
    assert short.tolist() == [tokenizer.cls_token_id, tokenizer.unk_token_id, tokenizer.sep_token_id]
    assert empty.tolist() == [tokenizer.cls_token_id, tokenizer.sep_token_id]
    assert len(long) == 10
    assert long[-1] == tokenizer.sep_token_id


class Bomb:
    """An object whose unpickling leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_pickle_is_never_read(copy: Path, dataset: Dataset, tmp_path: Path) -> None:
    """PaddleNLP's `model_state.pdparams` is a pickle: alone it is no model, beside safetensors it is not looked at."""
    for name in ("model_state.pdparams", "model.pdiparams.info", "optimizer.pdopt"):
        (copy / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    load_classifier(copy)
    (copy / WEIGHTS).unlink()
    with pytest.raises(UserError, match=f"{WEIGHTS} is missing"):
        load_classifier(copy, dataset.labels)
    assert not (tmp_path / "exploded").exists()


def test_file_is_no_model(copy: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """A file's bare name is not taken for a PaddleNLP name, by which it would be unpickled."""
    (copy / "weights.pdparams").write_bytes(pickle.dumps(Bomb(copy / "exploded")))
    monkeypatch.chdir(copy)
    with pytest.raises(UserError, match="no such model folder"):
        load_classifier("weights.pdparams", dataset.labels)
    assert not (copy / "exploded").exists()


@pytest.mark.parametrize("name", ["config.json", WEIGHTS, "vocab.txt", "label.txt"])
def test_missing_file_is_named(copy: Path, name: str) -> None:
    """A folder without one of its files is refused with that file's name."""
    (copy / name).unlink()
    with pytest.raises(UserError, match=name):
        load_classifier(copy)


def test_missing_folder_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    """A path that isn't there is no PaddleNLP name."""
    for labels in (None, dataset.labels):
        with pytest.raises(UserError, match="no such model folder"):
            load_classifier(tmp_path / "none", labels)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config.json", b"[]"),
        ("config.json", b"{"),
        ("config.json", b"\xff"),
        ("config.json", b"null"),
        ("vocab.txt", b""),
        ("vocab.txt", b"\xff\xfe"),
        ("vocab.txt", "甲\n乙\n".encode()),
        ("vocab.txt", "[UNK]\n甲\n".encode()),
        (WEIGHTS, b""),
        (WEIGHTS, b"\x00" * 64),
        (WEIGHTS, pickle.dumps({"a": 1})),
        ("label.txt", b""),
        ("label.txt", b"\xff"),
    ],
)
def test_garbage_is_refused(copy: Path, name: str, data: bytes) -> None:
    """A file that is not what its name says gives one line that names a file of the folder, never a traceback."""
    (copy / name).write_bytes(data)
    with pytest.raises(UserError) as caught:
        load_classifier(copy)
    assert str(caught.value).startswith(str(copy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 24},
        {"hidden_size": "wide"},
        {"num_attention_heads": 5},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": 2},
        {"intermediate_size": None},
        {"vocab_size": -1},
        {"vocab_size": 10},
        {"hidden_act": "none such"},
        {"kept_heads": 3},
        {"kept_heads": 3, "kept_neurons": 24},
        {"kept_heads": "three", "kept_neurons": 24},
        {"kept_last_neurons": 24},
    ],
)
def test_config_that_does_not_fit_is_refused(copy: Path, changes: dict[str, Any]) -> None:
    """A configuration that no net has, or that the weights don't have, is refused; fewer layers are not cut off."""
    spoil_config(copy, **changes)
    with pytest.raises(UserError, match=r"config\.json|no net has this configuration|the net has"):
        load_classifier(copy)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 6 * 10**6}, "word embeddings of .* × 6000000 are asked for"),
        ({"vocab_size": 2 * 10**9}, "word embeddings of 2000000000 × 48 are asked for"),
        ({"num_hidden_layers": 10**6}, "1000000 layers are asked for, the weights have 1"),
        ({"intermediate_size": 10**9}, "1000000000 hidden units are asked for"),
        ({"max_position_embeddings": 10**10}, "10000000000 positions are asked for"),
    ],
)
def test_size_is_checked_before_memory_is_taken(
    copy: Path, changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration of terabytes is refused by the weights' header; no net is begun."""
    from paddlenlp.transformers import ErnieForSequenceClassification

    def build(*_: Any, **__: Any) -> None:
        raise AssertionError("a net was begun")

    spoil_config(copy, **changes)
    monkeypatch.setattr(ErnieForSequenceClassification, "__init__", build)
    with pytest.raises(UserError, match=words):
        load_classifier(copy)


@pytest.mark.parametrize(
    "data",
    [
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        b"\xff" * 8,
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
    ],
    ids=["no memory has it", "a list", "no shape", "all ones", "deep"],
)
def test_header_is_checked(copy: Path, data: bytes) -> None:
    """A header that lies of its length, or is something else, is one line that names the file."""
    (copy / WEIGHTS).write_bytes(data)
    with pytest.raises(UserError, match=f"{WEIGHTS}: not a safetensors file"):
        load_classifier(copy)


def test_truncated_weights_are_refused_by_their_length(copy: Path) -> None:
    """A file that ends early is found before it is read."""
    data = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(data[:-4])
    with pytest.raises(UserError, match=f"it has {len(data) - 4} bytes, its header speaks of {len(data)}"):
        load_classifier(copy)


def test_own_labels_need_the_own_head(copy: Path, pretrained: Made, dataset: Dataset) -> None:
    """Without labels given, a head of another size or none at all is refused: a random one would predict noise."""
    (copy / "label.txt").write_text("甲\n乙\n", encoding="utf-8")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps(config | {"id2label": {"0": "甲", "1": "乙"}}), encoding="utf-8")
    with pytest.raises(UserError, match=r"classifier\.\w+ is missing or has another shape"):
        load_classifier(copy)
    shutil.copy(copy / "label.txt", pretrained.folder / "label.txt")
    try:
        with pytest.raises(UserError, match=r"classifier\.\w+ is missing"):
            load_classifier(pretrained.folder)
    finally:
        (pretrained.folder / "label.txt").unlink()
    assert load_classifier(copy, dataset.labels[:4]).network.classifier.weight.shape[1] == 4


def test_vocabulary_larger_than_the_net_is_refused(copy: Path) -> None:
    """A token without an embedding is found when the folder is loaded, not when it first occurs in a text."""
    with (copy / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("㍿\n")
    with pytest.raises(UserError, match=r"vocab\.txt: \d+ tokens, but the net has \d+"):
        load_classifier(copy)


def test_device_must_exist() -> None:
    """A GPU that this machine can't use, and a device that Paddle doesn't know, are the user's errors."""
    set_device("cpu")
    import paddle

    if not paddle.is_compiled_with_cuda():
        with pytest.raises(UserError, match="no CUDA support"):
            set_device("gpu")
    with pytest.raises(UserError, match="choose one of cpu, gpu"):
        set_device("abacus")
