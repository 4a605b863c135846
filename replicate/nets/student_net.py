"""The students' nets and their configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from replicate.common.errors import UserError
from replicate.nets import upstream
from replicate.nets.configuration import check_sizes

ERNIE = "ernie"

# Names of the parameters that `encoder_parameters` counts begin so.
STUDENT_ENCODER = ("embeddings.", "seq2vec.")

_DENSE = {"embedding_size": 128, "hidden_size": 128, "dropout": 0.1}

# Every setting of a student's shape with its default. `max_window`: convolutions span 2 to so many tokens.
DEFAULT_SHAPES: Mapping[str, Mapping[str, int | float]] = MappingProxyType(
    {
        "bow": MappingProxyType({**_DENSE}),
        "cnn": MappingProxyType({**_DENSE, "filters": 128, "max_window": 5}),
        "bilstm": MappingProxyType({**_DENSE, "lstm_size": 128, "num_layers": 1}),
        ERNIE: MappingProxyType(
            {
                "hidden_size": 96,
                "num_hidden_layers": 2,
                "num_attention_heads": 6,
                "intermediate_size": 384,
                "hidden_dropout_prob": 0.1,
                "attention_probs_dropout_prob": 0.1,
            }
        ),
    }
)

STUDENTS = tuple(DEFAULT_SHAPES)


@dataclass(frozen=True)
class StudentConfig:
    """What `config.json` says of a student that is no ERNIE.

    Attributes:
        student: `bow`, `cnn` or `bilstm`.
        shape: every setting of `DEFAULT_SHAPES[student]`.
        vocab_size: tokens of the teacher's vocabulary.
        num_labels: classes.
        pad_token_id: the token that counts as nothing.
        max_position_embeddings: longest text in tokens, as the teacher reads it; no weight depends on it.
    """

    student: str
    shape: Mapping[str, int | float]
    vocab_size: int
    num_labels: int
    pad_token_id: int
    max_position_embeddings: int

    def to_dict(self) -> dict[str, Any]:
        """As `config.json` holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> StudentConfig:
        """The configuration in a `config.json`; the names of labels, of which `label.txt` tells, are left out.

        Raises:
            UserError: no such student, or no such shape.
            TypeError, ValueError: a field is missing, unknown or no number.
        """
        own = {name: value for name, value in fields.items() if name not in ("id2label", "label2id")}
        config = cls(**own)
        if config.student not in STUDENTS or config.student == ERNIE:
            raise ValueError(f"student is {config.student!r}")
        check_sizes(config)
        if set(config.shape) != set(DEFAULT_SHAPES[config.student]):
            raise ValueError(f"the shape of a {config.student} has {', '.join(DEFAULT_SHAPES[config.student])}")
        shape_of(config.student, config.shape)
        return config


def shape_of(student: str, changes: Mapping[str, Any]) -> dict[str, int | float]:
    """A student's shape: its defaults with these changes.

    Raises:
        UserError: a setting that the student lacks, or a value that no net can have.
    """
    defaults = DEFAULT_SHAPES[student]
    for name, value in changes.items():
        if name not in defaults:
            raise UserError(f"a {student} student has no {name!r}", hint=f"its shape: {', '.join(defaults)}")
        if isinstance(defaults[name], float):
            if type(value) not in (int, float) or not 0 <= value < 1:
                raise UserError(f"{name} is {value!r}", hint="it must be at least 0 and below 1")
        elif type(value) is not int or value < 1:
            raise UserError(f"{name} is {value!r}", hint="it must be a whole number above 0")
    shape = {**defaults, **changes}
    if student == ERNIE and shape["hidden_size"] % shape["num_attention_heads"]:
        raise UserError(f"hidden_size {shape['hidden_size']} is not whole by {shape['num_attention_heads']} heads")
    if shape.get("max_window", 2) < 2:
        raise UserError("max_window is 1", hint="convolutions span 2 tokens or more")
    return shape


