"""Pruning by this project: importance, a cut to a net that really is that small, distillation from the whole one.

The recipe is that of `prune_paddlenlp`, DynaBERT's of one width: the same importance, loss, optimiser, batches and
choice of the best state. Nothing of Paddle is patched, and the student has no weight that it does not use.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.corpus.formats import Split
from replicate.nets import batching
from replicate.nets.classifier import Classifier
from replicate.nets.folder import digest_of, save_model, scalars_of, weights_of
from replicate.nets.shape import check_shapes, kept_layers, kept_shape, parse_share
from replicate.nets.single import network_of
from replicate.nets.tokens import encode
from replicate.scores.evaluation import history_entry
from replicate.stages.prune.importance import cut, importance, most_important
from replicate.stages.prune.options import PruneOptions
from replicate.training.checkpoint import Checkpoint, rows_digest
from replicate.training.loop import Course, Examination, Training
from replicate.training.loop import train as train_net
from replicate.training.optimisation import adamw
from replicate.training.options import epoch_batches

# Upstream's `lambda_logit` and `lambda_distill`: of the soft cross-entropy, and of each mean squared difference of the
# embeddings' and every layer's output.
LOGITS, HIDDEN = 1.0, 0.1
Batch = tuple[NDArray[np.int64], NDArray[np.int64]]
Loss = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Shape:
    """What a pruned net keeps: indices of layers, and numbers of heads and hidden units in each of them."""

    layers: tuple[int, ...]
    heads: int
    neurons: int


def prune_native(
    classifier: Classifier, train: Split, dev: Split, options: PruneOptions, seed: int, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Prune the classifier, which stays as it is; arguments and summary are those of `prune.prune`."""
    import paddle

    teacher, tokenizer = classifier.network, classifier.tokenizer
    shape = pruned_shape(teacher, options)
    rng = np.random.default_rng(seed)
    parts = [(encode(tokenizer, part.texts, options.max_seq_length), np.asarray(part.labels)) for part in (train, dev)]
    (rows, labels), (dev_rows, dev_labels) = parts
    pad, lengths = tokenizer.pad_token_id, [len(row) for row in rows]
    per_epoch = math.ceil(len(rows) / options.batch_size)
    steps = per_epoch * options.epochs

    measured = (dev_rows, dev_labels)
    if options.importance == "train":
        drawn = rng.permutation(len(rows))[: len(dev_rows)]
        measured = [rows[i] for i in drawn], labels[drawn]
    student = student_of(teacher, shape, options.start, batches_of(*measured, options.batch_size, pad))
    loss_towards = distillation(teacher, shape.layers) if options.targets == "teacher" else _hard
    optimizer = adamw(student, options.learning_rate, steps, options.warmup_proportion, options.weight_decay)
    examination = Examination(dev, dev_rows, pad, len(classifier.labels), options.select)
    of_teacher = history_entry(examination.of(teacher, 0), 0, 0.0, None, options.select)
    data = rows_digest([*rows, labels, *dev_rows, dev_labels])
    digests = {"teacher": digest_of(weights_of(teacher)), "student": digest_of(weights_of(student)), "data": data}
    identity = {"settings": asdict(options), "seed": seed, **digests}

    def loss_of(indices: NDArray[np.int64]) -> Any:
        ids = paddle.to_tensor(batching.pad([rows[i] for i in indices], pad))
        return loss_towards(student, ids, paddle.to_tensor(labels[indices]))

    training = Training(student, optimizer)
    course = Course(
        options.epochs,
        per_epoch,
        lambda: epoch_batches(lengths, options.batch_size, options.batching, rng),
        lambda _, step: step % options.save_steps == 0 or step == steps,
    )
    train_net(training, course, examination, loss_of, Checkpoint(folder, identity, student, optimizer, rng), progress)
    best = training.best
    student.set_state_dict(best["weights"])
    save_model(student, tokenizer, folder, classifier.labels)
    return {
        "width": str(parse_share("width", options.width)),
        "kept_heads": shape.heads,
        "kept_neurons": shape.neurons,
        "kept_layers": list(shape.layers),
        "steps": training.step,
        "best_step": best["step"],
        "teacher": of_teacher,
        "examples": len(rows),
        "parameters": scalars_of(student),
        "weights_step0": digests["teacher"],
        "weights": digest_of(best["weights"]),
        "evaluation": best["evaluation"],
        "history": training.history,
    }


