"""Pruning a fine-tuned classifier to a share of its heads, hidden units or layers, by one of three engines.

`paddlenlp` is the article's own way and the reference, `paddlenlp-cleared` the same less one fault. `native` trains a
net that really is that small, can prune what was pruned before, and has the controls without which nobody can say that
pruning or distilling did anything. One width a call: with several, upstream shrinks the same parent again and again
and exports wrong shapes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from replicate.checks import check_choice, check_positive, check_schedule
from replicate.corpus.formats import Split
from replicate.errors import UserError
from replicate.finetune import BATCHING, SELECT, check_length
from replicate.model import Classifier
from replicate.progress import Progress

ENGINES = ("paddlenlp", "paddlenlp-cleared", "native")
IMPORTANCE = ("dev", "train")
STARTS = ("parent", "scratch")
TARGETS = ("teacher", "labels")
# What only the native engine does, with the value that every engine can do.
_NATIVE_ONLY = {"depth": "1", "start": "parent", "targets": "teacher"}


@dataclass(frozen=True)
class PruneOptions:
    """Settings of pruning; the defaults are the article's.

    Attributes:
        width: share of heads and hidden units to keep: `1/2`, `2/3`, `0.75`; `1` keeps them all.
        save_steps: steps between dev evaluations; the last step is always evaluated.
        select: the dev score that the best state is chosen by.
        batching: `random`, or `length` for batches of similar length.
        importance: the examples that the importance of heads and units is computed on: `dev`, as upstream and the
            article do it, or `train`, as many examples of the training set.
        engine: `paddlenlp` (`Trainer.compress`, as the article), `paddlenlp-cleared` (the same, less the gradients of
            importance in its first step) or `native`; the rest only the last can do otherwise.
        depth: share of layers to keep; `1` keeps them all.
        start: the weights that the student starts from: those kept of its `parent`, or from `scratch` random ones.
        targets: what the student learns: its `teacher`'s logits and hidden states, or the `labels` alone.
    """

    width: str
    learning_rate: float = 3e-5
    batch_size: int = 32
    epochs: int = 5
    max_seq_length: int = 128
    warmup_proportion: float = 0.0
    weight_decay: float = 0.0
    save_steps: int = 50
    select: str = "f1"
    batching: str = "random"
    importance: str = "dev"
    engine: str = "paddlenlp"
    depth: str = "1"
    start: str = "parent"
    targets: str = "teacher"

    def __post_init__(self) -> None:
        """Refuse a setting that no pruning can have (UserError)."""
        check_choice("engine", self.engine, ENGINES)
        if parse_share("width", self.width) == parse_share("depth", self.depth) == 1:
            raise UserError("width 1 and depth 1 keep everything", hint="choose one of them below 1")
        check_choice("select", self.select, SELECT)
        check_choice("batching", self.batching, BATCHING)
        check_choice("importance", self.importance, IMPORTANCE)
        check_choice("start", self.start, STARTS)
        check_choice("targets", self.targets, TARGETS)
        check_positive(self, "learning_rate", "batch_size", "epochs", "save_steps")
        check_schedule(self)
        for name, value in _NATIVE_ONLY.items():
            if self.engine != "native" and getattr(self, name) != value:
                raise UserError(f"engine {self.engine} has no {name} {getattr(self, name)}", hint="engine native has")


def parse_width(text: str, name: str = "width") -> Fraction:
    """A width as an exact fraction above 0 and below 1; `0.66` and `0.67` are what they say, not 2/3.

    Raises:
        UserError: it is no fraction, or keeps nothing or everything.
    """
    if not re.fullmatch(r"\d+/\d+|0?\.\d+", text) or text.endswith("/0"):
        raise UserError(f"{name} {text!r} is not a fraction", hint="write 1/2, 2/3 or 0.75")
    width = Fraction(text)
    if not 0 < width < 1:
        raise UserError(f"{name} {text} keeps nothing or everything", hint="choose one between 0 and 1")
    return width


def parse_share(name: str, text: str) -> Fraction:
    """A width or depth as an exact fraction; `1` is a share too."""
    return Fraction(1) if text == "1" else parse_width(text, name)


def kept_shape(width: Fraction, heads: int, neurons: int) -> tuple[int, int]:
    """Attention heads and hidden units that a width keeps.

    Raises:
        UserError: heads × width or units × width is not whole; names the widths that fit.
    """
    if (width * heads).denominator == 1 and (width * neurons).denominator == 1:
        return int(width * heads), int(width * neurons)
    fitting = (Fraction(kept, heads) for kept in range(1, heads))
    names = ", ".join(str(one) for one in fitting if (one * neurons).denominator == 1)
    raise UserError(
        f"width {width} does not divide {heads} attention heads and {neurons} hidden units",
        hint=f"choose one of {names}" if names else "no width does",
    )


def kept_layers(depth: Fraction, layers: int) -> tuple[int, ...]:
    """Indices of the layers that a depth keeps: evenly spread, the last among them.

    These are DynaBERT's (Hou et al., 2020): of layers 1 to n without every k-th, those with (d + 1) mod k = 0 go.

    Raises:
        UserError: layers × depth is not whole; names the depths that fit.
    """
    kept = depth * layers
    if kept.denominator != 1:
        names = ", ".join(str(Fraction(one, layers)) for one in range(1, layers))
        hint = f"choose one of {names}" if names else "no depth does"
        raise UserError(f"depth {depth} does not divide {layers} layers", hint=hint)
    return tuple(number * layers // int(kept) - 1 for number in range(1, int(kept) + 1))


def width_folder(width: Fraction) -> str:
    """Name of a pruned model's folder, as in the article: `0.5`, `0.67`."""
    return str(round(float(width), 2))


