"""Integrated gradients and gradient × input, of a dynamic net's word embeddings.

Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks (arXiv 1703.01365). The baseline is [MASK] in place
of each piece; [CLS] and [SEP] stay, since no text is without them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.explain.occlusion import hidden
from replicate.explain.pieces import Pieces
from replicate.inference.exported import MANIFEST
from replicate.nets.classifier import load_classifier
from replicate.nets.cloze_net import PLACE
from replicate.nets.device import set_device
from replicate.nets.ensemble_net import EnsembleConfig
from replicate.nets.folder import WEIGHTS

# Points between the baseline and the text; the sum then misses what it should be by some 2 % (median).
STEPS = 20


class Gradients:
    """Attribution by gradients with one model folder.

    Args:
        folder: what finetune, prune or distill wrote.
        integrated: integrate from the baseline to the text; without it, gradient × input at the text alone.
        device: `cpu` or `gpu`.

    Raises:
        UserError: the folder holds an exported graph, or no model.
    """

    def __init__(self, folder: Path, integrated: bool = True, device: str = "cpu") -> None:
        if (folder / MANIFEST).exists() and not (folder / WEIGHTS).exists():
            hint = "use --method occlusion, or name the model folder that it was made from"
            raise UserError("an exported graph gives no gradients", path=folder, hint=hint)
        set_device(device)
        from paddle import nn

        classifier = load_classifier(folder)
        if isinstance(classifier.network.config, EnsembleConfig):
            hint = "use --method occlusion, or name one of its members"
            raise UserError("an ensemble has no word embeddings of its own", path=folder, hint=hint)
        self._network, self._integrated = classifier.network, integrated
        self._network.eval()
        for layer in self._network.sublayers():
            # In evaluation a recurrent layer keeps nothing to go back through; ours drop nothing out anyway.
            if isinstance(layer, nn.LSTM):
                layer.train()
            # A fifth of the work would be gradients of matrices that nobody reads.
            if isinstance(layer, nn.Linear):
                layer.weight.stop_gradient = True
        self._mask = classifier.tokenizer.mask_token_id
        self._embeddings = _word_embeddings(self._network)

    def __call__(self, pieces: Pieces, best: int, second: int) -> NDArray[np.float64]:
        """As `explanation.Method`."""
        import paddle

        with paddle.no_grad():
            text = self._embeddings(paddle.to_tensor(pieces.ids[None]))[0]
            masks = np.ones((1, len(pieces)), dtype=bool)
            bare = self._embeddings(paddle.to_tensor(hidden(pieces, masks, self._mask)))[0]
        # The middle of each of the steps.
        points = (np.arange(STEPS) + 0.5) / STEPS if self._integrated else np.ones(1)
        shares = paddle.to_tensor(points.astype("float32")).reshape([-1, 1, 1])
        start = bare if self._integrated else paddle.zeros_like(text)
        way = text - start
        given = start.unsqueeze(0) + shares * way.unsqueeze(0)
        given.stop_gradient = False
        weights = np.zeros((2, self._network.config.num_labels), dtype="float32")
        weights[:, best] = 1
        weights[1, second] -= 1
        found = [
            (self._gradient(pieces, given, paddle.to_tensor(one)).mean(axis=0) * way).sum(axis=-1).numpy()[1:-1]
            for one in weights
        ]
        return np.stack(found, axis=1).astype(np.float64)

    def _gradient(self, pieces: Pieces, given: Any, weights: Any) -> Any:
        """The gradient of a sum of logits with weights [classes] in what was given, [points, pieces + 2, width].

        The layer norms' own is computed too, and thrown away: on a CPU, Paddle 2.6's layer norm gives its input a wrong
        gradient where nobody asks for that of its scale, as `paddle.grad` of the input alone does.
        """
        # Once for each sum: a recurrent net's graph can't be gone through twice.
        (self._logits(pieces, given) * weights).sum().backward()
        found = given.grad.clone()
        given.clear_gradient()
        self._network.clear_gradients()
        return found

    def gap(self, pieces: Pieces, best: int) -> float:
        """The logit of the text less that of the baseline: what integrated gradients of all pieces add up to."""
        import paddle

        masks = np.array([[False] * len(pieces), [True] * len(pieces)])
        with paddle.no_grad():
            logits = self._network(paddle.to_tensor(hidden(pieces, masks, self._mask))).numpy()
        return float(logits[0, best] - logits[1, best])

    def _logits(self, pieces: Pieces, given: Any) -> Any:
        """Logits [points, classes] where the word embeddings are the given ones, [points, pieces + 2, width]."""
        import paddle

        def put(layer: Any, inputs: Any, output: Any) -> Any:
            # What a cloze puts after the first token stays.
            more = output.shape[1] - given.shape[1]
            parts = [given[:, :PLACE], output[:, PLACE : PLACE + more], given[:, PLACE:]]
            return paddle.concat(parts, axis=1) if more else given

        hook = self._embeddings.register_forward_post_hook(put)
        try:
            return self._network(paddle.to_tensor(np.repeat(pieces.ids[None], len(given), axis=0)))
        finally:
            hook.remove()


def _word_embeddings(network: Any) -> Any:
    """The layer that turns token ids into vectors: of all embeddings the one as long as the vocabulary."""
    from paddle import nn

    tokens = network.config.vocab_size
    return next(
        layer for layer in network.sublayers() if isinstance(layer, nn.Embedding) and layer.weight.shape[0] == tokens
    )
