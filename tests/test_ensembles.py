"""An ensemble is a model folder like every other, and says what its members' probabilities say together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.explain.gradients import Gradients
from replicate.inference.export import KINDS, export
from replicate.inference.predict import predict
from replicate.nets.classifier import Classifier, load_classifier, load_pretrained, restart
from replicate.nets.device import seed_everything
from replicate.nets.ensemble_net import JOINS
from replicate.nets.ensembles import build_ensemble, check_kin, check_members, soup
from replicate.nets.folder import digest_of, save_model, weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.students import build_student
from replicate.nets.tokens import encode
from replicate.scores.fusion import disagreement, fit_weights, mean, most_votes, vote
from replicate.stages.prune.options import PruneOptions
from replicate.timing.subject import describe
from tests.agreement import check_agreement
from tests.tiny import STUDENT_SHAPES, Made, run_finetune, run_prune, write_masked_model


def loaded(folders: Sequence[Path]) -> dict[str, Classifier]:
    """Classifiers by the names of their folders."""
    return {str(folder): load_classifier(folder) for folder in folders}


@pytest.fixture(scope="session")
def half(dataset: Dataset, finetuned: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net with half its heads."""
    options = PruneOptions(width="1/2", learning_rate=1e-3, epochs=1, max_seq_length=48, save_steps=1000)
    return run_prune(dataset, finetuned.folder, tmp_path_factory.mktemp("half"), options).folder


@pytest.fixture(scope="session")
def family(fellows: tuple[Path, ...], half: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two fine-tuned nets, a pruned one and a student of each kind but ERNIE's: all that can stand in one ensemble."""
    teacher, found = load_classifier(fellows[0]), [*fellows[:2], half]
    for kind in ("bow", "cnn", "bilstm"):
        seed_everything(7)
        student = build_student(kind, STUDENT_SHAPES[kind], teacher)
        for parameter in student.network.parameters():
            parameter.set_value(parameter * 3)
        found.append(tmp_path_factory.mktemp(kind))
        save_model(student.network, student.tokenizer, found[-1], student.labels)
    return tuple(found)


def told(classifier: Classifier, dataset: Dataset) -> NDArray[np.float64]:
    """Probabilities [texts, classes] of the dev texts."""
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    return probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)


@pytest.fixture(params=JOINS)
def saved(request: pytest.FixtureRequest, family: tuple[Path, ...], tmp_path: Path) -> tuple[Classifier, Path]:
    """An ensemble of the family with unequal weights, and its folder."""
    weights = np.arange(1, len(family) + 1) / np.arange(1, len(family) + 1).sum()
    made = build_ensemble(loaded(family), request.param, weights.tolist())
    save_model(made.network, made.tokenizer, tmp_path / "ensemble", made.labels)
    return made, tmp_path / "ensemble"


def test_it_says_what_its_members_say_together(
    saved: tuple[Classifier, Path], family: tuple[Path, ...], dataset: Dataset
) -> None:
    """The softmax of its logits is the weighted mean of their probabilities, or the share of their votes."""
    config = saved[0].network.config
    every = [told(one, dataset) for one in loaded(family).values()]
    expected = {"mean": mean, "vote": vote}[config.ensemble](every, config.weights)
    assert np.abs(told(saved[0], dataset) - expected).max() < 1e-5
    assert disagreement([one.argmax(axis=1) for one in every]) > 0.1, "members of one mind would show nothing"


def test_folder_gives_the_ensemble_back(saved: tuple[Classifier, Path], dataset: Dataset) -> None:
    """Weights, labels and answers are those that were saved; it is labelled with like any model."""
    made, folder = saved
    again = load_classifier(folder)
    assert digest_of(weights_of(again.network)) == digest_of(weights_of(made.network))
    assert (again.labels, again.parameters, again.network.config) == (made.labels, made.parameters, made.network.config)
    found = list(predict(folder, dataset.dev.texts, 48))
    expected = told(made, dataset)
    assert [one.label for one in found] == [made.labels[at] for at in expected.argmax(axis=1)]
    assert np.abs(expected.max(axis=1) - [one.probability or 0 for one in found]).max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_one_graph_agrees(saved: tuple[Classifier, Path], dataset: Dataset, tmp_path: Path, kind: str) -> None:
    """All members become one graph, whose logits are the dynamic ensemble's to 1e-5."""
    check_agreement(saved[1], tmp_path / "out", kind, dataset.dev)


