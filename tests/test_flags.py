"""Flags say what the options' dataclasses say, and say it once; an unknown one is told by the command that it is of."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from replicate.commands import augment, distill, fewshot, finetune, fuse, pretrain, prune
from replicate.commands.flags import Flag, Offer, Switch, add_options, options_in, said_of, settings_in
from replicate.commands.main import COMMANDS, build_parser, main
from replicate.common.errors import UserError
from replicate.stages.finetune import FinetuneOptions
from replicate.stages.prune.options import PruneOptions

OFFERS: Mapping[str, Offer[Any]] = {
    "pretrain": pretrain.OFFER,
    "finetune": finetune.OFFER,
    "fewshot": fewshot.OFFER,
    "prune": prune.OFFER,
    "distill": distill.OFFER,
    "augment": augment.OFFER,
    "fuse": fuse.OFFER,
}
COMMANDS_FOLDER = Path(prune.__file__).parent


def default_of(one: Field[Any]) -> Any:
    """A field's default, MISSING without one."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def required(offer: Offer[Any]) -> list[str]:
    """A command line of what has no default."""
    values = {"student": "ernie", "width": "1/2"}
    return [
        f"--{name}={values[one.name]}"
        for one, name, flag in offer.offered()
        if default_of(one) is MISSING and not flag.unset
    ]


def parsed(offer: Offer[Any], *words: str) -> argparse.Namespace:
    """The settings of a command line that has no other flags."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_options(parser, offer)
    return parser.parse_args(words)


@pytest.mark.parametrize("name", OFFERS)
def test_every_setting_is_a_flag_or_withheld_with_a_reason(name: str) -> None:
    """A new setting of a stage is a flag of its command at once; what is not offered is a setting, and says why."""
    offer = OFFERS[name]
    known = {one.name for one in fields(offer.options)}
    assert {one.name for one, *_ in offer.offered()} | set(offer.withheld) == known
    assert set(offer.flags) <= known - set(offer.withheld)
    assert all(offer.withheld.values())
    assert all(flag.switch.why for flag in offer.flags.values() if flag.switch)
    options = build_parser(name)._subparsers._group_actions[0].choices[name]._option_string_actions  # type: ignore[union-attr,index]
    assert {f"--{flag}" for _, flag, _ in offer.offered()} <= set(options)


@pytest.mark.parametrize("name", OFFERS)
def test_every_flag_says_what_it_is(name: str) -> None:
    """The words are those of the docstring, in one sentence, and the default stands behind them."""
    offer = OFFERS[name]
    words = said_of(offer.options)
    assert set(words) == {one.name for one in fields(offer.options)}
    parser = argparse.ArgumentParser()
    add_options(parser, offer)
    for one, flag, other in offer.offered():
        said = parser._option_string_actions[f"--{flag}"].help or ""
        assert said.startswith(words[one.name].replace("%", "%%"))
        if type(default_of(one)) in (int, float, str) and not other.unset:
            assert said.endswith(f"(default: {default_of(one)})")


def changed(one: Field[Any]) -> Any:
    """Another value for a setting than its default, which its dataclass would take too."""
    value = default_of(one)
    if "choices" in one.metadata:
        return next(choice for choice in one.metadata["choices"] if choice != value)
    if isinstance(value, Mapping):
        return {**value, "word_unk": 7}
    return "2/3" if isinstance(value, str) else value + 1


def other_options(options: type) -> type:
    """A dataclass of the same fields with other defaults."""
    kinds = get_type_hints(options)
    made: list[tuple[str, Any, Any]] = []
    for one in fields(options):
        value = default_of(one)
        if value is MISSING:
            made.append((one.name, kinds[one.name], field(metadata=one.metadata)))
        else:
            factory = (lambda new: lambda: new)(changed(one))
            made.append((one.name, kinds[one.name], field(default_factory=factory, metadata=one.metadata)))
    return make_dataclass("Other", made, namespace={"__doc__": options.__doc__})


@pytest.mark.parametrize("name", OFFERS)
def test_no_default_is_typed_twice(name: str) -> None:
    """Another default of the dataclass is the command's at once; a switch turns its setting off as before."""
    offer = OFFERS[name]
    other = replace(offer, options=other_options(offer.options))
    found = settings_in(parsed(other, *required(offer)), other)
    for one, _, flag in offer.offered():
        if flag.switch:
            assert found[one.name] == flag.switch.off
        elif flag.unset:
            assert one.name not in found
        elif isinstance(default_of(one), bool):
            assert (default_of(one), found[one.name]) == (False, False)
        elif default_of(one) is not MISSING:
            assert found[one.name] == changed(one)
    on = [f"--{flag.switch.name}" for _, _, flag in offer.offered() if flag.switch]
    found = settings_in(parsed(other, *required(offer), *on), other)
    assert all(found[one.name] == changed(one) for one, _, flag in offer.offered() if flag.switch)


