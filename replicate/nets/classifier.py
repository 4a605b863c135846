"""Build, load and save an ERNIE text classifier with its tokenizer and labels.

A model folder holds `config.json` (PaddleNLP's configuration; a pruned net adds `kept_heads` and `kept_neurons`, and
`kept_last_neurons` where its last layer has more; a student that is no ERNIE has a `students.StudentConfig`),
`model.safetensors`, `vocab.txt`, `tokenizer_config.json` and, for a classifier, `label.txt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.common.limits import MOST_JSON
from replicate.nets import upstream
from replicate.nets.ensemble_net import EnsembleConfig, ensemble_class
from replicate.nets.folder import WEIGHTS, WRITERS, check_size, load_weights, read_model_labels, scalars_of
from replicate.nets.hugging_face import converted, is_hugging_face
from replicate.nets.named import NAMES, load_named, named
from replicate.nets.single import asked_for, head_of, network_of
from replicate.nets.tokens import MAX_POSITIONS, build_tokenizer, read_tokenizer


@dataclass(frozen=True)
class Classifier:
    """A network with everything that turns texts into labels.

    Attributes:
        network: `ErnieForSequenceClassification`, or a student.
        tokenizer: PaddleNLP tokenizer.
        labels: label names; index = class.
    """

    network: Any
    tokenizer: Any
    labels: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Number of trainable scalars."""
        return scalars_of(self.network)


def build_config(architecture: Mapping[str, Any], vocabulary_size: int, labels: int = 2) -> Any:
    """An `ErnieConfig` of the given shape; sequences up to 128 tokens."""
    upstream.quiet()
    from paddlenlp.transformers import ErnieConfig

    return ErnieConfig(
        **{"max_position_embeddings": MAX_POSITIONS, "type_vocab_size": 2, **architecture},
        vocab_size=vocabulary_size,
        num_labels=labels,
    )


def classifier_from_config(
    architecture: Mapping[str, Any], vocabulary: Sequence[str], labels: Sequence[str], folder: Path
) -> Classifier:
    """A classifier with random weights; its vocabulary file is written into the folder."""
    upstream.quiet()
    from paddlenlp.transformers import ErnieForSequenceClassification

    tokenizer = build_tokenizer(vocabulary, folder)
    network = ErnieForSequenceClassification(build_config(architecture, len(vocabulary), len(labels)))
    return Classifier(network, tokenizer, tuple(labels))


def load_pretrained(
    kind: Any, source: str | Path, labels: Sequence[str] | None = None, complete: bool = False
) -> tuple[Any, Any]:
    """A network of PaddleNLP class `kind` and its tokenizer, by PaddleNLP name or from a model folder.

    A folder in Hugging Face's layout is converted first.

    A head that the source lacks is initialised from the current seed, or with `complete` refused.

    Raises:
        UserError: the folder is not a model, or the files of the name can't be had or are another net's.
    """
    upstream.quiet()
    folder = Path(source)
    head = {} if labels is None else head_of(labels)
    if one := named(source):
        return load_named(kind, one, head, complete)
    if not folder.is_dir():
        if "/" in str(source) or folder.exists():
            raise UserError("no such model folder", path=folder, hint=WRITERS)
        raise UserError(f"no model {str(source)!r}", hint=f"name a model folder, or one of {', '.join(NAMES)}")
    if is_hugging_face(folder):
        folder = converted(folder)
    for name in ("config.json", WEIGHTS, "vocab.txt"):
        if not (folder / name).is_file():
            raise UserError(f"not a model folder: {name} is missing", path=folder, hint=WRITERS)
    config: Any
    try:
        fields = read_json(folder / "config.json")
        if not isinstance(fields, dict):
            raise ValueError("no table of fields")
        if "ensemble" in fields:
            kind, config = _ensemble(kind, fields, labels, complete)
        else:
            kind, config = asked_for(kind, fields, labels)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"not a model configuration ({error})", path=folder / "config.json") from error
    if (folder / "vocab.txt").stat().st_size > MOST_JSON:
        raise UserError(f"larger than {MOST_JSON >> 20} MiB", path=folder / "vocab.txt", hint=WRITERS)
    tokenizer = read_tokenizer(folder / "vocab.txt", config)
    check_size(folder, config, len(labels) if complete and labels is not None else None)
    try:
        network = network_of(kind, config)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"no net has this configuration ({what})", path=folder / "config.json") from error
    load_weights(network, folder / WEIGHTS, complete)
    return network, tokenizer


def load_classifier(source: str | Path, labels: Sequence[str] | None = None) -> Classifier:
    """Load a classifier from a model folder or a PaddleNLP name.

    Args:
        source: a folder written by this project, or a PaddleNLP name such as `ernie-3.0-base-zh`.
        labels: label names; without them the folder's own `label.txt`, and its own head, which must be there. With
            them, where the source's head has another size (a pretrained encoder has none), a new head is initialised
            from the current seed.

    Raises:
        UserError: the folder is not a model, or the files of the name can't be had or are another net's.
    """
    upstream.quiet()
    from paddlenlp.transformers import ErnieForSequenceClassification

    complete = labels is None
    if labels is None:
        if not Path(source).is_dir():
            raise UserError("no such model folder", path=source, hint=WRITERS)
        labels = read_model_labels(Path(source))
    network, tokenizer = load_pretrained(ErnieForSequenceClassification, source, labels, complete)
    return Classifier(network, tokenizer, tuple(labels))


def restart(classifier: Classifier) -> Classifier:
    """A classifier of the same shape, vocabulary and labels with random weights, from the current seed."""
    network = network_of(type(classifier.network), classifier.network.config)
    return Classifier(network, classifier.tokenizer, classifier.labels)


def _ensemble(kind: Any, fields: Mapping[str, Any], labels: Sequence[str] | None, complete: bool) -> tuple[Any, Any]:
    """As `asked_for`; an ensemble is taken whole, since neither its members nor a head of it can be trained."""
    from paddlenlp.transformers import ErnieForSequenceClassification

    if labels is None or not complete or kind is not ErnieForSequenceClassification:
        raise ValueError("an ensemble, where a single net is needed")
    return ensemble_class(), EnsembleConfig.from_dict(fields, labels)
