"""A net by name is the checkpoint's, tensor by tensor, or is refused in one line that says which file is at fault."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from replicate.commands.checks import sources
from replicate.common.errors import UserError
from replicate.common.paths import ROOT
from replicate.corpus.fetch import no_network
from replicate.nets import upstream
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import weights_of
from replicate.nets.named import NAMES, Named, content_of
from replicate.nets.pdparams import read_pdparams
from tests.made_up import NANO, encoder_of, make_cache, vocabulary, write_vocabulary, write_weights

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PPNLP_HOME with a cache as upstream fills it."""
    home = tmp_path_factory.mktemp("paddlenlp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPNLP_HOME", str(home))
        make_cache()
    return home


@pytest.fixture
def cache(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Named:
    """A copy of it that a test may spoil; its files are links, so they are replaced and never written into."""
    shutil.copytree(whole, tmp_path / "home", copy_function=os.link)
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "home"))
    return Named(NANO)


def put(path: Path, data: bytes) -> None:
    """A file of its own in the place of the link."""
    path.unlink()
    path.write_bytes(data)


def respelled(one: Named, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
    """The checkpoint with other arrays."""
    one.weights.unlink()
    write_weights(one.weights, change(encoder_of(NANO, 1)))


def bert(one: Named) -> None:
    """Another net's prefix."""
    respelled(one, lambda found: {name.replace("ernie.", "bert."): value for name, value in found.items()})


def shallow(one: Named) -> None:
    """Without the last layer."""
    respelled(one, lambda found: {name: value for name, value in found.items() if ".layers.3." not in name})


def deep(one: Named) -> None:
    """With a layer too many."""
    extra = {f"ernie.encoder.layers.4.{part}": np.zeros(2, dtype=np.float32) for part in ("norm1.bias", "norm2.bias")}
    respelled(one, lambda found: {**found, **extra})


def misshapen(one: Named) -> None:
    """A tensor of another shape."""
    name = "ernie.pooler.dense.weight"
    respelled(one, lambda found: {**found, name: found[name][:, :4]})


def doubled(one: Named) -> None:
    """Another type of number."""
    respelled(one, lambda found: {name: value.astype(np.float64) for name, value in found.items()})


# What is wrong with a cache, the file at fault, and what its line names.
BAD: dict[str, tuple[Callable[[Named], object], str, tuple[str, ...]]] = {
    "prefix": (bert, "weights", ("72 of the 72", "embeddings.word_embeddings.weight", "bert.embeddings")),
    "layer-missing": (shallow, "weights", ("16 of the 72", "encoder.layers.3.")),
    "layer-too-many": (deep, "weights", ("2 tensors", "encoder.layers.4.norm1.bias")),
    "shape": (misshapen, "weights", ("1 of the 72", "pooler.dense.weight")),
    "float64": (doubled, "weights", ("72 of the 72",)),
    "other-name": (
        lambda one: one.weights.rename(one.folder / "ernie_3.0_nano_zh.pdparams"),
        "folder",
        (
            "no model_state.pdparams",
            "it has ernie_3.0_nano_zh.pdparams",
            "rename ernie_3.0_nano_zh.pdparams to model_state.pdparams",
        ),
    ),
    "vocab.txt": (
        lambda one: one.vocabulary.rename(one.folder / "vocab.txt"),
        "folder",
        ("no ernie_3.0_nano_zh_vocab.txt", "it has vocab.txt", "rename vocab.txt to ernie_3.0_nano_zh_vocab.txt"),
    ),
    "safetensors": (
        lambda one: one.weights.rename(one.folder / "model.safetensors"),
        "folder",
        ("model_state.pdparams", "it has model.safetensors", "machine that has it"),
    ),
    "vocabulary-none": (
        lambda one: one.vocabulary.unlink(),
        "folder",
        ("no ernie_3.0_nano_zh_vocab.txt", "machine that has it"),
    ),
    "truncated": (lambda one: put(one.weights, one.weights.read_bytes()[:-1000]), "weights", ("damaged",)),
    "page": (
        lambda one: put(one.weights, b"<!DOCTYPE html><html>login</html>"),
        "weights",
        ("<!DOCTYPE html>", "no pickle"),
    ),
    "empty": (lambda one: put(one.weights, b""), "weights", ("an empty file",)),
    "no-dict": (lambda one: put(one.weights, pickle.dumps([1])), "weights", ("list",)),
    "vocabulary-empty": (lambda one: put(one.vocabulary, b""), "vocabulary", ("vocabulary",)),
    "vocabulary-half": (
        lambda one: put(one.vocabulary, b"".join(one.vocabulary.read_bytes().splitlines(True)[:20_000])),
        "vocabulary",
        ("20000", "40000"),
    ),
    "vocabulary-page": (lambda one: put(one.vocabulary, b"<html>\n" * 20), "vocabulary", ("vocabulary",)),
}


@pytest.mark.parametrize("name", NAMES)
def test_places_are_upstreams(name: str) -> None:
    """Weights, vocabulary and their addresses are those that PaddleNLP itself states."""
    upstream.quiet()
    from paddlenlp.transformers import ErniePretrainedModel, ErnieTokenizer

    weights = ErniePretrainedModel.pretrained_resource_files_map["model_state"][name]
    words = ErnieTokenizer.pretrained_resource_files_map["vocab_file"][name]
    assert Named(name).addresses == (weights, words)
    assert Named(name).vocabulary.name == words.rpartition("/")[2]


def test_upstream_reads_the_made_up_cache_too(cache: Named) -> None:
    """PaddleNLP's own load finds the same files, without a connection, and gives the same encoder and ids."""
    from paddlenlp.transformers import AutoTokenizer, ErnieModel

    classifier = load_classifier(NANO, LABELS)
    with no_network(), pytest.MonkeyPatch.context() as patch:
        # PaddleNLP reads the variable while it is imported.
        patch.setattr(sys.modules["paddlenlp.utils.download.bos_download"], "MODEL_HOME", str(cache.folder.parent))
        network, tokenizer = ErnieModel.from_pretrained(NANO), AutoTokenizer.from_pretrained(NANO)
    ours, theirs = weights_of(classifier.network.ernie), weights_of(network)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    text = "黑苦荞茶的功效与作用 abc12"
    assert classifier.tokenizer.tokenize(text) == tokenizer.tokenize(text)


def test_every_tensor_is_the_checkpoints(cache: Named) -> None:
    """Whatever the seed, the encoder is what the file says; a bare encoder's names are as good."""
    classifier = load_classifier(NANO, LABELS)
    found, wanted = weights_of(classifier.network.ernie), encoder_of(NANO, 1)
    assert {f"ernie.{name}" for name in found} == set(wanted)
    assert all((found[name] == wanted[f"ernie.{name}"]).all() for name in found)
    assert classifier.network.classifier.weight.shape[1] == len(LABELS)
    respelled(cache, lambda arrays: {name.removeprefix("ernie."): value for name, value in arrays.items()})
    bare = weights_of(load_classifier(NANO, LABELS).network.ernie)
    assert all((found[name] == bare[name]).all() for name in found)


@pytest.mark.parametrize("fault", BAD)
def test_bad_cache_is_refused(cache: Named, fault: str) -> None:
    """One line, which names the file at fault and blames the network only where something has to be fetched."""
    spoil, place, words = BAD[fault]
    spoil(cache)
    with no_network(), pytest.raises(UserError) as caught:
        load_classifier(NANO, LABELS)
    line = str(caught.value)
    assert line.startswith(f"{getattr(cache, place)}: ")
    assert "\n" not in line
    assert [word for word in words if word not in line] == []
    assert ("check the network" in line) == (place == "folder" and "rename" not in line)


@pytest.mark.parametrize("fault", BAD)
def test_doctor_names_what_the_run_refuses(cache: Named, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads what the run will load, and asks the address only of what has to be fetched."""
    asked: list[str] = []

    def unavailable(url: str) -> tuple[bool, str]:
        asked.append(url)
        return False, "HTTP 503"

    monkeypatch.setattr(sources, "status_of", unavailable)
    spoil, place, words = BAD[fault]
    spoil(cache)
    check = sources.check_weights(NANO)
    assert not check.ok
    told = f"{check.detail}; {check.fix}"
    assert [word for word in (str(getattr(cache, place)), *words) if word not in told] == []
    assert bool(asked) == (place == "folder") == ("HTTP 503" in check.detail)
    assert check.fix
    assert check.fix not in check.detail


class Bomb:
    """An object whose unpickling leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_weights_can_not_act(cache: Named, tmp_path: Path) -> None:
    """Of the pickle that PaddleNLP gives out only arrays are made; a file that asks for more is refused by name."""
    put(cache.weights, pickle.dumps({"a": Bomb(tmp_path / "exploded")}))
    with pytest.raises(UserError, match=r"pathlib\.Path\.touch|builtins\.getattr|pathlib"):
        load_classifier(NANO, LABELS)
    assert not (tmp_path / "exploded").exists()


# The text "a".
A = b"X\x01\x00\x00\x00a"


def opcodes(*parts: bytes) -> bytes:
    """A pickle of these steps, of protocol 4."""
    return b"\x80\x04" + b"".join(parts) + b"."


def called(module: str, name: str, arguments: bytes, state: bytes = b"") -> bytes:
    """What such a function gives for them, changed by a state."""
    return f"c{module}\n{name}\n".encode() + arguments + b"R" + (state + b"b" if state else b"")


def array(kind: bytes, shape: bytes = b"K\x02\x85", data: bytes = b"C\x08" + bytes(8)) -> bytes:
    """A dict of one array with a type of numbers, a shape and bytes."""
    made = called(
        "numpy.core.multiarray",
        "_reconstruct",
        b"cnumpy\nndarray\nK\x00\x85C\x01b\x87",
        b"(K\x01" + shape + kind + b"\x89" + data + b"t",
    )
    return opcodes(b"}", A, made, b"s")


def kind(code: bytes, state: bytes = b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t") -> bytes:
    """A type of numbers."""
    return called("numpy", "dtype", b"X" + len(code).to_bytes(4, "little") + code + b"\x89\x88\x87", state)


F4 = kind(b"f4")
# Tuples of the one before, twice: to hash the last takes for ever.
DEEP = b")" + b"".join(b"\x94h" + bytes([at]) + b"\x86" for at in range(60))
HOSTILE = {
    "objects": array(kind(b"O8")),
    "a lie about flags": array(kind(b"f4", b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft")),
    "the other order": array(kind(b"f4", b"(K\x03X\x01\x00\x00\x00>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t")),
    "more than its bytes": array(F4, b"J\xff\xff\xff\x7f\x85"),
    "less than nothing": array(F4, b"J\xfe\xff\xff\xff\x85"),
    "a thousand axes": array(F4, b"(" + b"K\x01" * 1000 + b"K\x02t"),
    "an array in an array": array(F4, data=b"]"),
    "a name of tuples": opcodes(b"}", DEEP, b"Ns"),
    "names of tuples": opcodes(b"}(", DEEP, b"Nu"),
    "a set": opcodes(b"\x8f(", DEEP, b"\x90"),
    "a compressor": opcodes(b"}", A, called("_codecs", "encode", b"C\x01aX\x03\x00\x00\x00bz2\x86"), b"s"),
    "a change of ours": opcodes(b"}", A, b"c_codecs\nencode\nN}X\x08\x00\x00\x00__name__", A, b"s\x86bs"),
    "persistent": opcodes(b"}", A, b"Px\ns"),
    "digits": opcodes(b"}", A, b"I" + b"9" * 100_000 + b"\ns"),
}  # fmt: skip


def test_an_array_by_hand(tmp_path: Path) -> None:
    """What the hostile ones below are, but for one thing each."""
    (tmp_path / "a").write_bytes(array(F4, data=b"C\x08" + np.array([1, 2], dtype="f4").tobytes()))
    assert read_pdparams(tmp_path / "a", "?")["a"].tolist() == [1, 2]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_of_arrays_can_not_lie(tmp_path: Path, name: str) -> None:
    """Shapes, types and names that would lead NumPy or Python astray are refused: at once, and in little memory."""
    (tmp_path / "a").write_bytes(HOSTILE[name])
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from replicate.common.errors import UserError\n"
        "from replicate.nets.pdparams import read_pdparams\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try: found = read_pdparams(Path(sys.argv[1]), '?')\n"
        "except UserError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no weights" in done.stdout


def test_weights_are_a_file(tmp_path: Path) -> None:
    """A pipe is not waited for, neither for weights nor for what tells nets apart."""
    os.mkfifo(tmp_path / "model_state.pdparams")
    with pytest.raises(UserError, match="not a file"):
        read_pdparams(tmp_path / "model_state.pdparams", "?")
    os.mkfifo(tmp_path / "config.json")
    assert content_of(tmp_path) == ""


def test_home_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    """PaddleNLP makes folders while it is imported; where it can't, one line names the variable."""
    (tmp_path / "file").touch()
    code = "from replicate.commands.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    words = ["finetune", "--model_name", NANO, "--dataset_dir", str(tmp_path), "--save_dir", str(tmp_path / "new")]
    for name in ("train.txt", "dev.txt"):
        (tmp_path / name).write_text("甲\ta\n乙\tb\n", encoding="utf-8")
    (tmp_path / "label.txt").write_text("a\nb\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *words],
        env={**os.environ, "PPNLP_HOME": str(tmp_path / "file" / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "PPNLP_HOME" in done.stderr


def test_content_is_the_files(cache: Named) -> None:
    """Another checkpoint and another vocabulary are another net, an absent one is none."""
    first = content_of(NANO)
    assert len(first) == 64
    put(cache.vocabulary, cache.vocabulary.read_bytes() + b"x\n")
    second = content_of(NANO)
    respelled(cache, lambda found: {name: value + 1 for name, value in found.items()})
    assert len({first, second, content_of(NANO)}) == 3
    cache.weights.unlink()
    assert content_of(NANO) == ""
    write_vocabulary(cache.vocabulary, vocabulary(10))
