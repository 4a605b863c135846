"""Pruning a fine-tuned classifier to a share of its heads, hidden units or layers, by one of four engines.

`paddlenlp` is the article's own way and the reference, `paddlenlp-cleared` the same less one fault, `paddlenlp-2022`
the same as it was then. `native` trains a net that really is that small, can prune what was pruned before, and has the
controls without which nobody can say that pruning or distilling did anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.corpus.formats import Split
from replicate.nets.classifier import Classifier, load_classifier
from replicate.nets.configuration import is_cloze
from replicate.nets.device import seed_everything
from replicate.stages.kind import Inputs
from replicate.stages.prune.options import PruneOptions
from replicate.training.options import check_length


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
        UserError: the width or depth does not fit the parent's shape, or the engine the parent.
    """
    if not hasattr(classifier.network.base_model, "encoder"):
        raise UserError("only an ERNIE can be pruned", hint="name a folder that finetune or prune wrote")
    check_length(classifier.network, options.max_seq_length)
    if options.engine == "native":
        from replicate.stages.prune.native import prune_native

        return prune_native(classifier, train, dev, options, seed, folder, progress)
    if is_cloze(classifier.network.config):
        raise UserError("PaddleNLP can't prune a cloze", hint="the engine native does")
    from replicate.stages.prune.paddlenlp import prune_paddlenlp

    return prune_paddlenlp(classifier, train, dev, options, seed, folder, progress)


def run(inputs: Inputs) -> dict[str, Any]:
    """Prune the model by distillation from itself.

    Raises:
        UserError: there is no model, or it is not one.
    """
    model = inputs.model("prune: there is no model to prune")
    seed_everything(inputs.seed)
    return prune(
        load_classifier(model),
        inputs.split(),
        inputs.dataset.dev,
        inputs.options,
        inputs.seed,
        inputs.folder,
        inputs.progress,
    )