@pytest.mark.parametrize("name", ["finetune", "prune", "distill"])
def test_a_command_without_flags_takes_the_defaults(name: str) -> None:
    """What is not given is what rows and profiles get, but for switches."""
    offer = OFFERS[name]
    given = options_in(parsed(offer, *required(offer)), offer)
    for one, _, flag in offer.offered():
        if default_of(one) is not MISSING:
            assert getattr(given, one.name) == (flag.switch.off if flag.switch else default_of(one))
    for one in fields(offer.options):
        if one.name in offer.withheld:
            assert getattr(given, one.name) == default_of(one)


def test_values_are_of_the_type_that_the_setting_has() -> None:
    """Numbers, words and names with numbers; under the article's names."""
    words: tuple[str, ...]
    words = ("--width_mult=3/4", "--num_train_epochs=2", "--learning_rate=1e-4", "--per_device_train_batch_size=7")
    assert options_in(parsed(prune.OFFER, *words), prune.OFFER) == PruneOptions(
        width="3/4", epochs=2, learning_rate=1e-4, batch_size=7
    )
    words = ("--student=cnn", "--shape=filters=8,dropout=0.5", "--mix=word_unk=1", "--unlabelled_per_text=0.5")
    found = options_in(parsed(distill.OFFER, *words), distill.OFFER)
    assert (found.shape, found.mix, found.unlabelled) == ({"filters": 8, "dropout": 0.5}, {"word_unk": 1}, 0.5)
    words = ("--warmup", "--early_stop", "--early_stop_nums=5")
    assert options_in(parsed(finetune.OFFER, *words), finetune.OFFER) == FinetuneOptions(early_stop_nums=5)
    assert settings_in(parsed(pretrain.OFFER, "--passes=0.5"), pretrain.OFFER) == {"passes": 0.5, "seed": 0}


