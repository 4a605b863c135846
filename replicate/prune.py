"""DynaBERT width pruning through PaddleNLP's `Trainer.compress` and paddleslim, as the article did it.

One width a call: with several, upstream shrinks the same parent again and again and exports wrong shapes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate import batching, compat
from replicate.corpus.formats import Split
from replicate.errors import UserError
from replicate.evaluation import evaluate, history_entry, probabilities
from replicate.finetune import BATCHING, SELECT, check_choice, check_length, check_positive, epoch_batches
from replicate.metrics import scores
from replicate.model import Classifier, digest_of, encode, save_model, weights_of
from replicate.optimisation import Diverged
from replicate.predict import STATIC, static_logits
from replicate.progress import Progress

IMPORTANCE = ("dev", "train")


@dataclass(frozen=True)
class PruneOptions:
    """Settings of DynaBERT pruning; the defaults are the article's.

    Attributes:
        width: share of heads and hidden units to keep: `1/2`, `2/3`, `0.75`.
        save_steps: steps between dev evaluations; the last step is always evaluated.
        select: the dev score that the best state is chosen by.
        batching: `random`, or `length` for batches of similar length.
        importance: the examples that the importance of heads and units is computed on: `dev`, as upstream and the
            article do it, or `train`, as many examples of the training set.
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

    def __post_init__(self) -> None:
        """Refuse a setting that no pruning can have (UserError)."""
        parse_width(self.width)
        check_choice("select", self.select, SELECT)
        check_choice("batching", self.batching, BATCHING)
        check_choice("importance", self.importance, IMPORTANCE)
        check_positive(self, "learning_rate", "batch_size", "epochs", "save_steps")


def parse_width(text: str) -> Fraction:
    """A width as an exact fraction above 0 and below 1; `0.66` and `0.67` are what they say, not 2/3."""
    if not re.fullmatch(r"\d+/\d+|0?\.\d+", text) or text.endswith("/0"):
        raise UserError(f"width {text!r} is not a fraction", hint="write 1/2, 2/3 or 0.75")
    width = Fraction(text)
    if not 0 < width < 1:
        raise UserError(f"width {text} keeps nothing or everything", hint="choose one between 0 and 1")
    return width


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
        hint=f"choose one of {names}",
    )


def width_folder(width: Fraction) -> str:
    """Name of a pruned model's folder, as in the article: `0.5`, `0.67`."""
    return str(round(float(width), 2))


