"""Masking is BERT's, the output embedding is tied, and the same seed gives the same net."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.nets.classifier import load_classifier, load_pretrained
from replicate.nets.folder import digest_of, weights_of
from replicate.stages.pretrain import IGNORED, PretrainOptions, mask_tokens, pretrain
from replicate.training.optimisation import Diverged
from tests.tiny import QUIET, Made

PAD, CLS, SEP, MASK, UNK = SPECIAL = range(5)
VOCABULARY = 5000


def batch(rows: int, length: int) -> np.ndarray:
    """Rows of [CLS], ordinary tokens with one [UNK], [SEP] and padding."""
    ids = np.random.default_rng(0).integers(len(SPECIAL), VOCABULARY, (rows, length))
    ids[:, 0], ids[:, 3], ids[:, -3], ids[:, -2:] = CLS, UNK, SEP, PAD
    return ids


def within(found: int, of: int, share: float) -> bool:
    """Whether a count is within four binomial standard deviations of its expectation."""
    return abs(found - of * share) < 4 * math.sqrt(of * share * (1 - share))


def test_masking_is_eighty_ten_ten() -> None:
    """15 % of the tokens are chosen; 80 % of those become [MASK], 10 % another token and 10 % stay."""
    ids = batch(1000, 60)
    masked, targets = mask_tokens(ids, VOCABULARY, SPECIAL, MASK, 0.15, np.random.default_rng(1))
    chosen = targets != IGNORED
    total = int(chosen.sum())
    assert within(total, int((ids >= len(SPECIAL)).sum()), 0.15)
    assert within(int((masked[chosen] == MASK).sum()), total, 0.8)
    assert within(int((masked[chosen] == ids[chosen]).sum()), total, 0.1)
    others = masked[chosen & (masked != MASK) & (masked != ids)]
    assert within(len(others), total, 0.1)
    assert others.min() >= len(SPECIAL)
    assert others.max() > VOCABULARY - 50
    assert np.array_equal(targets[chosen], ids[chosen])
    assert np.array_equal(masked[~chosen], ids[~chosen])


@pytest.mark.parametrize("probability", [0.0, 0.15, 1.0])
def test_specials_are_never_masked(probability: float) -> None:
    """Padding, [CLS], [SEP] and [UNK] stay as they are and are no targets, however much is masked."""
    ids = batch(50, 20)
    masked, targets = mask_tokens(ids, VOCABULARY, SPECIAL, MASK, probability, np.random.default_rng(2))
    special = ids < len(SPECIAL)
    assert np.array_equal(masked[special], ids[special])
    assert (targets[special] == IGNORED).all()
    assert (targets[~special] != IGNORED).all() == (probability == 1.0)


def test_every_row_has_a_target() -> None:
    """A text of one character is always asked for; a row of special tokens only has nothing to ask."""
    ids = np.full((200, 4), PAD)
    ids[:, :3] = CLS, 77, SEP
    ids[-1, 1] = UNK
    targets = mask_tokens(ids, VOCABULARY, SPECIAL, MASK, 0.15, np.random.default_rng(3))[1]
    assert (targets[:-1, 1] == 77).all()
    assert (targets[-1] == IGNORED).all()


def test_summary_tells_what_was_done(pretrained: Made, dataset: Dataset) -> None:
    """Steps follow from lines, batch and passes; the net learns: the held-out loss falls."""
    found = pretrained.summary
    assert found["lines"] == len(dataset.unlabelled) == 200
    assert found["steps"] == 2 * math.ceil(180 / 16)
    assert found["history"][-1]["step"] == found["steps"]
    assert found["heldout_loss"] == found["history"][-1]["heldout_loss"] < found["history"][0]["heldout_loss"]
    assert 0 <= found["heldout_accuracy"] <= 1
    assert found["weights"] != found["weights_step0"]


def test_output_embedding_is_tied(pretrained: Made) -> None:
    """The layer that names the masked character is the input embedding itself, after loading too."""
    from paddlenlp.transformers import ErnieForMaskedLM

    network, _ = load_pretrained(ErnieForMaskedLM, pretrained.folder)
    assert network.cls.predictions.decoder.weight is network.ernie.embeddings.word_embeddings.weight
    weights = weights_of(network)
    assert digest_of(weights) == pretrained.summary["weights"]
    assert np.array_equal(weights["cls.predictions.decoder.weight"], weights["ernie.embeddings.word_embeddings.weight"])


def test_classifier_starts_from_it(pretrained: Made, dataset: Dataset) -> None:
    """The encoder of a classifier is the pretrained one, and its dropout is the architecture's own again."""
    from paddlenlp.transformers import ErnieForMaskedLM

    classifier = load_classifier(pretrained.folder, dataset.labels)
    source, _ = load_pretrained(ErnieForMaskedLM, pretrained.folder)
    ours, theirs = weights_of(classifier.network), weights_of(source)
    encoder = [name for name in ours if name.startswith("ernie.")]
    assert len(encoder) > 20
    assert all(np.array_equal(ours[name], theirs[name]) for name in encoder)
    config = json.loads((pretrained.folder / "config.json").read_text(encoding="utf-8"))
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.1


def test_seed_decides_everything(
    dataset: Dataset, pretrained: Made, pretrain_options: PretrainOptions, tmp_path: Path
) -> None:
    """The same seed gives the same weights before and after, another seed others from step 0 on."""
    again = pretrain(dataset.unlabelled, pretrain_options, tmp_path, QUIET)
    assert again == pretrained.summary
    other = pretrain(dataset.unlabelled, replace(pretrain_options, seed=2, passes=0.1), tmp_path, QUIET)
    assert other["weights_step0"] != again["weights_step0"]


def test_pretraining_is_continued(
    dataset: Dataset, pretrained: Made, pretrain_options: PretrainOptions, tmp_path: Path
) -> None:
    """From a model folder, the net goes on where it was, with the folder's own vocabulary and shape."""
    options = replace(pretrain_options, architecture={}, passes=0.2, seed=9)
    found = pretrain(dataset.train.texts, options, tmp_path, QUIET, start=pretrained.folder)
    assert found["weights_step0"] == pretrained.summary["weights"]
    assert found["weights"] != found["weights_step0"]
    assert (tmp_path / "vocab.txt").read_bytes() == (pretrained.folder / "vocab.txt").read_bytes()


def test_nine_lines_are_too_few(dataset: Dataset, pretrain_options: PretrainOptions, tmp_path: Path) -> None:
    """Too small a corpus is the user's error, found before anything is written."""
    with pytest.raises(UserError, match="at least 10 lines, got 9"):
        pretrain(dataset.unlabelled[:9], pretrain_options, tmp_path, QUIET)
    assert not [*tmp_path.iterdir()]


def test_divergence_is_told(dataset: Dataset, pretrain_options: PretrainOptions, tmp_path: Path) -> None:
    """A learning rate that breaks the net raises Diverged instead of writing a model of NaN."""
    with pytest.raises(Diverged, match="not finite at step"):
        pretrain(dataset.unlabelled, replace(pretrain_options, learning_rate=1e20), tmp_path, QUIET)
    assert not (tmp_path / "model.safetensors").exists()


def test_length_must_fit(dataset: Dataset, pretrain_options: PretrainOptions, tmp_path: Path) -> None:
    """More tokens than the net has positions are refused in words."""
    with pytest.raises(UserError, match="max_seq_length is 129; this net takes 3 to 128 tokens"):
        pretrain(dataset.unlabelled, replace(pretrain_options, max_seq_length=129), tmp_path, QUIET)
