"""Several classifiers as one net: token ids in, one row of logits out, so that it goes where every net goes."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from replicate.nets import upstream
from replicate.nets.configuration import check_sizes, ernie_fields
from replicate.nets.single import asked_for, network_of
from replicate.nets.student_net import StudentConfig
from replicate.scores.fusion import FLOOR, TIE

# How members' answers become one.
JOINS = ("mean", "vote")
MOST_MEMBERS = 100
# The name of a member's array begins so; its number stands between.
MEMBER = "members."


@dataclass(frozen=True)
class EnsembleConfig:
    """What `config.json` says of an ensemble.

    Attributes:
        ensemble: one of `JOINS`.
        weights: of each member, at least 0 and 1 in all.
        members: what the `config.json` of each member alone would say.
        vocab_size: tokens that every member knows.
        num_labels: classes.
        pad_token_id: the token that counts as nothing.
        max_position_embeddings: longest text in tokens that every member reads.
    """

    ensemble: str
    weights: Sequence[float]
    members: Sequence[Mapping[str, Any]]
    vocab_size: int
    num_labels: int
    pad_token_id: int
    max_position_embeddings: int

    def to_dict(self) -> dict[str, Any]:
        """As `config.json` holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], labels: Sequence[str]) -> EnsembleConfig:
        """The configuration in a `config.json`.

        Args:
            fields: of the file; the names of labels in it, of which `label.txt` tells, are left out.
            labels: of the classifier.

        Raises:
            TypeError, ValueError: a field is missing, unknown, or has a value that no ensemble can have.
        """
        config = cls(**{name: value for name, value in fields.items() if name not in ("id2label", "label2id")})
        if config.ensemble not in JOINS:
            raise ValueError(f"ensemble is {str(config.ensemble)[:40]!r}")
        if not isinstance(config.members, list) or not 2 <= len(config.members) <= MOST_MEMBERS:
            raise ValueError(f"members are no list of 2 to {MOST_MEMBERS}")
        if not all(isinstance(one, dict) and "ensemble" not in one for one in config.members):
            raise ValueError("a member is no single net")
        weights = config.weights
        numbers = isinstance(weights, list) and all(type(one) in (int, float) and one >= 0 for one in weights)
        if not numbers or len(weights) != len(config.members) or not math.isclose(sum(weights), 1, abs_tol=1e-6):
            raise ValueError("weights are not one for each member, at least 0, and 1 in all")
        check_sizes(config)
        if config.num_labels != len(labels):
            raise ValueError(f"num_labels is {config.num_labels}, and there are {len(labels)} labels")
        for one in (single for _, single in config.singles()):
            if one.vocab_size < config.vocab_size or one.pad_token_id != config.pad_token_id:
                raise ValueError("a member knows fewer tokens, or pads with another one")
            if one.max_position_embeddings < config.max_position_embeddings or one.num_labels != config.num_labels:
                raise ValueError("a member reads fewer tokens of a text, or has another number of labels")
        return config

    def singles(self) -> list[tuple[Any, Any]]:
        """Class and configuration of each member.

        Raises:
            ValueError, TypeError, AttributeError: one has fields that no net has.
        """
        upstream.quiet()
        from paddlenlp.transformers import ErnieForSequenceClassification

        labels = [f"LABEL_{number}" for number in range(self.num_labels)]
        return [asked_for(ErnieForSequenceClassification, fields, labels) for fields in self.members]


def member_fields(network: Any) -> dict[str, Any]:
    """What an ensemble's `config.json` says of a member."""
    if isinstance(network.config, StudentConfig):
        return network.config.to_dict()
    return ernie_fields(network.config.to_dict())


def joined(logits: Sequence[Any], how: str, weights: Sequence[float]) -> Any:
    """Logits of an ensemble: the logarithm of what `scores.fusion` makes of the members' probabilities.

    Args:
        logits: of each member, tensors [batch, classes].
        how: one of `JOINS`.
        weights: of each member.
    """
    import paddle
    import paddle.nn.functional as F

    mean = _weighted([F.softmax(one) for one in logits], weights)
    return paddle.log((_voted(logits, mean, weights) if how == "vote" else mean) + FLOOR)


def _voted(logits: Sequence[Any], mean: Any, weights: Sequence[float]) -> Any:
    votes = [(one == one.max(axis=-1, keepdim=True)).astype("float32") for one in logits]
    return _weighted(votes, weights) * (1 - TIE) + mean * TIE


def _weighted(parts: Sequence[Any], weights: Sequence[float]) -> Any:
    # No loop and no zip, which Paddle would make operators of the graph.
    return functools.reduce(operator.add, map(operator.mul, parts, weights))


@functools.cache
def ensemble_class() -> Any:
    """The Paddle layer of every ensemble, made from an `EnsembleConfig`."""
    upstream.quiet()
    from paddle import nn

    class Ensemble(nn.Layer):  # type: ignore[misc]  # Paddle is untyped
        """Token ids [batch, length] to logits [batch, classes]."""

        def __init__(self, config: EnsembleConfig) -> None:
            super().__init__()
            self.config = config
            self.members = nn.LayerList([network_of(kind, single) for kind, single in config.singles()])

        @property
        def base_model(self) -> Any:
            """The net without a head of its own, as PaddleNLP's nets name it: an ensemble is one piece."""
            return self

        def forward(self, input_ids: Any) -> Any:
            return joined([member(input_ids) for member in self.members], self.config.ensemble, self.config.weights)

    return Ensemble