def folder_of(options: PruneOptions) -> str:
    """Name of a pruned model's folder; one with fewer layers says so: `1.0-depth-0.5`."""
    width, depth = parse_share("width", options.width), parse_share("depth", options.depth)
    return width_folder(width) + (f"-depth-{width_folder(depth)}" if depth != 1 else "")


def prune(
    classifier: Classifier, train: Split, dev: Split, options: PruneOptions, seed: int, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Prune a fine-tuned classifier by distillation from itself and write the result as a model folder.

    Args:
        classifier: the fine-tuned parent and teacher; `paddlenlp` changes it.
        train: examples to distil on; their labels are used where the targets are labels.
        dev: examples that choose the best state and, as upstream does it, that the importance of heads is computed on.
        options: settings.
        seed: seeds the order of the examples and dropout; call `seed_everything` before the parent is loaded.
        folder: where the pruned model is written.
        progress: told of every step.

    Returns:
        Summary: kept shape, steps, best step, evaluation, history, digests of the weights (`weights_step0` are the
        parent's), number of parameters.

    Raises:
        Diverged: the loss is not finite.
        UserError: the width or depth does not fit the parent's shape.
    """
    if not hasattr(classifier.network.base_model, "encoder"):
        raise UserError("only an ERNIE can be pruned", hint="name a folder that finetune or prune wrote")
    check_length(classifier.network, options.max_seq_length)
    if options.engine == "native":
        from replicate.prune_native import prune_native

        return prune_native(classifier, train, dev, options, seed, folder, progress)
    from replicate.prune_paddlenlp import prune_paddlenlp

    return prune_paddlenlp(classifier, train, dev, options, seed, folder, progress)


def check_shapes(network: Any, heads: int, neurons: int) -> None:
    """Make sure that every encoder layer has the shape that was asked for.

    Raises:
        RuntimeError: it has another one.
    """
    for number, layer in enumerate(network.base_model.encoder.layers):
        attention = layer.self_attn
        inner = heads * attention.head_dim
        found = [
            attention.num_heads,
            *(projection.weight.shape[1] for projection in (attention.q_proj, attention.k_proj, attention.v_proj)),
            attention.out_proj.weight.shape[0],
            layer.linear1.weight.shape[1],
            layer.linear2.weight.shape[0],
        ]
        wanted = [heads, inner, inner, inner, inner, neurons, neurons]
        if found != wanted:
            raise RuntimeError(f"layer {number} was exported with shape {found}, not {wanted}")
