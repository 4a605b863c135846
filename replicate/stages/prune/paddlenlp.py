"""Width pruning by PaddleNLP's `Trainer.compress` and paddleslim's OFA, as in the article; `nets.upstream` mends them.

What upstream does otherwise than `prune_native`, and keeps doing here, since the article's figures were made so: the
importance adds up gradients that are never cleared, and the first step of training applies them; dropout is on while
importance is computed, and in the teacher; the student is computed at full width of weights, of which it takes a part.

They are gradients of labels, those of the dev set as upstream has it, while all that follows learns from the teacher
alone; and AdamW's momentum goes on in their direction for some ten steps. `paddlenlp-cleared` forgets them before the
first step. `paddlenlp-2022` is upstream as it very probably was when the article was written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.corpus.formats import Split
from replicate.inference.predict import STATIC, static_logits
from replicate.nets import batching, upstream
from replicate.nets.classifier import Classifier
from replicate.nets.folder import digest_of, save_model, scalars_of, weights_of
from replicate.nets.logits import probabilities
from replicate.nets.shape import check_shapes, kept_shape, parse_width, width_folder
from replicate.nets.tokens import encode
from replicate.scores.evaluation import evaluate, history_entry
from replicate.scores.metrics import scores
from replicate.stages.prune.options import PruneOptions
from replicate.training.optimisation import Diverged
from replicate.training.options import epoch_batches


def prune_paddlenlp(
    classifier: Classifier, train: Split, dev: Split, options: PruneOptions, seed: int, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Prune the classifier, which is changed; arguments and summary are those of `prune.prune`.

    The folder also holds the static graph that upstream exports (`model.pdmodel`, `model.pdiparams`); the evaluation is
    of that export, loaded afresh.

    Raises:
        UserError: the net is no unpruned ERNIE, or the width leaves nothing of it.
        Diverged: the loss is no number.
    """
    upstream.mend_paddleslim()
    import paddle
    from paddlenlp.trainer import CompressionArguments, Trainer

    network, tokenizer, classes = classifier.network, classifier.tokenizer, len(classifier.labels)
    width = parse_width(options.width)
    if getattr(network.config, "kept_heads", None):
        raise UserError("only an unpruned ERNIE can be pruned by PaddleNLP", hint="the engine native prunes it again")
    heads, neurons = kept_shape(width, network.config.num_attention_heads, network.config.intermediate_size)
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
        # Upstream evals these; only fractions have been let through.
        width_mult_list=[str(one) for one in options.widths],
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
    done = {"step": 0, "evaluations": 0}

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

        def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
            # Upstream calls this between importance and training.
            super().create_optimizer_and_scheduler(num_training_steps)
            if options.engine == "paddlenlp-cleared":
                self.optimizer.clear_grad()

        def reset_optimizer_and_scheduler(self) -> None:
            # Upstream calls this between training and export. A second export would shrink what the first has shrunk.
            super().reset_optimizer_and_scheduler()
            self.args.width_mult_list = [float(width)]

    def custom_evaluate(_: Any, model: Any, __: Any) -> float:
        """The score that upstream keeps the best state by; above 0, since it saves no state whose score is 0."""
        probability = probabilities(supernet_logits(model), dev_rows, tokenizer.pad_token_id)
        model.train()
        if not np.isfinite(probability).all():
            raise Diverged(done["step"])
        result = evaluate(probability, dev, classes)
        # The first call is for the teacher, before any step; then come the widths in their order, again and again.
        done["evaluations"] += 1
        if done["evaluations"] == 1 or (done["evaluations"] - 2) % len(options.widths) == options.widths.index(width):
            history.append(history_entry(result, done["step"], done["step"] / per_epoch, None, options.select))
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
    whole = False
    with upstream.saved_once():
        if options.engine == "paddlenlp-2022":
            with upstream.pruning_of_2022() as found:
                trainer.compress(custom_evaluate=custom_evaluate)
            whole = found.last == 1
        else:
            trainer.compress(custom_evaluate=custom_evaluate)

    exported = trainer.model
    last = exported.config.intermediate_size if whole else None
    check_shapes(exported, heads, neurons, last)
    exported.config.kept_heads, exported.config.kept_neurons = heads, neurons
    if last is not None:
        exported.config.kept_last_neurons = last
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
        **({"kept_last_neurons": last} if last is not None else {}),
        "steps": done["step"],
        "best_step": max(trained, key=lambda entry: entry[options.select])["step"],
        "teacher": history[0],
        "examples": len(rows),
        "parameters": scalars_of(exported),
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
