"""Build, load and save an ERNIE text classifier with its tokenizer and labels.

A model folder holds `config.json` (PaddleNLP's configuration; a pruned net adds `kept_heads` and `kept_neurons`, and a
student that is no ERNIE has a `students.StudentConfig`), `model.safetensors`, `vocab.txt`, `tokenizer_config.json` and,
for a classifier, `label.txt`.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from replicate import compat
from replicate.checks import check_device, check_seed
from replicate.corpus.formats import read_labels
from replicate.errors import UserError

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")
WEIGHTS = "model.safetensors"
MAX_POSITIONS = 128
# Of a long text this many characters are read for each token that the net takes: no ordinary text has longer tokens,
# and a line of some megabytes costs no more than a line of one page.
CHARACTERS = 64
# The first two would fix the size of a head that a pretrained encoder does not have.
_NOT_KEPT = ("id2label", "label2id", "paddlenlp_version")
# Parts that a checkpoint may lack: a pretrained encoder has no classifier, a classifier no language-model head.
HEADS = ("classifier.", "cls.")
# Bytes of a safetensors header; that of a net of a thousand layers has fewer.
MOST_HEADER = 16 << 20
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")
_WRITERS = "name a folder that finetune, prune, distill or pretrain wrote"


@dataclass(frozen=True)
class Classifier:
    """A network with everything that turns texts into labels.

    Attributes:
        network: `ErnieForSequenceClassification` (or what PaddleNLP's `AutoModel` gives for a name), or a student.
        tokenizer: PaddleNLP tokenizer.
        labels: label names; index = class.
    """

    network: Any
    tokenizer: Any
    labels: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Number of trainable scalars."""
        return sum(int(np.prod(p.shape)) for p in self.network.parameters())


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and Paddle; call before a network is built, or its head is not reproducible.

    Raises:
        UserError: a seed that one of them doesn't take.
    """
    check_seed(seed)
    compat.quiet()
    import paddle

    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)


def set_device(device: str) -> None:
    """Choose `cpu` or `gpu` for everything that follows.

    Raises:
        UserError: there is none such, or this Paddle can't use it.
    """
    check_device(device)
    compat.quiet()
    import paddle

    if device.startswith("gpu") and not paddle.is_compiled_with_cuda():
        raise UserError(
            f"device {device!r}: this Paddle has no CUDA support", hint="use --device cpu or `tox -e replicate`"
        )
    if device.startswith("gpu") and paddle.device.cuda.device_count() == 0:
        raise UserError(
            f"device {device!r}: no CUDA device is visible", hint="use --device cpu, or see `replicate doctor`"
        )
    try:
        paddle.set_device(device)
    except ValueError as error:
        raise UserError(f"device {device!r} is not one that Paddle sees", hint="use cpu or gpu") from error


def build_vocabulary(texts: Iterable[str], minimum_count: int = 2) -> tuple[str, ...]:
    """Character vocabulary of the texts: special tokens, then characters by falling frequency.

    ASCII letters and digits also get their `##` word pieces, as BERT's tokenizer joins them into words.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower())
    characters = sorted(
        (c for c in counts if counts[c] >= minimum_count and not c.isspace()), key=lambda c: (-counts[c], c)
    )
    pieces = tuple(f"##{c}" for c in characters if c.isascii() and c.isalnum())
    return (*SPECIAL_TOKENS, *characters, *pieces)


def build_tokenizer(vocabulary: Sequence[str], folder: Path) -> Any:
    """Write `vocab.txt` into the folder and give an `ErnieTokenizer` over it."""
    compat.quiet()
    from paddlenlp.transformers import ErnieTokenizer

    path = folder / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    return ErnieTokenizer(str(path))


def build_config(architecture: Mapping[str, Any], vocabulary_size: int, labels: int = 2) -> Any:
    """An `ErnieConfig` of the given shape; sequences up to 128 tokens."""
    compat.quiet()
    from paddlenlp.transformers import ErnieConfig

    return ErnieConfig(
        **{"max_position_embeddings": MAX_POSITIONS, "type_vocab_size": 2, **architecture},
        vocab_size=vocabulary_size,
        num_labels=labels,
    )


def encode(tokenizer: Any, texts: Sequence[str], max_length: int = MAX_POSITIONS) -> list[np.ndarray]:
    """Token ids of each text with [CLS] and [SEP], int64, at most `max_length` long; `[UNK]` in a text is one token."""
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    read = (text.lstrip()[: CHARACTERS * max_length] for text in texts)
    ids = (tokenizer.convert_tokens_to_ids(_tokens(tokenizer, text))[: max_length - 2] for text in read)
    return [np.asarray([cls, *row, sep], dtype=np.int64) for row in ids]


def _tokens(tokenizer: Any, text: str) -> list[str]:
    # The tokenizer would take the brackets and the letters of an unknown word, as augmentation writes it, apart.
    first, *others = text.split(tokenizer.unk_token)
    found: list[str] = tokenizer.tokenize(first)
    for part in others:
        found += [tokenizer.unk_token, *tokenizer.tokenize(part)]
    return found


def classifier_from_config(
    architecture: Mapping[str, Any], vocabulary: Sequence[str], labels: Sequence[str], folder: Path
) -> Classifier:
    """A classifier with random weights; its vocabulary file is written into the folder."""
    compat.quiet()
    from paddlenlp.transformers import ErnieForSequenceClassification

    tokenizer = build_tokenizer(vocabulary, folder)
    network = ErnieForSequenceClassification(build_config(architecture, len(vocabulary), len(labels)))
    return Classifier(network, tokenizer, tuple(labels))


def load_pretrained(
    kind: Any, source: str | Path, labels: Sequence[str] | None = None, complete: bool = False
) -> tuple[Any, Any]:
    """A network of PaddleNLP class `kind` and its tokenizer, from a model folder or a PaddleNLP name.

    A head that the source lacks is initialised from the current seed, or with `complete` refused.

    Raises:
        UserError: the folder is not a model, or the name can't be fetched.
    """
    compat.quiet()
    from paddlenlp.transformers import AutoTokenizer, ErnieConfig, ErnieForSequenceClassification

    from replicate.students import StudentConfig, student_class

    folder = Path(source)
    head = (
        {}
        if labels is None
        else {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    )
    if not folder.is_dir():
        if "/" in str(source) or folder.exists():
            raise UserError("no such model folder", path=folder, hint=_WRITERS)
        try:
            size = {} if labels is None else {"num_classes": len(labels)}
            return kind.from_pretrained(str(source), **size), AutoTokenizer.from_pretrained(str(source))
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"model {str(source)!r} is no folder and PaddleNLP could not fetch it ({type(error).__name__})",
                hint="check the name and the network, or name a model folder",
            ) from error
    for name in ("config.json", WEIGHTS, "vocab.txt"):
        if not (folder / name).is_file():
            raise UserError(f"not a model folder: {name} is missing", path=folder, hint=_WRITERS)
    config: Any
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if "student" in fields and labels is not None and kind is ErnieForSequenceClassification:
            kind, config = student_class(), StudentConfig.from_dict({**fields, "num_labels": len(labels)})
        elif "student" in fields:
            raise ValueError(f"a {fields['student']} student, where an ERNIE is needed")
        else:
            config = ErnieConfig.from_dict({**fields, **head})
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"not a model configuration ({error})", path=folder / "config.json") from error
    tokenizer = read_tokenizer(folder / "vocab.txt", config)
    check_size(folder, config)
    try:
        network = network_of(kind, config)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"no net has this configuration ({what})", path=folder / "config.json") from error
    load_weights(network, folder / WEIGHTS, complete)
    return network, tokenizer


