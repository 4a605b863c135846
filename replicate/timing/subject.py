"""A model that is timed: its folder, and what follows from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.nets.ensemble_net import EnsembleConfig
from replicate.nets.folder import WEIGHTS, read_model_labels
from replicate.nets.student_net import StudentConfig, student_flops
from replicate.timing.operations import Encoder, head
from replicate.timing.random_net import SHAPES, encoder_flops

# As many as KUAKE-QIC has.
LABELS = tuple(f"label {number}" for number in range(11))


@dataclass(frozen=True)
class Subject:
    """A model folder and what is said of it: its name, shape and width, and whether its weights are `trained`."""

    name: str
    folder: Path
    shape: str
    width: str
    weights: str
    architecture: Mapping[str, Any]

    def flops(self, batch: int, length: int) -> int:
        """Of the encoder's matrix products on a batch; of all of them for a student that is no ERNIE."""
        return sum(_flops(*one, batch, length) for one in self._singles())

    def operations(self, batch: int, length: int) -> int:
        """Those that labels can't do without: of the last layer what [CLS] takes, and the head."""
        classes = len(self.architecture.get("id2label") or LABELS)
        return sum(_operations(*one, batch, length, classes) for one in self._singles())

    def _singles(self) -> list[tuple[Mapping[str, Any], Fraction]]:
        """Configuration and width of each member of an ensemble, or of the one net."""
        if "ensemble" in self.architecture:
            return [(one, _width(one)) for one in self.architecture["members"]]
        return [(self.architecture, Fraction(self.width))]


def describe(folder: Path, name: str = "") -> Subject:
    """A model folder as a subject; UserError where its config.json is none of a classifier."""
    path = folder / "config.json"
    if not (folder / WEIGHTS).is_file():
        raise UserError(
            f"not a model folder: {WEIGHTS} is missing", path=folder, hint="name what finetune or prune wrote"
        )
    config = read_json(path)
    if isinstance(config, dict) and "student" in config:
        try:
            StudentConfig.from_dict(config)
        except (TypeError, ValueError) as error:
            raise UserError(f"not the configuration of a student ({error})", path=path) from error
        return Subject(name or folder.name, folder, shape_name(config), "1", "trained", config)
    if isinstance(config, dict) and "ensemble" in config:
        try:
            EnsembleConfig.from_dict(config, read_model_labels(folder))
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(f"not the configuration of an ensemble ({error})", path=path) from error
        return Subject(name or folder.name, folder, shape_name(config), "1", "trained", config)
    try:
        width = _width(config)
        encoder_flops(config, width, 1, 1)
    except (TypeError, KeyError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise UserError("not the configuration of an ERNIE classifier", path=path) from error
    return Subject(name or folder.name, folder, shape_name(config), str(width), "trained", config)


def _width(config: Mapping[str, Any]) -> Fraction:
    """Share of heads that a net has; 1 for a student."""
    if "student" in config:
        return Fraction(1)
    heads, *_ = (int(config[key]) for key in ("num_attention_heads", "num_hidden_layers", "hidden_size"))
    return Fraction(config.get("kept_heads") or heads, heads)


def _flops(config: Mapping[str, Any], width: Fraction, batch: int, length: int) -> int:
    if "student" in config:
        return student_flops(config, batch, length)
    return encoder_flops(config, width, batch, length)


def _operations(config: Mapping[str, Any], width: Fraction, batch: int, length: int, classes: int) -> int:
    if "student" in config:
        return student_flops(config, batch, length)
    encoder = Encoder.of(config, width)
    return encoder.forward(batch, length, answered=1) + head(batch, encoder.hidden, classes)


def shape_name(architecture: Mapping[str, Any]) -> str:
    """`ernie-3.0-base` for a published shape, the kind of a student, `ensemble of 3`, else layers and hidden size."""
    if "student" in architecture:
        return str(architecture["student"])
    if "ensemble" in architecture:
        return f"ensemble of {len(architecture['members'])}"
    for name, known in SHAPES.items():
        if all(architecture.get(key) == value for key, value in known.items()):
            return f"ernie-3.0-{name}"
    return f"{architecture['num_hidden_layers']} x {architecture['hidden_size']}"
