"""A cloze gives what its masked language model gives, and goes where every model folder goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, Split
from replicate.explain.gradients import Gradients
from replicate.explain.pieces import pieces_of
from replicate.inference.export import KINDS, TOLERANCE, export
from replicate.inference.predict import predict
from replicate.nets import batching
from replicate.nets.classifier import Classifier, load_classifier
from replicate.nets.clozes import build_cloze, load_masked, prompt_of
from replicate.nets.configuration import ernie_fields
from replicate.nets.ensembles import build_ensemble
from replicate.nets.folder import digest_of, save_model, weights_of
from replicate.nets.logits import network_logits
from replicate.nets.tokens import encode
from replicate.scores.evaluation import softmax
from replicate.stages.prune.options import PruneOptions
from replicate.timing.subject import describe
from tests.agreement import check_agreement
from tests.load import service
from tests.tiny import Made, run_prune, write_masked_model

# Of unequal length, and one with characters that no text of these has.
LABELS = ("胃", "头痛", "其他", "龘")
TEXTS = ("胃疼：怎么办", "头痛其他", "怎么")


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model of few characters, with random weights."""
    folder = tmp_path_factory.mktemp("masked")
    write_masked_model(folder, TEXTS)
    return folder


@pytest.fixture(scope="module")
def cloze(masked: Path) -> Classifier:
    """The cloze of it, in evaluation mode."""
    found = build_cloze(*load_masked(masked), LABELS)
    found.network.eval()
    return found