def read_tokenizer(path: Path, config: Any) -> Any:
    """An `ErnieTokenizer` over a vocabulary file; UserError where it is none, or has more tokens than the net."""
    from paddlenlp.transformers import ErnieTokenizer

    try:
        tokenizer = ErnieTokenizer(str(path))
    except (AssertionError, ValueError) as error:
        raise UserError("not a vocabulary of one token a line", path=path, hint=_WRITERS) from error
    lacking = [token for token in SPECIAL_TOKENS if token not in tokenizer.vocab.token_to_idx]
    if lacking:
        raise UserError(f"not a vocabulary: it has no {lacking[0]}", path=path, hint=_WRITERS)
    if len(tokenizer.vocab) > config.vocab_size:
        raise UserError(f"{len(tokenizer.vocab)} tokens, but config.json says {config.vocab_size}", path=path)
    return tokenizer


def load_classifier(source: str | Path, labels: Sequence[str] | None = None) -> Classifier:
    """Load a classifier from a model folder or a PaddleNLP name.

    Args:
        source: a folder written by this project, or a PaddleNLP name such as `ernie-3.0-base-zh`.
        labels: label names; without them the folder's own `label.txt`, and its own head, which must be there. With
            them, where the source's head has another size (a pretrained encoder has none), a new head is initialised
            from the current seed.

    Raises:
        UserError: the folder is not a model, or the name can't be fetched.
    """
    compat.quiet()
    from paddlenlp.transformers import AutoModelForSequenceClassification, ErnieForSequenceClassification

    complete = labels is None
    if labels is None:
        if not Path(source).is_dir():
            raise UserError("no such model folder", path=source, hint=_WRITERS)
        labels = read_labels(Path(source) / "label.txt")
    kind = ErnieForSequenceClassification if Path(source).is_dir() else AutoModelForSequenceClassification
    network, tokenizer = load_pretrained(kind, source, labels, complete)
    return Classifier(network, tokenizer, tuple(labels))


def restart(classifier: Classifier) -> Classifier:
    """A classifier of the same shape, vocabulary and labels with random weights, from the current seed."""
    network = network_of(type(classifier.network), classifier.network.config)
    return Classifier(network, classifier.tokenizer, classifier.labels)


def network_of(kind: Any, config: Any) -> Any:
    """A net of PaddleNLP class `kind` with random weights, pruned where its configuration says so."""
    network = kind(config)
    if kept := getattr(config, "kept_heads", None):
        shrink(network, kept, config.kept_neurons)
    return network