@pytest.mark.parametrize("name", OFFERS)
def test_choices_are_those_of_the_field(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A word that the dataclass refuses is refused by the parser, with the words that it takes."""
    offer = OFFERS[name]
    for one, flag, _ in offer.offered():
        if "choices" in one.metadata:
            with pytest.raises(SystemExit, match="^2$"):
                parsed(offer, *required(offer), f"--{flag}=magic")
            told = capsys.readouterr().err
            assert all(choice in told for choice in one.metadata["choices"])
            # `augment` takes its mix from flags of its own.
            rest = {"mix": {"unk": 1.0}} if name == "augment" else {}
            with pytest.raises(UserError, match=one.name):
                offer.options(**{**rest, **settings_in(parsed(offer, *required(offer)), offer), one.name: "magic"})


def literals() -> Iterator[tuple[str, Any]]:
    """Each flag of the commands whose default is typed there, with that default."""
    for path in COMMANDS_FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                flags = [one.value for one in node.args if isinstance(one, ast.Constant)]
                for keyword in node.keywords:
                    if keyword.arg == "default" and isinstance(keyword.value, ast.Constant):
                        yield str(flags[-1]), keyword.value.value


def test_a_default_that_a_command_types_is_typed_once() -> None:
    """A flag that two commands have with one default has it from one place; no setting's default is typed at all."""
    typed = Counter(literals())
    assert typed[("--port", 8000)] == 1
    twice = {flag: count for flag, count in typed.items() if count > 1}
    assert not twice
    derived = {f"--{flag}" for offer in OFFERS.values() for one, flag, _ in offer.offered() if one.name != "seed"}
    assert not derived & {flag for flag, _ in typed}


@pytest.mark.parametrize(
    ("line", "command", "unknown", "nearest"),
    [
        ("prune --widht 1/2", "prune", "--widht", ["--width_mult"]),
        ("prune --params_dir a --width_mult 1/2 --batch_size 8", "prune", "--batch_size", ["--batching"]),
        ("finetune --learning-rate=1", "finetune", "--learning-rate", ["--learning_rate"]),
        ("list --jsn", "list", "--jsn", ["--json"]),
        ("store gc --delte", "store gc", "--delte", ["--delete"]),
        ("store --delete gc", "store", "--delete", []),
        ("serve model --qqq", "serve", "--qqq", []),
        ("augment a b -z", "augment", "-z", []),
    ],
)
def test_an_unknown_option_is_told_by_its_command(
    line: str, command: str, unknown: str, nearest: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the command, the option, those that it may have been, and where all of them stand; exit code 2."""
    with pytest.raises(SystemExit, match="^2$"):
        main(shlex.split(line))
    told = capsys.readouterr().err
    found = re.fullmatch(r"replicate: (.+) has no option (\S+)(?:; nearest: (.+))?; `replicate (.+) --help` .+\n", told)
    assert found, told
    assert (found[1], found[2], found[4]) == (command, unknown, command)
    assert (found[3] or "").split(", ")[: len(nearest)] == (nearest or [""])[: len(nearest)]


@pytest.mark.parametrize("line", ["data generated a b", "list a"])
def test_a_word_too_many_is_told_by_its_command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So is a word that has no place."""
    with pytest.raises(SystemExit, match="^2$"):
        main(line.split())
    told = capsys.readouterr().err
    assert told.startswith(f"replicate: {line.split()[0]} ")
    assert repr(line.split()[-1]) in told
    assert told.count("\n") == 1


def test_what_looks_like_an_option_may_be_a_text() -> None:
    """A prefix of a known option is that option, what has a space is a text, and after `--` all words are."""
    words = ["augment", "--aug", "2", "--unk_token", "--a b", "--", "--in", "--out"]
    args = build_parser("augment").parse_args(words)
    assert (args.aug_times, args.unk_token, args.input, args.output) == (2, "--a b", Path("--in"), Path("--out"))
    with pytest.raises(SystemExit, match="^0$"):
        build_parser("augment").parse_args(["augment", "--help", "--widht"])


def test_every_command_is_a_module_of_its_name() -> None:
    """The table names each module that has flags and a run, and no other."""
    defining = set()
    for path in COMMANDS_FOLDER.glob("*.py"):
        names = {
            node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
        }
        if {"add_arguments", "run"} <= names:
            defining.add(path.stem)
    assert defining == set(COMMANDS)


def test_a_switch_and_an_unset_flag() -> None:
    """The machinery, on a dataclass of no stage."""
    made = make_dataclass(
        "Made",
        [("count", int, field()), ("rate", float, field(default=0.5))],
        namespace={"__doc__": "Made.\n\nAttributes:\n    rate: of it, 50 %. More.\n    count: of\n        all.\n"},
    )
    offer: Offer[Any] = Offer(
        made, {"rate": Flag(switch=Switch("on", 0.0, "it", "why")), "count": Flag("number", unset="theirs")}
    )
    assert said_of(made) == {"rate": "of it, 50 %", "count": "of all"}
    assert settings_in(parsed(offer), offer) == {"rate": 0.0}
    assert settings_in(parsed(offer, "--on", "--number=3"), offer) == {"rate": 0.5, "count": 3}
    parser = argparse.ArgumentParser()
    add_options(parser, offer)
    text = " ".join(parser.format_help().split())
    assert "of all (default: theirs)" in text
    assert "of it, 50 % (default: 0.5)" in text
