"""What each stage does: the step from settings and inputs to a folder and a summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from replicate.augment.engine import UNK_TOKEN
from replicate.common.checks import check_choice, check_not_negative
from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.corpus.formats import Dataset, Split, read_split

Options = TypeVar("Options")
AUGMENT = ("mix", "copies", "unk_token", "article", "per_copy")


@dataclass(frozen=True)
class Inputs:
    """What a stage gets.

    Attributes:
        options: its settings.
        seed: the run's seed; 0 for a stage that all seeds share.
        dataset: labels, dev set and the original training set.
        train: folder of the stage that made the training set; None for the data set's own.
        model: model folder or PaddleNLP name; None where none is needed.
        unlabelled: the profile's unlabelled lines, which it pretrains on.
        folder: where its files go.
        progress: told of every step.
    """

    options: Mapping[str, Any]
    seed: int
    dataset: Dataset
    train: Path | None
    model: str | Path | None
    unlabelled: Callable[[], tuple[str, ...]]
    folder: Path
    progress: Progress

    def split(self) -> Split:
        """The training examples."""
        return self.dataset.train if self.train is None else read_split(self.train / "train.txt", self.dataset.labels)


def options_of(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """A stage's settings as their dataclass; UserError on a setting that it lacks, or a value of another type."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(f"{kind.__name__} has no setting {name!r}", hint=f"settings: {', '.join(known)}")
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"{kind.__name__} needs the setting {field.name!r}")
    for name, hint in get_type_hints(kind).items():
        wanted, called = _TYPES[get_origin(hint) or hint]
        if name in values and (not isinstance(values[name], wanted) or isinstance(values[name], bool)):
            raise UserError(f"{kind.__name__}: {name} is {values[name]!r}, not {called}")
    return kind(**values)


_TYPES: dict[Any, tuple[Any, str]] = {
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "a text"),
    Mapping: (Mapping, "a table"),
}


@dataclass(frozen=True)
class SampleOptions:
    """How many training examples are drawn."""

    examples: int


@dataclass(frozen=True)
class DuplicateOptions:
    """How many copies stand beside each training example."""

    copies: int

    def __post_init__(self) -> None:
        """Refuse less than nothing (UserError)."""
        check_not_negative(self, "copies")


def settings_of(stage: str, options: Mapping[str, Any]) -> Any:
    """The settings of a stage, checked: a misspelt one is refused before hours of other stages have run.

    Raises:
        UserError: an unknown setting, or a value that no run can have.
    """
    from replicate.stages.distill.options import DistillOptions
    from replicate.stages.finetune import FinetuneOptions
    from replicate.stages.pretrain import PretrainOptions
    from replicate.stages.prune.options import PruneOptions

    if stage == "finetune":
        options = dict(options)
        check_choice("start", options.pop("start", "model"), ("model", "scratch"))
    if stage in ("augment", "svm"):
        known = AUGMENT if stage == "augment" else ()
        for name in options:
            if name not in known:
                raise UserError(f"{stage} has no setting {name!r}", hint=f"settings: {', '.join(known) or 'none'}")
        return options
    kinds: dict[str, type[Any]] = {
        "pretrain": PretrainOptions,
        "sample": SampleOptions,
        "duplicate": DuplicateOptions,
        "finetune": FinetuneOptions,
        "prune": PruneOptions,
        "distill": DistillOptions,
    }
    return options_of(kinds[stage], options)