def prune(
    classifier: Classifier, train: Split, dev: Split, options: PruneOptions, seed: int, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Prune a fine-tuned classifier by distillation from itself and write the result as a model folder.

    The folder also holds the static graph that upstream exports (`model.pdmodel`, `model.pdiparams`); the evaluation is
    of that export, loaded afresh.

    Args:
        classifier: the fine-tuned parent and teacher; it is changed.
        train: examples to distil on; their labels are not used by the loss.
        dev: examples that choose the best state and, as upstream does it, that the importance of heads is computed on.
        options: settings.
        seed: seeds the order of the examples and dropout; call `seed_everything` before the parent is loaded.
        folder: where the pruned model is written.
        progress: told of every step.

    Returns:
        Summary: kept shape, steps, best step, evaluation, history, digests of the weights, number of parameters.

    Raises:
        Diverged: the loss is not finite.
        UserError: the width does not fit the parent's shape.
    """
    compat.mend_paddleslim()
    import paddle
    from paddlenlp.trainer import CompressionArguments, Trainer

    network, tokenizer, classes = classifier.network, classifier.tokenizer, len(classifier.labels)
    width = parse_width(options.width)
    if not hasattr(network.base_model, "encoder") or getattr(network.config, "kept_heads", None):
        raise UserError("only an unpruned ERNIE can be pruned", hint="name the folder of its parent")
    heads, neurons = kept_shape(width, network.config.num_attention_heads, network.config.intermediate_size)
    check_length(network, options.max_seq_length)
    parent = digest_of(weights_of(network))
    rng = np.random.default_rng(seed)
    rows, dev_rows = (encode(tokenizer, part.texts, options.max_seq_length) for part in (train, dev))
    per_epoch = -(-len(rows) // options.batch_size)
    steps = per_epoch * options.epochs
    history: list[dict[str, Any]] = []
    work = folder / "compress"
    arguments = CompressionArguments(
        output_dir=str(work),
        strategy="dynabert",
        # Upstream evals this; `parse_width` has let only a fraction through.
        width_mult_list=[str(width)],
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        warmup_ratio=options.warmup_proportion,
        save_steps=options.save_steps,
        logging_steps=steps + 1,
        seed=seed,
        device=paddle.get_device().split(":")[0],
        disable_tqdm=True,
    )
    done = {"step": 0}

    class Batches:
        """The loader that upstream iterates once an epoch."""

        def __init__(self, rows: list[np.ndarray], labels: tuple[int, ...], training: bool) -> None:
            self.rows, self.labels, self.training = rows, np.asarray(labels, dtype=np.int64), training

        def __len__(self) -> int:
            return per_epoch if self.training else -(-len(self.rows) // options.batch_size)

        def __iter__(self) -> Any:
            of = [len(row) for row in self.rows]
            if not self.training:
                batches = list(batching.sorted_batches(of, options.batch_size))
            else:
                batches = epoch_batches(of, options.batch_size, options.batching, rng)
            for indices in batches:
                if self.training:
                    done["step"] += 1
                    progress.step(done["step"])
                    if done["step"] == steps:
                        # Upstream evaluates and saves at multiples of save_steps only, so the last state was lost.
                        trainer.args.save_steps = 1
                ids = paddle.to_tensor(batching.pad([self.rows[i] for i in indices], tokenizer.pad_token_id))
                batch = {"input_ids": ids, "token_type_ids": paddle.zeros_like(ids)}
                yield {**batch, "labels": paddle.to_tensor(self.labels[indices])}

    class Compressor(Trainer):  # type: ignore[misc]  # Paddle is untyped
        """Upstream's trainer over our batches."""

        def get_train_dataloader(self) -> Batches:
            return Batches(rows, train.labels, training=True)

        def get_eval_dataloader(self, eval_dataset: Any = None) -> Batches:
            # Upstream computes the importance of heads and units on this one; `custom_evaluate` has its own.
            if options.importance == "dev":
                return Batches(dev_rows, dev.labels, training=False)
            drawn = rng.permutation(len(rows))[: len(dev_rows)]
            return Batches([rows[i] for i in drawn], tuple(train.labels[i] for i in drawn), training=False)

    def custom_evaluate(_: Any, model: Any, __: Any) -> float:
        """The score that upstream keeps the best state by; above 0, since it saves no state whose score is 0."""
        probability = probabilities(supernet_logits(model), dev_rows, tokenizer.pad_token_id)
        model.train()
        if not np.isfinite(probability).all():
            raise Diverged(done["step"])
        result = evaluate(probability, dev, classes)
        # The first call is for the teacher, before any step.
        history.append(history_entry(result, done["step"], done["step"] / per_epoch, None))
        progress.step(done["step"], accuracy=history[-1]["accuracy"])
        return 1.0 + scores(result["counts"])[options.select]

    trainer = Compressor(
        model=network,
        args=arguments,
        # Upstream reads the first example's keys to find the inputs of the exported graph.
        train_dataset=[{"input_ids": rows[0], "token_type_ids": np.zeros_like(rows[0])}],
        eval_dataset=[],
        tokenizer=tokenizer,
        criterion=paddle.nn.CrossEntropyLoss(),
    )
    progress.start(steps)
    trainer.compress(custom_evaluate=custom_evaluate)

    exported = trainer.model
    check_shapes(exported, heads, neurons)
    exported.config.kept_heads, exported.config.kept_neurons = heads, neurons
    save_model(exported, tokenizer, folder, classifier.labels)
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.move(work / f"width_mult_{width_folder(width)}" / f"model{suffix}", folder / f"{STATIC}{suffix}")
    shutil.rmtree(work)
    probability = probabilities(static_logits(folder), dev_rows, tokenizer.pad_token_id)
    trained = [entry for entry in history if entry["step"]]
    return {
        "width": str(width),
        "kept_heads": heads,
        "kept_neurons": neurons,
        "steps": done["step"],
        "best_step": max(trained, key=lambda entry: entry[options.select])["step"],
        "teacher": history[0],
        "examples": len(rows),
        "parameters": sum(int(np.prod(p.shape)) for p in exported.parameters()),
        "weights_step0": parent,
        "weights": digest_of(weights_of(exported)),
        "evaluation": evaluate(probability, dev, classes),
        "history": trained,
    }


def supernet_logits(model: Any) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """`logits_of` for paddleslim's supernet, which also gives its teacher's logits, or for the teacher itself."""
    import paddle

    model.eval()

    def logits_of(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        with paddle.no_grad():
            tensor = paddle.to_tensor(ids)
            found = model(input_ids=tensor, token_type_ids=paddle.zeros_like(tensor))
        return np.asarray((found[0] if isinstance(found, tuple) else found).numpy())

    return logits_of


def check_shapes(network: Any, heads: int, neurons: int) -> None:
    """Make sure that every encoder layer has the shape that was asked for.

    Raises:
        RuntimeError: upstream exported another one.
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