@pytest.fixture(scope="module")
def folder(cloze: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cloze's folder."""
    path = tmp_path_factory.mktemp("cloze")
    save_model(cloze.network, cloze.tokenizer, path, LABELS)
    return path


def batch(tokenizer: Any, texts: Sequence[str]) -> NDArray[np.int64]:
    """Token ids of the texts."""
    return batching.pad(encode(tokenizer, texts), tokenizer.pad_token_id)


def asked(masked: Path, texts: Sequence[str]) -> tuple[Any, Any, NDArray[np.float32]]:
    """The masked language model, its tokenizer, and its scores at [MASK] of `[CLS][MASK]：text[SEP]`, by hand."""
    import paddle

    network, tokenizer = load_masked(masked)
    network.eval()
    ids = batch(tokenizer, texts)
    colon = tokenizer.convert_tokens_to_ids("：")
    whole = np.insert(ids, [1, 1], [tokenizer.mask_token_id, colon], axis=1)
    return network, tokenizer, network(paddle.to_tensor(whole)).numpy()[:, 1]


def test_a_label_gets_what_its_characters_get(masked: Path, cloze: Classifier) -> None:
    """Each logit is the mean of the masked language model's over its characters; [UNK] stands for unknown ones."""
    _, tokenizer, scores = asked(masked, TEXTS)
    words = [tokenizer.convert_tokens_to_ids(list(label)) for label in LABELS]
    expected = np.stack([scores[:, ids].mean(axis=1) for ids in words], axis=1)
    found = network_logits(cloze.network)(batch(cloze.tokenizer, TEXTS))
    assert words[3] == [tokenizer.unk_token_id]
    assert np.ptp(found, axis=0).min() > 1e-2, "a net that ignores its input would agree too"
    assert np.abs(found - expected).max() < 1e-5


def test_agrees_with_paddlenlp_where_that_is_right(masked: Path) -> None:
    """Labels of one character each, in the order that PaddleNLP sorts them to: its verbalizer gives the same."""
    import paddle
    from paddlenlp.prompt import ManualTemplate, ManualVerbalizer, PromptModelForSequenceClassification

    labels = tuple(sorted(("胃", "头", "痛")))
    network, tokenizer = load_masked(masked)
    network.eval()
    template = ManualTemplate("{'mask'}：{'text': 'text'}", tokenizer, 128)
    verbalizer = ManualVerbalizer({label: label for label in labels}, tokenizer)
    model = PromptModelForSequenceClassification(network, template, verbalizer)
    model.eval()
    ids = batch(tokenizer, TEXTS[:1])
    # Its own tokenizing takes [MASK] apart, so it is given the ids.
    whole = np.insert(ids, [1, 1], prompt_of(tokenizer), axis=1)
    theirs = model(paddle.to_tensor(whole), masked_positions=paddle.to_tensor([1])).numpy().reshape(-1)
    found = build_cloze(network, tokenizer, labels)
    ours = network_logits(found.network)(ids)[0]
    # Both up to a constant: PaddleNLP's are logarithms of probabilities.
    assert np.abs((ours - ours.mean()) - (theirs - theirs.mean())).max() < 1e-4
    assert np.ptp(ours) > 1e-2


def test_padding_changes_no_answer(cloze: Classifier) -> None:
    """A text has the same logits alone and beside longer ones."""
    logits_of = network_logits(cloze.network)
    rows = encode(cloze.tokenizer, TEXTS)
    together = logits_of(batching.pad(rows, cloze.tokenizer.pad_token_id))
    assert np.abs(np.concatenate([logits_of(row[None]) for row in rows]) - together).max() < 1e-5


def test_folder_gives_the_cloze_back(cloze: Classifier, folder: Path) -> None:
    """Weights and answers are those that were saved, and texts may be as long as the masked language model's."""
    again = load_classifier(folder)
    ids = batch(cloze.tokenizer, TEXTS)
    assert digest_of(weights_of(again.network)) == digest_of(weights_of(cloze.network))
    assert (network_logits(again.network)(ids) == network_logits(cloze.network)(ids)).all()
    assert again.network.config.max_position_embeddings == 128
    longest = np.full((1, 128), 6, dtype=np.int64)
    assert network_logits(again.network)(longest).shape == (1, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_its_graph_agrees(folder: Path, tmp_path: Path, kind: str) -> None:
    """Logits of both graphs are the dynamic net's to 1e-5; `predict` gives the same labels."""
    check_agreement(folder, tmp_path / kind, kind, Split(TEXTS, (0, 1, 2)))
    found = [[one.label for one in predict(path, TEXTS)] for path in (folder, tmp_path / kind)]
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_ensemble_may_have_one(masked: Path, cloze: Classifier, tmp_path: Path, kind: str) -> None:
    """Beside a net that reads texts as they stand, each member gets what it gets alone, in one graph too."""
    plain = load_classifier(masked, LABELS)
    plain.network.eval()
    both = build_ensemble({"cloze": cloze, "plain": plain}, "mean")
    save_model(both.network, both.tokenizer, tmp_path / "both", LABELS)
    ids = batch(cloze.tokenizer, TEXTS)
    alone = np.mean([softmax(network_logits(one.network)(ids)) for one in (cloze, plain)], axis=0)
    again = load_classifier(tmp_path / "both")
    again.network.eval()
    assert np.abs(softmax(network_logits(again.network)(ids)) - alone).max() < 1e-5
    check_agreement(tmp_path / "both", tmp_path / kind, kind, Split(TEXTS, (0, 1, 2)))


def test_it_is_pruned(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """Our engine makes it narrower, and again a cloze that exports; a race knows how wide each is."""
    cloze = build_cloze(*load_masked(pretrained.folder), dataset.labels)
    save_model(cloze.network, cloze.tokenizer, tmp_path / "whole", cloze.labels)
    options = PruneOptions(width="1/2", engine="native", epochs=1, max_seq_length=48)
    pruned = run_prune(dataset, tmp_path / "whole", tmp_path / "half", options)
    config = json.loads((pruned.folder / "config.json").read_text(encoding="utf-8"))
    assert (config["kept_heads"], config["prompt"]) == (3, cloze.network.config.prompt)
    assert [describe(tmp_path / name).width for name in ("whole", "half")] == ["1", "1/2"]
    assert export(pruned.folder, tmp_path / "onnx", "onnx").max_difference <= TOLERANCE


def test_gradients_explain_it(folder: Path, cloze: Classifier) -> None:
    """Integrated gradients of the pieces add up to what the logit differs by from the baseline's."""
    method = Gradients(folder)
    pieces = pieces_of(cloze.tokenizer, TEXTS[0], 64)
    found = method(pieces, 1, 0)[:, 0].sum()
    assert found == pytest.approx(method.gap(pieces, 1), rel=0.1, abs=0.02)


def test_only_our_engine_prunes_it(folder: Path, tmp_path: Path) -> None:
    """PaddleNLP's would train another net than the one that is saved."""
    own = Dataset("own", LABELS, Split(TEXTS, (0, 1, 2)), Split(TEXTS, (0, 1, 2)))
    with pytest.raises(UserError, match="PaddleNLP can't prune a cloze; the engine native does"):
        run_prune(own, folder, tmp_path / "half", PruneOptions(width="1/2"))


def test_it_is_served(folder: Path, cloze: Classifier) -> None:
    """Over HTTP it gives the labels that it gives here."""
    expected = [LABELS[int(one)] for one in network_logits(cloze.network)(batch(cloze.tokenizer, TEXTS)).argmax(axis=1)]
    with service(folder, OMP_NUM_THREADS="1") as running:
        found = httpx.post(f"{running.url}/predict", json={"texts": list(TEXTS)}, timeout=60).json()["predictions"]
    assert [one["label"] for one in found] == expected


def test_it_is_timed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A race takes its folder."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    words = "--rounds 1 --warmups 0 --batch 1 --length 8 --runtimes dygraph --quiet --json".split()
    assert main(["time", str(folder), *words]) == 0
    assert "dygraph" in capsys.readouterr().out


@pytest.mark.parametrize("value", [[], "3", [-1], [True], [0] * 65])
def test_a_prompt_that_is_none(value: object) -> None:
    """Of a config.json, what is no list of token ids is refused by name."""
    with pytest.raises(ValueError, match=r"prompt is .*token ids"):
        ernie_fields({"prompt": value})


def test_a_prompt_beyond_the_vocabulary(folder: Path, tmp_path: Path) -> None:
    """A token that the net doesn't know is one line before memory is taken."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**config, "prompt": [10**6]}), encoding="utf-8")
    with pytest.raises(UserError, match="prompt is"):
        load_classifier(tmp_path)


def test_it_fills_no_masks(folder: Path) -> None:
    """Where a masked language model is wanted, a cloze is refused in one line."""
    with pytest.raises(UserError, match="a cloze, where a net without a prompt is needed"):
        load_masked(folder)
