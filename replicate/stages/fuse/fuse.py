"""Several models become one: an ensemble that asks them all, or a net with the mean of their weights.

Members that are no nets (the SVM) have probabilities of the dev set only; with one of them the result is scored, and is
no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, Split
from replicate.nets.classifier import Classifier, load_classifier
from replicate.nets.ensembles import build_ensemble, check_kin, check_members, soup
from replicate.nets.folder import digest_of, save_model, weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.tokens import encode
from replicate.scores.evaluation import evaluate
from replicate.scores.fusion import disagreement, fit_weights, mean, most_votes, vote
from replicate.stages.fuse.options import FuseOptions
from replicate.stages.kind import Inputs
from replicate.stages.sets import held_out
from replicate.stages.svm import DEV, HELD
from replicate.training.options import check_length

_SOUPS = ("soup", "greedy")


@dataclass(frozen=True)
class Fused:
    """What members became.

    Attributes:
        classifier: answers for them.
        shares: weight of each member, 0 for one that was left out.
    """

    classifier: Classifier
    shares: tuple[float, ...]


def fuse(members: Mapping[str, Classifier], options: FuseOptions, held: Split | None = None) -> Fused:
    """One classifier of several.

    Args:
        members: by what each is called; they stay as they are.
        options: settings.
        held: lines that no member was trained on; `stack` and `greedy` need them.

    Raises:
        UserError: members that don't fit each other, or no such lines.
    """
    check_members(members)
    for name, member in members.items():
        try:
            check_length(member.network, options.max_seq_length)
        except UserError as error:
            raise UserError(str(error), path=name) from None
    if options.how == "greedy":
        return _greedy(members, _needed(held, options.how), options.max_seq_length)

    def told(lines: Split) -> list[NDArray[np.float64]]:
        return [probabilities_of(member, lines, options.max_seq_length) for member in members.values()]

    shares = _shares(options.how, len(members), told, held)
    if options.how == "first":
        return Fused(next(iter(members.values())), shares)
    if options.how == "soup":
        return Fused(soup(members), shares)
    return Fused(build_ensemble(members, "vote" if options.how == "vote" else "mean", shares), shares)


def _shares(
    how: str, members: int, told: Callable[[Split], Sequence[NDArray[np.float64]]], held: Split | None
) -> tuple[float, ...]:
    """Weight of each member; `told` gives what they say of lines that none was trained on, which `stack` asks for."""
    if how == "first":
        return (1.0,) + (0.0,) * (members - 1)
    if how == "stack":
        lines = _needed(held, how)
        return tuple(fit_weights(told(lines), lines.labels).tolist())
    return (1 / members,) * members


def _needed(held: Split | None, how: str) -> Split:
    if not held:
        hint = "let `holdout` stand before what trains them; of one's own models, name such lines with --held"
        raise UserError(f"{how} needs lines that no member was trained on", hint=hint)
    return held


def probabilities_of(classifier: Classifier, split: Split, max_seq_length: int) -> NDArray[np.float64]:
    """What a classifier says of texts, [texts, classes]."""
    rows = encode(classifier.tokenizer, split.texts, max_seq_length)
    return probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)


def _greedy(members: Mapping[str, Classifier], held: Split, max_seq_length: int) -> Fused:
    """A soup of the best member and of each other that doesn't make it worse, from the best on (Wortsman et al.)."""
    check_kin(members)
    labels = np.asarray(held.labels)

    def right(classifier: Classifier) -> float:
        found = probabilities_of(classifier, held, max_seq_length).argmax(axis=1)
        return float((found == labels).mean())

    alone = {name: right(member) for name, member in members.items()}
    order = sorted(members, key=lambda name: -alone[name])
    taken, best, made = [order[0]], alone[order[0]], members[order[0]]
    for name in order[1:]:
        tried = soup({one: members[one] for one in members if one in (*taken, name)})
        if (found := right(tried)) >= best:
            taken, best, made = [*taken, name], found, tried
    return Fused(made, tuple((name in taken) / len(taken) for name in members))


