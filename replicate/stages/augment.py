"""The training set with augmented copies of its lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from replicate.augment.engine import COPIES, UNK_TOKEN, augment_split
from replicate.augment.registry import STRATEGIES, packages_of
from replicate.common.checks import check_choices
from replicate.stages.kind import MODEL, TRAIN, Inputs, Kind
from replicate.stages.sets import write_train

EMPTIED = ("dropped", "original")


@dataclass(frozen=True)
class AugmentOptions:
    """Settings of augmentation; `augment.engine.augment_rows` explains them.

    Attributes:
        mix: weight of each strategy by name; only their proportions count.
        copies: copies of each line.
        unk_token: what `unk` puts in the place of a character.
        article: no repairs, as in the article: unchanged copies stay.
        per_copy: draw a strategy for each copy, not for each line.
        emptied: what a copy that came out empty is without repairs: `dropped`, or its `original`.
    """

    mix: Mapping[str, float]
    copies: int = COPIES
    unk_token: str = UNK_TOKEN
    article: bool = False
    per_copy: bool = False
    emptied: str = field(default="dropped", metadata={"choices": EMPTIED})

    def __post_init__(self) -> None:
        """Refuse a setting that no augmentation can have (UserError)."""
        check_choices(self)


def _asks_a_model(options: AugmentOptions) -> bool:
    return any(options.mix.get(name) for name, strategy in STRATEGIES.items() if strategy.needs == "model")


KIND = Kind(
    "augment",
    AugmentOptions,
    "examples",
    "replicate.stages.augment:run",
    (TRAIN, replace(MODEL, when=_asks_a_model)),
    frozen={
        "copies": 4,
        "unk_token": "\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}",
        "article": False,
        "per_copy": False,
        "emptied": "dropped",
    },
    packages=lambda options: packages_of(options.mix),
    wants_device=_asks_a_model,
)


def run(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with its augmented copies; `w2v_replace` reads vectors of the set's own words."""
    from replicate.augment.train_vectors import train_vectors
    from replicate.augment.vectors import load_vectors

    split, vectors, model = inputs.split(), None, inputs.sources.get("model", ())
    if inputs.options.mix.get("w2v_replace"):
        path = inputs.folder / "vectors.txt"
        train_vectors(split.texts, path, seed=inputs.seed)
        vectors = load_vectors(path)
    augmented, summary = augment_split(
        split, seed=inputs.seed, vectors=vectors, model=model[0] if model else None, **vars(inputs.options)
    )
    return {**write_train(inputs, augmented), **asdict(summary)}
