"""Flags of a command that are the fields of an options dataclass, and those that several commands have in common."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_origin, get_type_hints

from replicate.common.checks import LARGEST_SEED

T = TypeVar("T")
# What `run`, `doctor` and the report on somebody's own data take where no profile is named.
PROFILE = "smoke"
# The article's.
SEED = 3


@dataclass(frozen=True)
class Switch:
    """A flag without a value, without which a setting is off, whatever its own default is.

    Attributes:
        name: the flag, less its dashes.
        off: the setting's value without it.
        help: what it does.
        why: the reason that it is off unless it is asked for.
    """

    name: str
    off: Any
    help: str
    why: str


@dataclass(frozen=True)
class Flag:
    """What a command does otherwise with one setting than its dataclass says.

    Attributes:
        name: the flag, less its dashes; empty for the setting's own name.
        short: a second name of one letter, with its dash.
        metavar: what stands for the value in the help.
        switch: the flag that turns the setting on.
        unset: whose value it is where the flag is not given; empty for the dataclass's default.
    """

    name: str = ""
    short: str = ""
    metavar: str | None = None
    switch: Switch | None = None
    unset: str = ""


@dataclass(frozen=True)
class Offer(Generic[T]):
    """How a command offers the settings of a stage: each field is a flag with its type, default, choices and words.

    Attributes:
        options: the dataclass of the settings; its docstring says in `Attributes` what each is.
        flags: what is otherwise for some of them.
        withheld: settings that the command does not offer, each with the reason.
    """

    options: type[T]
    flags: Mapping[str, Flag] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)

    def offered(self) -> Iterator[tuple[Field[Any], str, Flag]]:
        """The fields that are flags, each with the flag's name and what is otherwise."""
        for one in fields(self.options):  # type: ignore[arg-type]
            if one.name not in self.withheld:
                flag = self.flags.get(one.name, Flag())
                yield one, flag.name or one.name, flag


def add_options(parser: argparse.ArgumentParser, offer: Offer[Any]) -> None:
    """Add a flag for each setting that is offered, and its switch before it."""
    kinds, words = get_type_hints(offer.options), said_of(offer.options)
    for one, name, flag in offer.offered():
        kind, names = kinds[one.name], [*filter(None, [flag.short]), f"--{name}"]
        if kind is bool:
            parser.add_argument(*names, action="store_true", help=words[one.name].replace("%", "%%"))
            continue
        if flag.switch:
            parser.add_argument(f"--{flag.switch.name}", action="store_true", help=flag.switch.help)
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        required = default is MISSING and not flag.unset
        shown = "" if required or default == {} else f" (default: {flag.unset or _shown(default)})"
        parser.add_argument(
            *names,
            type=_PARSERS[get_origin(kind) or kind],
            default=None if required or flag.unset else default,
            required=required,
            choices=one.metadata.get("choices"),
            metavar=flag.metavar or _METAVARS.get(kind),
            help=(words[one.name] + shown).replace("%", "%%"),
        )


def settings_in(args: argparse.Namespace, offer: Offer[Any]) -> dict[str, Any]:
    """The settings that the command line gives, by field; one without a default is left out unless it was named."""
    found = {}
    for one, name, flag in offer.offered():
        value = getattr(args, name)
        if flag.switch and not getattr(args, flag.switch.name):
            value = flag.switch.off
        if value is not None:
            found[one.name] = value
    return found


def options_in(args: argparse.Namespace, offer: Offer[T]) -> T:
    """The options that the command line gives.

    Raises:
        UserError: a value that the dataclass refuses.
    """
    return offer.options(**settings_in(args, offer))


def said_of(options: type) -> dict[str, str]:
    """The first sentence on each attribute in a class's docstring, without its full stop."""
    _, _, text = (inspect.getdoc(options) or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", text, re.MULTILINE)
    return {name: re.split(r"\.(?:\s|$)", " ".join(words.split()))[0] for name, words in entries}


def named_numbers(text: str) -> dict[str, int | float]:
    """`a=1,b=0.5` as names and numbers."""
    found: dict[str, int | float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = int(value) if re.fullmatch(r"\s*\d+\s*", value) else float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not a name and a number such as hidden_size=64") from None
    return found


_METAVARS = {int: "N", float: "X"}
_PARSERS: Mapping[Any, Callable[[str], Any]] = {int: int, float: float, str: str, Mapping: named_numbers}


def _shown(default: Any) -> str:
    return ",".join(f"{name}={value}" for name, value in default.items()) if isinstance(default, dict) else str(default)


def seeds_of(text: str) -> tuple[int, ...]:
    """`1,2,3` as numbers."""
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,2,3") from None
    if len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} names a seed twice, or one that is not from 0 to {LARGEST_SEED}")
    return seeds


def add_json(parser: argparse.ArgumentParser, what: str = "as JSON") -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help=what)


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device` of what computes."""
    parser.add_argument("--device", default="cpu", help="cpu (default) or gpu")


def add_profile(parser: argparse.ArgumentParser, what: str) -> None:
    """`--profile`."""
    parser.add_argument("--profile", default=PROFILE, metavar="P", help=f"{what} (default: {PROFILE})")


def add_offline(parser: argparse.ArgumentParser) -> None:
    """`--offline`, which `main` obeys."""
    parser.add_argument("--offline", action="store_true", help="open no connection")


def add_visualdl(parser: argparse.ArgumentParser) -> None:
    """`--visualdl`, which `main` obeys."""
    parser.add_argument("--visualdl", type=Path, metavar="DIR", help="write training curves there, for VisualDL")


def add_start(parser: argparse.ArgumentParser, others: str) -> None:
    """`--model_name`: what a training starts from, the article's net or `others`."""
    what = f"PaddleNLP name, {others}"
    parser.add_argument("--model_name", default="ernie-3.0-base-zh", metavar="NAME", help=what)


def add_training(parser: argparse.ArgumentParser, what: str, extra: str = "") -> None:
    """What every command has that trains on a data set: the data, the seed, the device, and what is told meanwhile.

    Args:
        parser: the command's.
        what: is printed every so many steps.
        extra: file of the data that it reads besides.
    """
    add = parser.add_argument
    add("--dataset_dir", metavar="DIR", help=f"train.txt, dev.txt, label.txt{extra} (default: KUAKE-QIC)")
    add("--seed", type=int, default=SEED, metavar="N", help=f"of order, draws and dropout (default: {SEED})")
    add_device(parser)
    add("--logging_steps", type=int, default=0, metavar="N", help=f"print the {what} every so many steps")
    add_visualdl(parser)
