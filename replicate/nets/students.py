"""Small classifiers that learn from a large one: bag of words, TextCNN and BiLSTM over the teacher's token ids.

Each is `embedding -> paddlenlp.seq2vec encoder -> tanh -> dense layer -> tanh -> classifier`, as in the examples of
`paddlenlp.seq2vec`. Padding never changes an answer: padded positions are zero vectors, which a sum doesn't see, a
convolution without bias maps to zero, the least that ReLU gives, and an LSTM that is told the lengths doesn't read.

Sources: Kim, "Convolutional Neural Networks for Sentence Classification" (2014), for the TextCNN; Tang et al.,
"Distilling Task-Specific Knowledge from BERT into Simple Neural Networks" (2019), for the BiLSTM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from replicate.common.errors import UserError
from replicate.nets import upstream
from replicate.nets.classifier import Classifier, build_config
from replicate.nets.folder import weights_of
from replicate.nets.student_net import ERNIE, StudentConfig, shape_of, student_class


def build_student(student: str, changes: Mapping[str, Any], teacher: Classifier) -> Classifier:
    """A student with random weights over its teacher's tokens and labels; call `seed_everything` first.

    Args:
        student: one of `STUDENTS`.
        changes: settings of its shape that differ from `DEFAULT_SHAPES[student]`.
        teacher: whose tokenizer, labels and longest text it takes over.
    """
    upstream.quiet()
    from paddlenlp.transformers import ErnieForSequenceClassification

    shape, positions = shape_of(student, changes), teacher.network.config.max_position_embeddings
    # A teacher's embeddings may have rows to spare, which no token asks for.
    size, labels = teacher.network.config.vocab_size, teacher.labels
    if student == ERNIE:
        config = build_config({**shape, "max_position_embeddings": positions}, size, len(labels))
        network = ErnieForSequenceClassification(config)
    else:
        pad = teacher.tokenizer.pad_token_id
        network = student_class()(StudentConfig(student, shape, size, len(labels), pad, positions))
    return Classifier(network, teacher.tokenizer, labels)


def start_from_teacher(student: Classifier, teacher: Classifier) -> None:
    """Give an ERNIE student its teacher's weights, of the layers an even choice from the first one on.

    After Sanh et al., "DistilBERT" (2019), who take one layer of two.

    Raises:
        UserError: the student is not as wide as its teacher, or no ERNIE.
    """
    own, source = student.network.config, teacher.network.config
    hint = "a start from the teacher is for an ERNIE with the teacher's hidden_size, heads and intermediate_size"
    if not all(hasattr(config, "num_attention_heads") for config in (own, source)):
        raise UserError("teacher and student are not both an ERNIE", hint=hint)
    if own.num_attention_heads != source.num_attention_heads:
        raise UserError(f"{own.num_attention_heads} attention heads, not {source.num_attention_heads}", hint=hint)
    weights, taken = weights_of(teacher.network), {}

    def of_teacher(layer: re.Match[str]) -> str:
        return str(int(layer[0]) * source.num_hidden_layers // own.num_hidden_layers)

    for name, value in weights_of(student.network).items():
        found = weights.get(re.sub(r"(?<=encoder\.layers\.)\d+", of_teacher, name))
        if found is None or found.shape != value.shape:
            raise UserError(f"the teacher has no {name} of {list(value.shape)}", hint=hint)
        taken[name] = found
    student.network.set_state_dict(taken)