def run(inputs: Inputs) -> dict[str, Any]:
    """Fuse the members and score the result; it is a model folder where every member is a net.

    Raises:
        UserError: members that don't fit each other, one without probabilities, or no lines to weigh them by.
    """
    folders = [Path(one) for one in inputs.sources["members"]]
    options, dataset = inputs.options, inputs.dataset
    nets = {str(folder): load_classifier(folder) for folder in folders if _is_net(folder)}
    told = [_told(folder, nets.get(str(folder)), dataset.dev, DEV, options.max_seq_length) for folder in folders]
    facts = _facts(options, told, dataset)
    if len(nets) < len(folders):
        return {**facts, **_scores_alone(folders, nets, told, options, dataset, held_out(inputs))}
    fused = fuse(nets, options, held_out(inputs))
    found = probabilities_of(fused.classifier, dataset.dev, options.max_seq_length)
    save_model(fused.classifier.network, fused.classifier.tokenizer, inputs.folder, fused.classifier.labels)
    return {
        **facts,
        "shares": [*fused.shares],
        "parameters": fused.classifier.parameters,
        "weights": digest_of(weights_of(fused.classifier.network)),
        "evaluation": evaluate(found, dataset.dev, len(dataset.labels)),
    }


def _is_net(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _told(folder: Path, net: Classifier | None, split: Split, name: str, length: int) -> NDArray[np.float64]:
    """What a member says of texts; that of one which is no net lies in its folder."""
    if net is not None:
        return probabilities_of(net, split, length)
    if not (folder / name).is_file():
        raise UserError("a member has no probabilities", path=folder, hint="svm gives them with probabilities = true")
    found: NDArray[np.float64] = np.load(folder / name, allow_pickle=False)
    return found


def _facts(options: FuseOptions, told: Sequence[NDArray[np.float64]], dataset: Dataset) -> dict[str, Any]:
    predicted = np.stack([one.argmax(axis=1) for one in told])
    right = (predicted == np.asarray(dataset.dev.labels)).mean(axis=1)
    apart = disagreement(predicted) if len(told) > 1 else 0.0
    return {
        "how": options.how,
        "members": len(told),
        "member_accuracy": right.tolist(),
        "disagreement": apart,
        "votes": _votes(told, predicted, dataset),
    }


def _votes(
    told: Sequence[NDArray[np.float64]], predicted: NDArray[np.int64], dataset: Dataset
) -> dict[str, dict[str, int]]:
    """By how many members stand together: dev texts, and those where these are right."""
    together = most_votes(predicted, len(dataset.labels))
    right = vote(told).argmax(axis=1) == np.asarray(dataset.dev.labels)
    return {
        str(number): {"texts": int(here.sum()), "right": int((here & right).sum())}
        for number in range(1, len(told) + 1)
        if (here := together == number).any()
    }


def _scores_alone(
    folders: Sequence[Path],
    nets: Mapping[str, Classifier],
    told: Sequence[NDArray[np.float64]],
    options: FuseOptions,
    dataset: Dataset,
    held: Split | None,
) -> dict[str, Any]:
    """As a net would be scored, for members of which one is none."""
    if len(told) < 2:
        raise UserError("1 to fuse", hint="name 2 or more")
    if options.how in _SOUPS:
        raise UserError(f"{options.how}: a member is no net", hint="mean and vote take any")

    def seen(lines: Split) -> list[NDArray[np.float64]]:
        return [_told(folder, nets.get(str(folder)), lines, HELD, options.max_seq_length) for folder in folders]

    shares = _shares(options.how, len(told), seen, held)
    found = (vote if options.how == "vote" else mean)(told, shares)
    evaluation = evaluate(found.clip(0, 1), dataset.dev, len(dataset.labels))
    return {"shares": [*shares], "parameters": 0, "evaluation": evaluation}
