"""Masked language modelling of ERNIE on unlabelled lines (BERT's 80/10/10 masking)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from replicate.common.checks import check_positive, check_rate, check_schedule
from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.nets import batching
from replicate.nets.classifier import build_config, load_pretrained
from replicate.nets.device import seed_everything
from replicate.nets.folder import digest_of, save_model, scalars_of, weights_of
from replicate.nets.tokens import build_tokenizer, build_vocabulary, encode
from replicate.stages.kind import Inputs, Kind
from replicate.training.checkpoint import Checkpoint, rows_digest
from replicate.training.optimisation import Diverged, adamw
from replicate.training.options import check_length

IGNORED = -100
LEAST_LINES = 10
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class PretrainOptions:
    """Settings of masked language modelling.

    Attributes:
        architecture: `ErnieConfig` fields of the net to make (empty where a named model is continued).
        passes: times that the corpus is read.
        dropout: used while pretraining; the written configuration keeps the architecture's own, for fine-tuning.
        batch_size: lines a step.
        learning_rate: the highest learning rate; it falls to 0 at the last step.
        warmup_proportion: share of the steps in which the learning rate rises; 0 for none.
        weight_decay: of AdamW; biases and normalisation have none.
        mask_probability: share of the tokens that are to be predicted.
        heldout: share of the lines that is kept for reporting loss and accuracy.
        max_seq_length: tokens of a line, [CLS] and [SEP] included; longer lines are cut.
        minimum_count: rarer characters are left out of the vocabulary.
        seed: of the first weights, the order of the lines and what is masked.
    """

    architecture: Mapping[str, Any]
    passes: float = 8.0
    dropout: float = 0.0
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_proportion: float = 0.06
    weight_decay: float = 0.01
    mask_probability: float = 0.15
    heldout: float = 0.01
    max_seq_length: int = 64
    minimum_count: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a setting that no pretraining can have (UserError)."""
        check_positive(self, "passes", "batch_size", "learning_rate")
        check_schedule(self)
        check_rate(self, "dropout", "mask_probability", "heldout")


KIND = Kind(
    "pretrain",
    PretrainOptions,
    "net",
    "replicate.stages.pretrain:run",
    frozen={
        "passes": 8.0,
        "dropout": 0.0,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "warmup_proportion": 0.06,
        "weight_decay": 0.01,
        "mask_probability": 0.15,
        "heldout": 0.01,
        "max_seq_length": 64,
        "minimum_count": 2,
        "seed": 0,
    },
    seeded=False,
    reads=lambda options: ("unlabelled",),
    wants_device=lambda options: True,
)


def run(inputs: Inputs) -> dict[str, Any]:
    """Pretrain the profile's net on unlabelled lines."""
    return pretrain(inputs.unlabelled(), inputs.options, inputs.folder, inputs.progress)


