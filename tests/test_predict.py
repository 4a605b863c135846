"""Every text has one prediction, in order, whatever it is and however many there are."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.inference.predict import Labeller, Prediction, chunks, predict, static_logits
from replicate.inference.runtime import open_runtime
from replicate.nets import batching
from replicate.nets.tokens import CHARACTERS, encode
from replicate.scores.packing import unpack_predictions
from tests.tiny import Made

LENGTH = 48
ODD = ("病" * 5000, "㍿𠮷", "CT 检查 MRI", "a\tb", "胃疼怎么办")
EMPTY = ("", " ", "\t \u3000", "\u200b")


@pytest.fixture(scope="module")
def labeller(finetuned: Made) -> Labeller:
    """The fine-tuned net, four texts at a time."""
    return Labeller(open_runtime(finetuned.folder), LENGTH, 4)


def test_order_is_kept(finetuned: Made, dataset: Dataset) -> None:
    """The labels of the dev texts are those of the evaluation, in the order of the texts."""
    found = list(predict(finetuned.folder, dataset.dev.texts, LENGTH))
    assert [one.text for one in found] == list(dataset.dev.texts)
    expected = unpack_predictions(finetuned.summary["evaluation"]["predictions"])
    assert [one.label for one in found] == [dataset.labels[i] for i in expected]
    backwards = list(predict(finetuned.folder, dataset.dev.texts[::-1], LENGTH))[::-1]
    assert [one.label for one in backwards] == [one.label for one in found]


def test_pruned_folder_predicts(pruned: Made, dataset: Dataset) -> None:
    """A pruned folder is a model like any other: its predictions are those of the exported graph."""
    found = predict(pruned.folder, dataset.dev.texts, LENGTH)
    expected = unpack_predictions(pruned.summary["evaluation"]["predictions"])
    assert [one.label for one in found] == [dataset.labels[i] for i in expected]


def test_any_text_is_labelled(labeller: Labeller) -> None:
    """Very long, unknown and mixed texts each get one label and a probability."""
    found = labeller.label(ODD)
    assert [one.text for one in found] == list(ODD)
    for one in found:
        assert one.label in labeller.runtime.labels
        assert one.probability is not None
        assert 1 / len(labeller.runtime.labels) <= one.probability <= 1
    assert [one.truncated for one in found] == [True, False, False, False, False]
    assert labeller.label([]) == []


def test_what_has_no_text_has_no_label(labeller: Labeller) -> None:
    """Nothing, spaces and characters that nobody sees keep their place, and are not given a label made up."""
    mixed = [text for pair in zip(EMPTY, ODD, strict=False) for text in pair]
    found = labeller.label(mixed)
    assert found[::2] == [Prediction(text, None, None) for text in EMPTY]
    assert found[0].to_json() == {"text": "", "label": None, "probability": None, "truncated": False}
    assert [one.label for one in found[1::2]] == [one.label for one in labeller.label(ODD[: len(EMPTY)])]
    assert [one.label for one in labeller.label(EMPTY)] == [None] * len(EMPTY)


def test_long_text_is_cut(labeller: Labeller) -> None:
    """Beyond the maximum length nothing counts; a text that just fits is whole."""
    one, two, fitting = labeller.label(["病" * 46 + "胃疼", "病" * 46 + "怎么办", "病" * 46])
    assert one.probability == pytest.approx(two.probability, abs=1e-6)
    assert one.probability == pytest.approx(fitting.probability, abs=1e-6)
    assert (one.truncated, two.truncated, fitting.truncated) == (True, True, False)


# Words of several pieces, words that are unknown, digits, accents, punctuation and wide characters.
WORDS = st.text(st.sampled_from(string.ascii_letters + string.digits + "胃疼怎么办𠮷é，。-?\u3000 \t"), max_size=200)


@given(st.lists(WORDS, min_size=1, max_size=30))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_first_characters_are_enough(labeller: Labeller, words: list[str]) -> None:
    """Cut to 64 characters a token before it is tokenised, a text has the same tokens as the whole."""
    text = "".join(words)
    for length in (3, 7, 20):
        small = Labeller(labeller.runtime, length, 4)
        (row,), (truncated,) = small.rows([text])
        (whole,) = encode(labeller.runtime.tokenizer, [text], length)
        read = text.lstrip()[: CHARACTERS * length]
        # A text with more spaces than 64 for each token is the one that can lose a token.
        if len(row) == length or read == text.lstrip():
            np.testing.assert_array_equal(row, whole)
        assert truncated or read == text.lstrip()


def test_a_huge_text_is_not_read_to_its_end(labeller: Labeller) -> None:
    """The tokenizer never sees more than 64 characters a token, whatever stands before the first of them."""
    seen = []

    class Watched:
        cls_token_id, sep_token_id, unk_token = 1, 2, "[UNK]"

        def tokenize(self, text: str) -> list[str]:
            seen.append(text)
            return list(text)

        def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
            return [3] * len(tokens)

    watched = Labeller(replace(labeller.runtime, tokenizer=Watched()), LENGTH)
    (row,), (truncated,) = watched.rows([" " * 1_000_000 + "病" * 9_000_000])
    assert seen == ["病" * (CHARACTERS * LENGTH)]
    assert (len(row), row[0], row[-1], truncated) == (LENGTH, 1, 2, True)


def test_a_stream_without_end(labeller: Labeller) -> None:
    """Predictions come while the texts do, and no more is read than one chunk has."""
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield f"胃疼{number}"

    first = next(labeller.stream(endless()))
    assert read == len(first) == labeller.batch_size * batching.POOL
    assert [one.text for one in first[:3]] == ["胃疼0", "胃疼1", "胃疼2"]


def test_chunks() -> None:
    """So many texts, or fewer of long ones; all of them, in order."""
    assert list(chunks(["a"] * 5, 2)) == [["a", "a"], ["a", "a"], ["a"]]
    assert list(chunks(["aaa", "a", "a", "aaaa", "a"], 10, characters=4)) == [["aaa", "a"], ["a", "aaaa"], ["a"]]
    assert list(chunks([], 2)) == []


@pytest.mark.parametrize("length", [-1, 0, 2, 129])
def test_length_must_fit(labeller: Labeller, length: int) -> None:
    """A length without room for text, or beyond the net's positions, is refused in words."""
    with pytest.raises(UserError, match=f"max_seq_length is {length}; this net takes 3 to 128 tokens"):
        Labeller(labeller.runtime, length)
    with pytest.raises(UserError, match="batch_size is 0; it must be above 0"):
        Labeller(labeller.runtime, LENGTH, 0)


def test_encoder_is_no_classifier(pretrained: Made) -> None:
    """A pretrained folder, which has no labels, can't predict."""
    with pytest.raises(UserError, match=r"label\.txt"):
        list(predict(pretrained.folder, ["胃疼"]))


def test_static_graph_must_be_there(finetuned: Made, tmp_path: Path) -> None:
    """A folder without a graph, and a graph that is none, are refused in words."""
    with pytest.raises(UserError, match=r"no static graph \(model\.pdmodel\) here"):
        static_logits(finetuned.folder)
    (tmp_path / "model.pdmodel").write_bytes(b"\xff" * 32)
    (tmp_path / "model.pdiparams").write_bytes(b"")
    with pytest.raises(UserError, match="static graph can't be loaded"):
        static_logits(tmp_path)
