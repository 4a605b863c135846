"""A cloze as a classifier: it reads `[CLS][MASK]：text`, and what stands for [MASK] says the label.

It takes the token ids of the text alone, as every classifier does, and puts the prompt in by itself. At [MASK] comes
what a masked language model computes there before it asks for a character: a dense layer, its activation and a layer
norm. The classifier asks for a label instead.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any

from replicate.nets import upstream
from replicate.nets.configuration import is_cloze

# Where the answer stands: the prompt follows [CLS].
PLACE = 1


def with_prompt(ids: Any, prompt: Sequence[int]) -> Any:
    """Token ids [batch, length + prompt] with the prompt after the first token of [batch, length]; tensors."""
    import paddle

    first = ids[:, :PLACE]
    # The first token's shape, whatever the batch: a tensor of constants would need another operator in the graph.
    return paddle.concat([first, *(first * 0 + token for token in prompt), ids[:, PLACE:]], axis=1)


def kind_of(kind: Any, config: Any) -> Any:
    """PaddleNLP's class `kind`, or that of a cloze where the configuration is one's.

    Raises:
        ValueError: it is a cloze's, and another head is wanted.
    """
    if not is_cloze(config):
        return kind
    upstream.quiet()
    from paddlenlp.transformers import ErnieForSequenceClassification

    if kind is not ErnieForSequenceClassification:
        raise ValueError("a cloze, where a net without a prompt is needed")
    return cloze_class()


@functools.cache
def cloze_class() -> Any:
    """The class of every cloze, made from an `ErnieConfig` with a `prompt`.

    `max_position_embeddings` is the longest text in tokens; the net has a position more for each token of the prompt.
    """
    upstream.quiet()
    from paddle import nn
    from paddlenlp.transformers import ErnieForSequenceClassification

    class Answer(nn.Layer):  # type: ignore[misc]  # Paddle is untyped
        """What stands at the first token of the prompt; takes the place of ERNIE's pooler."""

        def __init__(self, config: Any) -> None:
            super().__init__()
            self.dense = nn.Linear(config.hidden_size, config.hidden_size)
            self.activation = getattr(nn.functional, config.hidden_act)
            self.layer_norm = nn.LayerNorm(config.hidden_size)

        def forward(self, hidden_states: Any) -> Any:
            return self.transform(hidden_states[:, PLACE])

        def transform(self, hidden: Any) -> Any:
            """What the masked language model makes of a hidden state [batch, hidden]."""
            return self.layer_norm(self.activation(self.dense(hidden)))

    class Cloze(ErnieForSequenceClassification):  # type: ignore[misc]
        """Token ids [batch, length] to logits [batch, classes]."""

        def __init__(self, config: Any) -> None:
            whole = copy.deepcopy(config)
            whole.max_position_embeddings += len(config.prompt)
            super().__init__(whole)
            self.config = config
            self.ernie.pooler = Answer(config)

        def forward(self, input_ids: Any, token_type_ids: Any = None, **rest: Any) -> Any:
            """As PaddleNLP's classifier; every token is of type 0."""
            return super().forward(with_prompt(input_ids, self.config.prompt), **rest)

    return Cloze