def config_of(stage: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting that a stage runs with, defaults included.

    Raises:
        UserError: as `settings_of`.
    """
    settings = settings_of(stage, options)
    every = asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else dict(settings)
    return {**_DEFAULTS.get(stage, {}), **every, **options}


# Of settings that stand in no dataclass.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "augment": {"copies": 4, "unk_token": UNK_TOKEN, "article": False, "per_copy": False},
    "finetune": {"start": "model"},
}


def run_pretrain(inputs: Inputs) -> dict[str, Any]:
    """Pretrain the profile's net on unlabelled lines."""
    from replicate.stages.pretrain import pretrain

    return pretrain(inputs.unlabelled(), settings_of("pretrain", inputs.options), inputs.folder, inputs.progress)


def run_augment(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with its augmented copies; `w2v_replace` reads vectors of the set's own words."""
    from replicate.augment import augment_split
    from replicate.augment.train_vectors import train_vectors
    from replicate.augment.vectors import load_vectors

    settings, split, vectors = settings_of("augment", inputs.options), inputs.split(), None
    if settings["mix"].get("w2v_replace"):
        path = inputs.folder / "vectors.txt"
        train_vectors(split.texts, path, seed=inputs.seed)
        vectors = load_vectors(path)
    augmented, summary = augment_split(split, seed=inputs.seed, vectors=vectors, model=inputs.model, **settings)
    return {**_write_train(inputs, augmented), **asdict(summary)}


def run_sample(inputs: Inputs) -> dict[str, Any]:
    """Write a random part of the training set, drawn by the seed, in the order of the whole.

    Raises:
        UserError: there are not so many.
    """
    import numpy as np

    split, examples = inputs.split(), settings_of("sample", inputs.options).examples
    if not 0 < examples <= len(split):
        raise UserError(f"sample: {examples} of {len(split)} training examples", hint="take at least 1 and at most all")
    chosen = np.sort(np.random.default_rng(inputs.seed).permutation(len(split))[:examples])
    return _write_train(inputs, Split(tuple(split.texts[i] for i in chosen), tuple(split.labels[i] for i in chosen)))


def run_duplicate(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with plain copies of each line: as many steps as with augmentation, and nothing new."""
    split, times = inputs.split(), 1 + settings_of("duplicate", inputs.options).copies
    texts = tuple(text for text in split.texts for _ in range(times))
    return _write_train(inputs, Split(texts, tuple(label for label in split.labels for _ in range(times))))


def _write_train(inputs: Inputs, split: Split) -> dict[str, Any]:
    names = inputs.dataset.labels
    lines = (f"{text}\t{names[label]}\n" for text, label in zip(split.texts, split.labels, strict=True))
    (inputs.folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    return {"examples": len(split)}


def run_finetune(inputs: Inputs) -> dict[str, Any]:
    """Fine-tune the model, or with `start = "scratch"` a net of its shape with random weights.

    Raises:
        UserError: there is no model, or it is not one.
    """
    from replicate.nets.classifier import load_classifier, restart
    from replicate.nets.device import seed_everything
    from replicate.nets.folder import digest_of, weights_of
    from replicate.stages.finetune import finetune

    settings = settings_of("finetune", inputs.options)
    if inputs.model is None:
        raise UserError("finetune: there is no model to start from")
    # Before the network is built, or the head is not the same for the same seed.
    seed_everything(inputs.seed)
    classifier = load_classifier(inputs.model, inputs.dataset.labels)
    # A net of the store is known by its own stage; a named one (a text) only here. Its head is new and not part of it.
    named = isinstance(inputs.model, str)
    start = {"pretrained": digest_of(weights_of(classifier.network.base_model))} if named else {}
    if inputs.options.get("start") == "scratch":
        seed_everything(inputs.seed)
        classifier = restart(classifier)
    summary = finetune(
        classifier, inputs.split(), inputs.dataset.dev, settings, inputs.seed, inputs.folder, inputs.progress
    )
    return {**summary, **start}


def run_prune(inputs: Inputs) -> dict[str, Any]:
    """Prune the model by distillation from itself.

    Raises:
        UserError: there is no model, or it is not one.
    """
    from replicate.nets.classifier import load_classifier
    from replicate.nets.device import seed_everything
    from replicate.stages.prune.prune import prune

    if inputs.model is None:
        raise UserError("prune: there is no model to prune")
    settings = settings_of("prune", inputs.options)
    seed_everything(inputs.seed)
    classifier = load_classifier(inputs.model)
    return prune(classifier, inputs.split(), inputs.dataset.dev, settings, inputs.seed, inputs.folder, inputs.progress)


def run_distill(inputs: Inputs) -> dict[str, Any]:
    """Train a student on what the model says of the training text, its copies and unlabelled text.

    Raises:
        UserError: there is no teacher, or it is not one.
    """
    from replicate.nets.classifier import load_classifier
    from replicate.stages.distill.distill import distill

    if inputs.model is None:
        raise UserError("distill: there is no teacher")
    settings = settings_of("distill", inputs.options)
    return distill(
        load_classifier(inputs.model),
        inputs.split(),
        inputs.dataset.dev,
        lambda: (*inputs.dataset.unlabelled, *inputs.unlabelled()),
        settings,
        inputs.seed,
        inputs.folder,
        inputs.progress,
    )


def run_svm(inputs: Inputs) -> dict[str, Any]:
    """Train and score the baseline."""
    import numpy as np

    from replicate.scores.metrics import count
    from replicate.scores.packing import pack_bits, pack_predictions
    from replicate.stages.svm import svm

    dev, classes = inputs.dataset.dev, len(inputs.dataset.labels)
    predicted = svm(inputs.split(), dev, classes, inputs.seed)
    evaluation = {
        "counts": count(dev.labels, predicted, classes),
        "predictions": pack_predictions(predicted),
        "correct": pack_bits(predicted == np.asarray(dev.labels)),
        "confidence": "",
        "probabilities": "",
    }
    return {"evaluation": evaluation, "parameters": 0}


STAGES: Mapping[str, Callable[[Inputs], dict[str, Any]]] = {
    "pretrain": run_pretrain,
    "sample": run_sample,
    "duplicate": run_duplicate,
    "augment": run_augment,
    "finetune": run_finetune,
    "prune": run_prune,
    "distill": run_distill,
    "svm": run_svm,
}