@cache
def student_class() -> Any:
    """The Paddle layer of every student that is no ERNIE, made from a `StudentConfig`."""
    upstream.quiet()
    import paddle
    from paddle import nn
    from paddlenlp import seq2vec

    def bow(width: int) -> Any:
        return seq2vec.BoWEncoder(width)

    def cnn(width: int, filters: int, max_window: int) -> Any:
        # As many zeros at both ends as the widest window could see, so that padding adds no new window.
        kinds = {"conv_layer_activation": nn.ReLU(), "bias_attr": False, "padding": (max_window - 1, 0)}
        return seq2vec.CNNEncoder(width, filters, tuple(range(2, max_window + 1)), **kinds)

    def bilstm(width: int, lstm_size: int, num_layers: int) -> Any:
        encoder = seq2vec.LSTMEncoder(width, lstm_size, num_layers=num_layers, direction="bidirect")
        # Its cells hold the same parameters under a second name, and every file would have them twice.
        del encoder.lstm_layer[:]
        return encoder

    encoders: dict[str, Callable[..., Any]] = {"bow": bow, "cnn": cnn, "bilstm": bilstm}

    class Student(nn.Layer):  # type: ignore[misc]  # Paddle is untyped
        """Token ids [batch, length] to logits [batch, classes]."""

        def __init__(self, config: StudentConfig) -> None:
            super().__init__()
            self.config = config
            shape = {name: value for name, value in config.shape.items() if name not in _DENSE}
            width, hidden = config.shape["embedding_size"], config.shape["hidden_size"]
            self.embeddings = nn.Embedding(config.vocab_size, width)
            self.seq2vec = encoders[config.student](width, **shape)
            self.dense = nn.Linear(self.seq2vec.get_output_dim(), hidden)
            self.dropout = nn.Dropout(config.shape["dropout"])
            self.classifier = nn.Linear(hidden, config.num_labels)

        @property
        def base_model(self) -> Any:
            """The net without a head of its own, as PaddleNLP's nets name it: a student is one piece."""
            return self

        def forward(self, input_ids: Any) -> Any:
            mask = (input_ids != self.config.pad_token_id).astype("float32")
            vectors = self.embeddings(input_ids) * mask.unsqueeze(-1)
            more = (mask.sum(axis=-1).astype("int64"),) if self.config.student == "bilstm" else ()
            encoded = paddle.tanh(self.seq2vec(vectors, *more))
            return self.classifier(self.dropout(paddle.tanh(self.dense(encoded))))

    return Student


def encoder_parameters(config: StudentConfig) -> int:
    """Scalars of the embeddings and the encoder, without the dense layer and the classifier."""
    shape = config.shape
    width = shape["embedding_size"]
    found = config.vocab_size * width
    if config.student == "cnn":
        found += sum(window * width * shape["filters"] for window in range(2, int(shape["max_window"]) + 1))
    elif config.student == "bilstm":
        size = shape["lstm_size"]
        # Two directions of four gates, each with two biases.
        found += sum(2 * 4 * size * (read + size + 2) for read in _lstm_inputs(shape))
    return int(found)


def encoded_size(config: StudentConfig) -> int:
    """Numbers that the encoder gives for a text."""
    shape = config.shape
    if config.student == "cnn":
        return int((shape["max_window"] - 1) * shape["filters"])
    return int(2 * shape["lstm_size"] if config.student == "bilstm" else shape["embedding_size"])


def _lstm_inputs(shape: Mapping[str, int | float]) -> list[int | float]:
    """What each layer of a BiLSTM reads a token."""
    return [shape["embedding_size"], *[2 * shape["lstm_size"]] * (int(shape["num_layers"]) - 1)]


def student_flops(config: Mapping[str, Any], batch: int, length: int) -> int:
    """Floating-point operations of a student's matrix products on `batch` texts of `length` tokens.

    A multiplication and an addition count as two. A bag of words has no more than its dense layer and its classifier.
    """
    shape = config["shape"]
    width, found, encoded = shape["embedding_size"], 0, shape["embedding_size"]
    if config["student"] == "cnn":
        padding = 2 * (shape["max_window"] - 1)
        windows = range(2, shape["max_window"] + 1)
        found = sum(window * width * shape["filters"] * (length + padding - window + 1) for window in windows)
        encoded = len(windows) * shape["filters"]
    elif config["student"] == "bilstm":
        size = shape["lstm_size"]
        found = sum(2 * 4 * size * (read + size) for read in _lstm_inputs(shape)) * length
        encoded = 2 * size
    return int(2 * batch * (found + shape["hidden_size"] * (encoded + config["num_labels"])))
