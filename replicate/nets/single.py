"""Which single net a `config.json` asks for, and that net with random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from replicate.nets import upstream
from replicate.nets.cloze_net import kind_of
from replicate.nets.configuration import ernie_fields
from replicate.nets.shape import shrink
from replicate.nets.student_net import StudentConfig, student_class


def head_of(labels: Sequence[str]) -> dict[str, Any]:
    """The fields of a configuration that name a classifier's labels."""
    return {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}


def asked_for(kind: Any, fields: Mapping[str, Any], labels: Sequence[str] | None) -> tuple[Any, Any]:
    """Class and configuration of the net that the fields of a `config.json` ask for.

    Args:
        kind: PaddleNLP's class for an ERNIE; a student and a cloze have one of their own, where a classifier is wanted.
        fields: of the `config.json`.
        labels: of the classifier; None where another head is wanted.

    Raises:
        ValueError, TypeError, AttributeError, UserError: no net has these fields, or not this head.
    """
    upstream.quiet()
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification

    if "student" not in fields:
        head = head_of(labels) if labels is not None else {}
        config = ErnieConfig.from_dict({**ernie_fields(fields), **head})
        return kind_of(kind, config), config
    if labels is None or kind is not ErnieForSequenceClassification:
        raise ValueError(f"a {fields['student']} student, where an ERNIE is needed")
    return student_class(), StudentConfig.from_dict({**fields, "num_labels": len(labels)})


def network_of(kind: Any, config: Any) -> Any:
    """A net of PaddleNLP class `kind` with random weights, pruned where its configuration says so."""
    import paddle

    network = kind(config)
    for layer in network.sublayers():
        # PaddleNLP gives each 1e-12, whatever the configuration says.
        if isinstance(layer, paddle.nn.LayerNorm):
            layer._epsilon = getattr(config, "layer_norm_eps", layer._epsilon)
    if getattr(config, "kept_heads", None):
        shrink(network)
    return network