def mask_tokens(
    ids: np.ndarray, vocabulary: int, special: Sequence[int], mask_id: int, probability: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mask token ids as BERT does: of the chosen tokens 80 % become [MASK], 10 % a random token, 10 % stay.

    Args:
        ids: int64 [batch, length].
        vocabulary: number of tokens; random replacements avoid the special ones.

    Returns:
        Masked ids and targets, both int64 [batch, length]; targets are -100 where nothing is to be predicted. Every
        row with a token to mask has at least one target.
    """
    maskable = ~np.isin(ids, special)
    scores = np.where(maskable, rng.random(ids.shape), 2.0)
    chosen = scores < probability
    rows = np.flatnonzero(maskable.any(axis=1) & ~chosen.any(axis=1))
    chosen[rows, scores[rows].argmin(axis=1)] = True
    action = rng.random(ids.shape)
    replacements = rng.integers(len(special), vocabulary, ids.shape)
    masked = np.where(chosen & (action < 0.8), mask_id, ids)
    masked = np.where(chosen & (action >= 0.9), replacements, masked)
    return masked, np.where(chosen, ids, IGNORED)


def pretrain(
    lines: Sequence[str], options: PretrainOptions, folder: Path, progress: Progress, start: str | Path | None = None
) -> dict[str, Any]:
    """Pretrain an encoder on the lines and write it as a model folder.

    Args:
        lines: unlabelled texts; duplicates and empty lines are dropped by the reader.
        options: settings.
        folder: where the model is written.
        progress: told of every step.
        start: a PaddleNLP name or model folder to continue from; None makes a net of `options.architecture`.

    Returns:
        Summary: steps, lines, tokens, vocabulary, loss and accuracy on the held-out masked characters, history.

    Raises:
        UserError: fewer than 10 lines.
        Diverged: the loss is not finite.
        Stopped: a signal came; the next call with the same folder goes on.
    """
    if len(lines) < LEAST_LINES:
        raise UserError(
            f"pretraining needs at least {LEAST_LINES} lines, got {len(lines)}", hint="name a larger corpus"
        )
    seed_everything(options.seed)
    import paddle
    import paddle.nn.functional as F
    from paddlenlp.transformers import ErnieForMaskedLM

    rng = np.random.default_rng(options.seed)
    if start is None:
        vocabulary = build_vocabulary(lines, options.minimum_count)
        tokenizer = build_tokenizer(vocabulary, folder)
        kept_dropout = {key: build_config(options.architecture, 0).to_dict()[key] for key in DROPOUTS}
        config = {**options.architecture, **dict.fromkeys(DROPOUTS, options.dropout)}
        network = ErnieForMaskedLM(build_config(config, len(vocabulary)))
    else:
        network, tokenizer = load_pretrained(ErnieForMaskedLM, start)
        kept_dropout = {}
    check_length(network, options.max_seq_length)
    rows = encode(tokenizer, lines, options.max_seq_length)
    order = rng.permutation(len(rows))
    held = order[: max(1, int(len(rows) * options.heldout))]
    kept = order[len(held) :]
    lengths = np.asarray([len(row) for row in rows])
    special = tokenizer.convert_tokens_to_ids(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"])
    size = len(tokenizer.vocab)

    def batch_of(indices: np.ndarray, generator: np.random.Generator) -> tuple[Any, Any, Any]:
        ids = batching.pad([rows[i] for i in indices], tokenizer.pad_token_id)
        masked, targets = mask_tokens(ids, size, special, tokenizer.mask_token_id, options.mask_probability, generator)
        positions = np.flatnonzero(targets.reshape(-1) != IGNORED)
        return paddle.to_tensor(masked), paddle.to_tensor(positions), paddle.to_tensor(targets.reshape(-1)[positions])

    def heldout_scores() -> tuple[float, float]:
        network.eval()
        generator = np.random.default_rng(options.seed + 1)
        loss, right, count = 0.0, 0, 0
        with paddle.no_grad():
            for indices in batching.sorted_batches(lengths[held], options.batch_size):
                ids, positions, targets = batch_of(held[indices], generator)
                if len(targets) == 0:
                    continue
                logits = network(ids, masked_positions=positions)
                loss += float(F.cross_entropy(logits, targets, reduction="sum"))
                right += int((logits.argmax(axis=-1) == targets).sum())
                count += len(targets)
        network.train()
        return loss / max(count, 1), right / max(count, 1)

    per_pass = -(-len(kept) // options.batch_size)
    steps = max(1, round(per_pass * options.passes))
    optimizer = adamw(network, options.learning_rate, steps, options.warmup_proportion, options.weight_decay)
    network.train()
    digest = digest_of(weights_of(network))
    identity = {"settings": asdict(options), "weights": digest, "data": rows_digest(rows)}

    def batches() -> list[np.ndarray]:
        return batching.length_batches(lengths[kept], options.batch_size, rng)

    def state() -> dict[str, Any]:
        return {"step": step, "loss": loss.numpy(), "history": history}

    history: list[dict[str, Any]] = []
    step, loss = 0, paddle.zeros([])
    progress.start(steps)
    with Checkpoint(folder, identity, network, optimizer, rng) as checkpoint:
        if found := checkpoint.load():
            step, history, loss = found["step"], found["history"], paddle.to_tensor(found["loss"])
        for epoch in itertools.count(checkpoint.epoch):
            if step == steps:
                break
            for _, indices in checkpoint.batches(epoch, batches):
                ids, positions, targets = batch_of(kept[indices], rng)
                step += 1
                if len(targets):
                    loss = F.cross_entropy(network(ids, masked_positions=positions), targets)
                    loss.backward()
                    optimizer.step()
                    optimizer.clear_grad()
                optimizer.schedule.step()
                if step % 100 == 0 or step == steps:
                    value = float(loss)
                    if not np.isfinite(value):
                        raise Diverged(step)
                    progress.step(step, loss=value)
                if step % max(1, steps // 10) == 0 or step == steps:
                    held_loss, held_accuracy = heldout_scores()
                    history.append({"step": step, "heldout_loss": held_loss, "heldout_accuracy": held_accuracy})
                checkpoint.after_step(state)
                if step == steps:
                    break
    for key, value in kept_dropout.items():
        setattr(network.config, key, value)
    save_model(network, tokenizer, folder)
    return {
        "steps": steps,
        "lines": len(lines),
        "tokens": int(lengths[kept].sum()),
        "vocabulary": size,
        "parameters": scalars_of(network),
        "weights_step0": digest,
        "weights": digest_of(weights_of(network)),
        **{key: history[-1][key] for key in ("heldout_loss", "heldout_accuracy")},
        "history": history,
    }
