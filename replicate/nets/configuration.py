"""What `config.json` may say of an ERNIE, and the shapes that it asks for: known before memory is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

# Fields of PaddleNLP's `ErnieConfig` and of pruned nets that make a net what it is. No other is looked at: some let
# PaddleNLP take memory, and some change what a net gives.
_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "kept_heads",
    "kept_neurons",
    "kept_last_neurons",
)
_INDICES = ("type_vocab_size", "task_type_vocab_size", "task_id", "pad_token_id")
_SHARES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
_SMALL = ("initializer_range", "layer_norm_eps")
_FLAGS = ("use_task_id",)
# Token ids that a cloze puts after [CLS]; it answers at the first of them.
PROMPT = "prompt"
_MOST_PROMPT = 64
_ACTIVATIONS = ("gelu", "relu", "tanh", "silu", "swish", "sigmoid")
# Without a value the default counts.
_OPTIONAL = ("kept_heads", "kept_neurons", "kept_last_neurons", "classifier_dropout", PROMPT)
_PREFIX = "ernie."


def ernie_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `config.json` that make an ERNIE.

    Raises:
        ValueError: one has a value that no net can have; it is named.
    """
    fields: dict[str, Any] = {}
    for names, right, words in _RULES:
        for name in names:
            value = found.get(name)
            if name not in found or (value is None and name in _OPTIONAL):
                continue
            if not right(value):
                raise ValueError(f"{name} is {str(value)[:40]!r}; it must be {words}")
            fields[name] = value
    if ("kept_heads" in fields) != ("kept_neurons" in fields):
        raise ValueError("kept_heads and kept_neurons stand together")
    if "kept_last_neurons" in fields and "kept_neurons" not in fields:
        raise ValueError("kept_last_neurons stands with kept_neurons")
    if max(fields.get(PROMPT, [0])) >= fields.get("vocab_size", math.inf):
        raise ValueError(f"prompt is {fields[PROMPT]}; vocab_size is {fields['vocab_size']}")
    for name, size in (("pad_token_id", "vocab_size"), ("task_id", "task_type_vocab_size")):
        used = name != "task_id" or fields.get("use_task_id")
        if used and name in fields and size in fields and fields[name] >= fields[size]:
            raise ValueError(f"{name} is {fields[name]}; {size} is {fields[size]}")
    return fields


def neurons_of(config: Any, layer: int) -> int:
    """Hidden units of one layer; a net pruned as PaddleNLP did it in August 2022 has more of them in its last one."""
    last = getattr(config, "kept_last_neurons", None) if layer == config.num_hidden_layers - 1 else None
    return int(last or getattr(config, "kept_neurons", None) or config.intermediate_size)


def is_cloze(config: Any) -> bool:
    """Whether a configuration is that of a cloze."""
    return bool(getattr(config, PROMPT, None))


def positions_of(config: Any) -> int:
    """Rows of the position embeddings: those of the longest text, and of what a cloze adds to it."""
    return int(config.max_position_embeddings) + (len(config.prompt) if is_cloze(config) else 0)


def ernie_shapes(config: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the arrays of an ERNIE without a head, as `bare` names them, layer after layer."""
    hidden, heads = config.hidden_size, config.num_attention_heads
    inner = (getattr(config, "kept_heads", None) or heads) * (hidden // heads)
    yield "embeddings.word_embeddings.weight", (config.vocab_size, hidden)
    yield "embeddings.position_embeddings.weight", (positions_of(config), hidden)
    if config.type_vocab_size:
        yield "embeddings.token_type_embeddings.weight", (config.type_vocab_size, hidden)
    if config.use_task_id:
        yield "embeddings.task_type_embeddings.weight", (config.task_type_vocab_size, hidden)
    yield from _norm("embeddings.layer_norm", hidden)
    for number in range(config.num_hidden_layers):
        layer, neurons = f"encoder.layers.{number}", neurons_of(config, number)
        for name in ("q_proj", "k_proj", "v_proj"):
            yield from _linear(f"{layer}.self_attn.{name}", hidden, inner)
        yield from _linear(f"{layer}.self_attn.out_proj", inner, hidden)
        yield from _linear(f"{layer}.linear1", hidden, neurons)
        yield from _linear(f"{layer}.linear2", neurons, hidden)
        yield from _norm(f"{layer}.norm1", hidden)
        yield from _norm(f"{layer}.norm2", hidden)
    yield from _linear("pooler.dense", hidden, hidden)
    if is_cloze(config):
        yield from _norm("pooler.layer_norm", hidden)


def bare(name: str) -> str:
    """An array's name without that of the net that has the head."""
    return name.removeprefix(_PREFIX)


def check_sizes(config: Any) -> None:
    """Refuse what no classifier can have: `vocab_size`, `num_labels`, `max_position_embeddings` and `pad_token_id`.

    Raises:
        ValueError: one of them has such a value; it is named.
    """
    for name in ("vocab_size", "num_labels", "max_position_embeddings"):
        value = getattr(config, name)
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is {str(value)[:40]!r}; it must be a whole number above 0")
    pad = config.pad_token_id
    if type(pad) is not int or not 0 <= pad < config.vocab_size:
        raise ValueError(f"pad_token_id is {str(pad)[:40]!r}; it must be a token's number, of {config.vocab_size}")


def _linear(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (inputs, outputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _tokens(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_PROMPT
        and all(type(one) is int and one >= 0 for one in value)
    )


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


_RULES = (
    (_SIZES, lambda value: type(value) is int and value > 0, "a whole number above 0"),
    (_INDICES, lambda value: type(value) is int and value >= 0, "a whole number, 0 or more"),
    (_SHARES, lambda value: _number(value) and 0 <= value < 1, "at least 0 and below 1"),
    (_SMALL, lambda value: _number(value) and 0 < value <= 1, "above 0 and at most 1"),
    (_FLAGS, lambda value: type(value) is bool, "true or false"),
    ((PROMPT,), _tokens, f"1 to {_MOST_PROMPT} token ids"),
    (("hidden_act",), lambda value: value in _ACTIVATIONS, f"one of {', '.join(_ACTIVATIONS)}"),
)