def shrink(network: Any, heads: int, neurons: int) -> None:
    """Replace every encoder layer's linear maps by ones of `heads` attention heads and `neurons` hidden units.

    Their weights are random, drawn as PaddleNLP draws those of a whole net.
    """
    from paddle import ParamAttr, nn

    normal = ParamAttr(initializer=nn.initializer.Normal(std=network.config.initializer_range))

    def linear(inputs: int, outputs: int) -> Any:
        return nn.Linear(inputs, outputs, weight_attr=normal)

    for layer in network.base_model.encoder.layers:
        attention = layer.self_attn
        hidden, inner = attention.embed_dim, heads * attention.head_dim
        attention.num_heads = heads
        attention.q_proj, attention.k_proj, attention.v_proj = (linear(hidden, inner) for _ in range(3))
        attention.out_proj = linear(inner, hidden)
        layer.linear1, layer.linear2 = linear(hidden, neurons), linear(neurons, hidden)


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """Parameters and buffers as NumPy arrays, by name."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a safetensors file's arrays, by name; of the file only its header is read.

    Raises:
        UserError: the header is not one, or the file has not the bytes that it speaks of.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MOST_HEADER:
                raise ValueError(f"its header has {size} bytes")
            header = json.loads(file.read(size))
        shapes = {name: tuple(one["shape"]) for name, one in header.items() if name != "__metadata__"}
        end = max((one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"), default=0)
        if path.stat().st_size != 8 + size + end:
            raise ValueError(f"it has {path.stat().st_size} bytes, its header speaks of {8 + size + end}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path) from error
    return shapes


def check_size(folder: Path, config: Any) -> None:
    """Refuse a model folder whose config.json asks for another net than its weights, before any memory is taken.

    Raises:
        UserError: the weights are no safetensors file, or are not of these sizes.
    """
    from replicate.students import STUDENT_ENCODER, StudentConfig, encoder_parameters

    shapes = read_header(folder / WEIGHTS)
    if isinstance(config, StudentConfig):
        held = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(STUDENT_ENCODER))
        if held != (wanted := encoder_parameters(config)):
            what = f"an encoder of {wanted} parameters is asked for, the weights have {held}"
            raise UserError(what, path=folder / "config.json", hint=_WRITERS)
        return
    vocabulary, hidden, layers = config.vocab_size, config.hidden_size, config.num_hidden_layers
    embeddings = [shape for name, shape in shapes.items() if name.endswith("embeddings.word_embeddings.weight")]
    if embeddings != [(vocabulary, hidden)]:
        found = " × ".join(map(str, embeddings[0])) if embeddings else "none"
        what = f"word embeddings of {vocabulary} × {hidden} are asked for, the weights have {found}"
        raise UserError(what, path=folder / "config.json", hint=_WRITERS)
    numbers = {int(match[1]) for match in map(_LAYER.search, shapes) if match}
    if numbers != set(range(layers)):
        raise UserError(f"{layers} layers are asked for, the weights have {len(numbers)}", path=folder / "config.json")
    positions = [shape[0] for name, shape in shapes.items() if name.endswith("position_embeddings.weight")]
    if positions != [config.max_position_embeddings]:
        what = f"{config.max_position_embeddings} positions are asked for, the weights have {positions}"
        raise UserError(what, path=folder / "config.json")
    inner = {shape[-1] for name, shape in shapes.items() if name.endswith(".linear1.weight")}
    if inner != {getattr(config, "kept_neurons", None) or config.intermediate_size}:
        what = f"{config.intermediate_size} hidden units are asked for, the weights have {sorted(inner)}"
        raise UserError(what, path=folder / "config.json")


def load_weights(network: Any, path: Path, complete: bool = False) -> None:
    """Fill a network from a safetensors file; the encoder must fit exactly, a head may be absent unless `complete`.

    Raises:
        UserError: the file is none, or its arrays do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path) from error
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    fitting = {name: value for name, value in found.items() if wanted.get(name) == value.shape}
    lacking = [name for name in wanted if name not in fitting and (complete or not name.startswith(HEADS))]
    if lacking:
        raise UserError(f"weights do not fit config.json: {lacking[0]} is missing or has another shape", path=path)
    surplus = [name for name in found if name not in wanted and not name.startswith(HEADS)]
    if surplus:
        raise UserError(f"weights do not fit config.json: the net has no {surplus[0]}", path=path)
    network.set_state_dict({**network.state_dict(), **fitting})


def digest_of(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the weights: names, shapes and bytes in name order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{weights[name].dtype}{weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def save_model(network: Any, tokenizer: Any, folder: Path, labels: Sequence[str] | None = None) -> None:
    """Write a model folder; files that are already there are replaced."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights_of(network), folder / WEIGHTS)
    config = {key: value for key, value in network.config.to_dict().items() if key not in _NOT_KEPT}
    if labels is not None:
        config |= {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    text = json.dumps(config, ensure_ascii=False, indent=1)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    tokenizer.save_pretrained(str(folder))
    if labels is not None:
        (folder / "label.txt").write_text("".join(f"{name}\n" for name in labels), encoding="utf-8")