def test_it_is_timed_with_the_work_of_all(saved: tuple[Classifier, Path], family: tuple[Path, ...]) -> None:
    """`time` knows its shape, and as many operations as its members have together."""
    subject = describe(saved[1])
    assert (subject.shape, subject.width) == (f"ensemble of {len(family)}", "1")
    assert subject.flops(2, 17) == sum(describe(one).flops(2, 17) for one in family) > 0
    assert subject.operations(2, 17) == sum(describe(one).operations(2, 17) for one in family) > 0
    assert Fraction(describe(family[2]).width) < 1


def test_what_it_is_not_for(saved: tuple[Classifier, Path], dataset: Dataset, tmp_path: Path) -> None:
    """It is neither trained on nor an encoder, has no gradients of its own and no export in 8 bits: one line each."""
    from paddlenlp.transformers import ErnieForMaskedLM

    with pytest.raises(UserError, match="an ensemble, where a single net is needed"):
        load_classifier(saved[1], dataset.labels)
    with pytest.raises(UserError, match="an ensemble, where a single net is needed"):
        load_pretrained(ErnieForMaskedLM, saved[1])
    with pytest.raises(UserError, match="no word embeddings of its own"):
        Gradients(saved[1])
    with pytest.raises(UserError, match="int8 is for a single ERNIE"):
        export(saved[1], tmp_path / "out", "onnx", int8=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ensemble": "median"}, "ensemble is 'median'"),
        ({"weights": [0.5, 0.6]}, "weights are not"),
        ({"weights": [-0.5, 1.5]}, "weights are not"),
        ({"members": []}, "no list of 2 to 100"),
        ({"members": [{"ensemble": "mean"}] * 2}, "no single net"),
        ({"members": [{"student": "gru"}] * 2}, "missing"),
        ({"vocab_size": 10**9}, "a member knows fewer tokens"),
        ({"max_position_embeddings": 10**9}, "a member reads fewer tokens"),
        ({"num_labels": 2}, "num_labels is 2, and there are"),
        ({"pad_token_id": -1}, "pad_token_id is '-1'"),
        ({"speed": 1}, "unexpected keyword argument 'speed'"),
    ],
)
def test_damaged_configuration_is_told(
    changes: dict[str, Any], words: str, fellows: tuple[Path, ...], tmp_path: Path
) -> None:
    """A config.json that is no ensemble's is one line that names the file."""
    made = build_ensemble(loaded(fellows[:2]), "mean")
    save_model(made.network, made.tokenizer, tmp_path, made.labels)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    with pytest.raises(UserError, match=words) as raised:
        load_classifier(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_members_weights_must_fit(fellows: tuple[Path, ...], tmp_path: Path) -> None:
    """Before memory is taken, a member that its config.json asks for larger than its weights is refused."""
    made = build_ensemble(loaded(fellows[:2]), "mean")
    save_model(made.network, made.tokenizer, tmp_path, made.labels)
    path = tmp_path / "config.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["members"][1]["intermediate_size"] = 1 << 30
    path.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(UserError, match="hidden units are asked for"):
        load_classifier(tmp_path)


def test_members_that_do_not_fit(
    fellows: tuple[Path, ...], saved: tuple[Classifier, Path], dataset: Dataset, tmp_path: Path
) -> None:
    """One member, other labels, another tokenizer, an ensemble in an ensemble: each is one line with its folder."""
    with pytest.raises(UserError, match="1 to fuse"):
        check_members(loaded(fellows[:1]))
    member = load_classifier(fellows[0])
    others = Classifier(member.network, member.tokenizer, member.labels[::-1])
    with pytest.raises(UserError, match="b: its labels are not those of a"):
        check_members({"a": member, "b": others})
    (tmp_path / "other").mkdir()
    write_masked_model(tmp_path / "other", [*dataset.dev.texts, "龘"])
    apart = run_finetune(dataset, tmp_path / "other", tmp_path / "tuned", 1, epochs=1)
    with pytest.raises(UserError, match="its tokenizer is not that of"):
        check_members(loaded([fellows[0], apart.folder]))
    with pytest.raises(UserError, match="an ensemble itself"):
        check_members(loaded([fellows[0], saved[1]]))


def test_soup_is_the_mean_of_the_weights(fellows: tuple[Path, ...], dataset: Dataset) -> None:
    """One net as large as one member; of a net with itself it is that net."""
    members = loaded(fellows)
    made = soup(members)
    assert made.parameters == next(iter(members.values())).parameters
    for name, value in weights_of(made.network).items():
        every = np.stack([weights_of(one.network)[name] for one in members.values()])
        assert np.abs(value - every.mean(axis=0)).max() < 1e-6
    same = next(iter(members.values()))
    again = soup({"a": same, "b": same})
    assert digest_of(weights_of(again.network)) == digest_of(weights_of(same.network))
    right = (told(made, dataset).argmax(axis=1) == np.asarray(dataset.dev.labels)).mean()
    assert right > 1.5 / len(dataset.labels), "a mean of strangers would only guess"


def test_strangers_make_no_soup(fellows: tuple[Path, ...], half: Path) -> None:
    """Nets of another shape, of another ancestor, or that keep other heads are refused; fine-tuned kin are taken."""
    with pytest.raises(UserError, match="of one shape"):
        check_kin(loaded([fellows[0], half]))
    first = load_classifier(fellows[0])
    seed_everything(8)
    with pytest.raises(UserError, match=r"stranger: its .* \(cosine "):
        check_kin({"a": first, "stranger": restart(first)})
    one, other = load_classifier(half), load_classifier(half)
    check_kin({"a": one, "b": other})
    attention = other.network.base_model.encoder.layers[0].self_attn
    # The same heads in another order, as another seed's importance would have them.
    size = attention.head_dim
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        turned = np.roll(projection.weight.numpy(), size, axis=1)
        projection.weight.set_value(turned)
    attention.out_proj.weight.set_value(np.roll(attention.out_proj.weight.numpy(), size, axis=0))
    with pytest.raises(UserError, match="keeps other heads"):
        check_kin({"a": one, "b": other})


def test_votes_and_means_by_hand() -> None:
    """A tie of votes goes to the larger mean; two votes beat any probability of a third."""
    members = [[[0.6, 0.4, 0.0]], [[0.0, 0.51, 0.49]], [[0.6, 0.0, 0.4]]]
    assert mean(members)[0] == pytest.approx([0.4, 0.91 / 3, 0.89 / 3])
    assert vote(members)[0] == pytest.approx([2 / 3, 1 / 3, 0], abs=2e-3)
    tie = [[[0.6, 0.4]], [[0.1, 0.9]]]
    assert vote(tie).argmax() == 1
    unsure, sure = [[0.51, 0.49]], [[0.0, 1.0]]
    assert vote([unsure, unsure, sure]).argmax() == 0
    assert mean([unsure, unsure, sure]).argmax() == 1
    assert vote(members).sum() == pytest.approx(1)


def test_disagreement_and_agreement_by_hand() -> None:
    """Over three pairs, one of which differs on one text of two; and how many stand together."""
    predicted = [[0, 1], [0, 2], [0, 1]]
    assert disagreement(predicted) == pytest.approx((1 + 0 + 1) / (3 * 2))
    assert most_votes(predicted, 3).tolist() == [3, 2]


def test_weights_find_who_is_right() -> None:
    """All weight goes to a member that is always right; of members of one mind, and without texts, all have as much."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    right = np.eye(3)[labels] * 0.9 + 0.1 / 3
    guess = rng.dirichlet(np.ones(3), 300)
    weights = fit_weights([guess, right, guess], labels)
    assert weights[1] > 0.99
    assert weights.sum() == pytest.approx(1)
    assert fit_weights([guess, guess], labels) == pytest.approx([0.5, 0.5])
    assert fit_weights(np.ones((2, 0, 3)), []) == pytest.approx([0.5, 0.5])
    # Between two members that are right on other texts, the likelihood is the highest anywhere.
    both = (
        np.where((np.arange(300) < 200)[:, None], right, guess),
        np.where((np.arange(300) < 200)[:, None], guess, right),
    )
    found = fit_weights(both, labels)

    def likelihood(weights: NDArray[np.float64]) -> float:
        return float(np.log(mean(both, weights)[np.arange(300), labels]).sum())

    assert 0.5 < found[0] < 0.95
    for step in (-0.05, 0.05):
        assert likelihood(found) > likelihood(found + np.array([step, -step]))
