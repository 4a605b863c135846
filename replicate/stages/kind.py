"""What a stage says of itself, what it is given when it runs, and how its settings are checked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin, get_type_hints

from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.corpus.formats import DATA, Dataset, Split, read_split

Options = TypeVar("Options")
Gives = Literal["examples", "net", "scores", "note"]


@dataclass(frozen=True)
class Port:
    """Where a stage takes what another one gives.

    Attributes:
        name: its name in the store's identities: those of `train` and `model` are there since the first records.
        takes: what the stages behind it give.
        many: takes the outcome of every parent of the row; else exactly one.
        when: whether it is needed under these settings.
    """

    name: str
    takes: tuple[Gives, ...]
    many: bool = False
    when: Callable[[Any], bool] = lambda options: True


# Without a stage behind them these mean the data set's own training examples, and the profile's pretrained net.
TRAIN = Port("train", ("examples",))
MODEL = Port("model", ("net",))


@dataclass(frozen=True)
class Kind:
    """A stage. Adding one takes a module of its own with its `Kind`, and one line in `registry`.

    Attributes:
        name: as recipes and profiles call it.
        options: the dataclass of its settings; refuses what no run can have.
        gives: a training set, a net (which is scored), scores without a net, or neither.
        run: `module:function`, from `Inputs` to a JSON summary, imported when it runs.
        ports: what it starts from.
        version: raised when its code changes what comes out, so that older results are not reused.
        frozen: the defaults that its settings had when the first results were stored. A setting with that value is in
            the store's key only where a profile or a row says so; every other one always is.
        seeded: whether each seed has a result of its own.
        reads: the parts of the data that decide its result, under these settings.
        packages: those that decide its result beside the ones that decide every stage's.
        wants_device: whether it runs on the profile's device; else on the CPU.
    """

    name: str
    options: type[Any]
    gives: Gives
    run: str
    ports: tuple[Port, ...] = ()
    version: int = 1
    frozen: Mapping[str, Any] = field(default_factory=dict)
    seeded: bool = True
    reads: Callable[[Any], tuple[str, ...]] = lambda options: DATA
    packages: Callable[[Any], Collection[str]] = lambda options: ()
    wants_device: Callable[[Any], bool] = lambda options: False

    def settings(self, passed: Mapping[str, Any]) -> Any:
        """Settings as their dataclass; UserError on one that the stage lacks, or that no run can have."""
        return options_of(self.options, passed)

    def keyed(self, settings: Mapping[str, Any], passed: Collection[str]) -> dict[str, Any]:
        """Of all settings by name, those that stand in the store's key; `passed` names what a profile or row says."""
        return {
            name: value
            for name, value in settings.items()
            if name in passed or name not in self.frozen or value != self.frozen[name]
        }

    def __call__(self, inputs: Inputs) -> dict[str, Any]:
        """Run it."""
        module, _, function = self.run.partition(":")
        summary: dict[str, Any] = getattr(importlib.import_module(module), function)(inputs)
        return summary


@dataclass(frozen=True)
class Inputs:
    """What a stage gets.

    Attributes:
        options: its settings, as their dataclass.
        seed: the run's seed; 0 for a stage that all seeds share.
        dataset: labels, dev set and the original training set.
        sources: what each port takes: folders of other stages, or the PaddleNLP name or folder of a model.
        unlabelled: the profile's unlabelled lines.
        folder: where its files go.
        progress: told of every step.
    """

    options: Any
    seed: int
    dataset: Dataset
    sources: Mapping[str, tuple[Path | str, ...]]
    unlabelled: Callable[[], tuple[str, ...]]
    folder: Path
    progress: Progress

    def split(self) -> Split:
        """The training examples: those of the stage before, or the data set's own."""
        train = self.sources.get("train", ())
        return read_split(Path(train[0]) / "train.txt", self.dataset.labels) if train else self.dataset.train

    def model(self, wanted: str) -> Path | str:
        """The model to start from; UserError, which says what is `wanted`, where there is none."""
        found = self.sources.get("model", ())
        if not found:
            raise UserError(wanted)
        return found[0]


def fault_of(options: type[Any], name: str, value: Any) -> str:
    """What is wrong with one setting, its name or its type; empty where nothing is."""
    known = [one.name for one in fields(options)]
    if name not in known:
        return f"no such setting; settings: {', '.join(known) or 'none'}"
    hint = _types(options)[name]  # type: ignore[arg-type]  # mypy takes no type for hashable
    wanted, called = _TYPES[get_origin(hint) or hint]
    # A bool is an int in Python, but no number here.
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        return f"{value!r} is not {called}"
    return ""


@cache
def _types(options: type[Any]) -> Mapping[str, Any]:
    # Each call of Python's own compiles every one of them.
    return get_type_hints(options)


def options_of(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """A stage's settings as their dataclass; UserError on a setting that it lacks, or a value of another type."""
    known = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(f"{kind.__name__} has no setting {name!r}", hint=f"settings: {', '.join(known) or 'none'}")
    for one in fields(kind):  # type: ignore[arg-type]
        if one.name not in values and one.default is MISSING and one.default_factory is MISSING:
            raise UserError(f"{kind.__name__} needs the setting {one.name!r}")
    for name, value in values.items():
        if fault := fault_of(kind, name, value):
            raise UserError(f"{kind.__name__}: {name} is {fault.replace(' is not ', ', not ')}")
    return kind(**values)


_TYPES: dict[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "a text"),
    Mapping: (Mapping, "a table"),
}