def pruned_shape(network: Any, options: PruneOptions) -> Shape:
    """What these options keep of a net, relative to what it has: a pruned one can be pruned again.

    Raises:
        UserError: width or depth does not fit, and it names those that do; or the last layer is wider than the others.
    """
    layers = network.base_model.encoder.layers
    if getattr(network.config, "kept_last_neurons", None):
        hint = "prune its parent, or with the engine paddlenlp"
        raise UserError("the last layer of this net has more hidden units than the others", hint=hint)
    heads, neurons = layers[0].self_attn.num_heads, layers[0].linear1.weight.shape[1]
    kept = kept_shape(parse_share("width", options.width), heads, neurons)
    return Shape(kept_layers(parse_share("depth", options.depth), len(layers)), *kept)


def student_of(network: Any, shape: Shape, start: str, batches: Iterator[Batch]) -> Any:
    """A net of the shape, with what it keeps of the network's weights, or from `scratch` with random ones.

    Args:
        network: the whole net; it is left in evaluation mode.
        shape: what to keep.
        start: `parent` or `scratch`.
        batches: what the importance of heads and hidden units is computed on, where some of them go.
    """
    config = copy.deepcopy(network.config)
    config.num_hidden_layers = len(shape.layers)
    if (shape.heads, shape.neurons) != (config.num_attention_heads, config.intermediate_size):
        config.kept_heads, config.kept_neurons = shape.heads, shape.neurons
    student = network_of(type(network), config)
    check_shapes(student, shape.heads, shape.neurons)
    if start == "parent":
        found = importance(network, batches)
        heads, neurons = most_important(found.heads, shape.heads), most_important(found.neurons, shape.neurons)
        student.set_state_dict(cut(network, shape.layers, heads, neurons))
    return student


def batches_of(rows: list[NDArray[np.int64]], labels: NDArray[np.int64], size: int, pad_id: int) -> Iterator[Batch]:
    """Examples in batches by length: token ids [batch, length] and labels [batch]."""
    for indices in batching.sorted_batches([len(row) for row in rows], size):
        yield batching.pad([rows[i] for i in indices], pad_id), labels[indices]


def distillation(teacher: Any, layers: tuple[int, ...]) -> Loss:
    """A student's loss towards what its teacher gives: upstream's sum over logits and hidden states.

    Soft cross-entropy of the logits, and of the embeddings and of each of the student's layers the mean squared
    difference to the teacher's, padding included. The teacher is frozen: no dropout, no gradients.

    Args:
        teacher: the whole net; it is left in evaluation mode.
        layers: the teacher's layer that each of the student's is held against.
    """
    import paddle
    import paddle.nn.functional as F

    teacher.eval()

    def loss(student: Any, ids: Any, _: Any) -> Any:
        with paddle.no_grad():
            wanted, states = teacher(ids, output_hidden_states=True)
            wanted = F.softmax(wanted)
        logits, own = student(ids, output_hidden_states=True)
        # The first state is the embeddings'.
        towards = (states[0], *(states[layer + 1] for layer in layers))
        hidden = sum(F.mse_loss(one, other) for one, other in zip(own, towards, strict=True))
        return LOGITS * F.cross_entropy(logits, wanted, soft_label=True) + HIDDEN * hidden

    return loss


def _hard(student: Any, ids: Any, labels: Any) -> Any:
    import paddle.nn.functional as F

    return F.cross_entropy(student(ids), labels)
