"""The `replicate` command: which commands there are, and what becomes of their errors.

A command is a module of this package with its flags (`add_arguments`) beside what it does (`run`). It is imported when
it is asked for, so that nobody waits for another command's imports; Paddle only where something trains or predicts.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from types import MappingProxyType
from typing import NoReturn

from replicate.commands.parser import Parser
from replicate.common.errors import Stopped, UserError
from replicate.common.homes import give_homes
from replicate.common.progress import Progress
from replicate.common.stops import SEEN, signal_of, stop

BROKEN_PIPE = 141
# Each command, a module of this package, with what it does in one line.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "run": "run rows of the table and record what they give",
        "list": "list the tables' rows, published and measured",
        "show": "show one row: where it is from, its stages, its figures",
        "report": "write REPORT.md from expected/ and measured/",
        "completion": "print the shell's script that completes these commands",
        "doctor": "say whether a profile can run here, and what mends it",
        "store": "check the run store, or clear it of what is left over",
        "data": "make, import or look at a data set",
        "audit": "look for wrong labels, repeated texts and other faults of a data set, line by line",
        "pretrain": "pretrain a net on unlabelled text",
        "finetune": "fine-tune a classifier",
        "fewshot": "train on a few labelled lines of each class",
        "augment": "augment a training file or a folder of them",
        "vectors": "train word vectors on a data set's own words",
        "prune": "prune a fine-tuned classifier (DynaBERT)",
        "distill": "train a small student on what a fine-tuned classifier says of text with and without labels",
        "fuse": "make one model of several: an ensemble, or the mean of their weights",
        "predict": "label texts with a fine-tuned, pruned, distilled, fused or exported model",
        "explain": "say which characters of a text decided its label",
        "faithfulness": "measure how faithful the explanations of a profile's nets are",
        "evaluate": "score a model on a file of labelled texts",
        "export": "write a model for Paddle Inference or ONNX Runtime",
        "time": "time models in every runtime",
        "serve": "answer predictions over HTTP",
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 checked and found wanting, 2 bad input, 130 or 143 stopped."""
    words = sys.argv[1:] if argv is None else list(argv)
    _open_standard_streams()
    give_homes()
    # What is piped into a terminal or a file of another encoding is shown somehow.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    args = build_parser(next((word for word in words if not word.startswith("-")), "")).parse_args(words)
    Progress.curves = getattr(args, "visualdl", None)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
        # Not where a shell has had it ignored, as for what runs in the background.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, stop)
    SEEN.clear()
    try:
        _check_words(words, args)
        with _network(args):
            code = int(args.run(args))
        # Here, not at exit: a reader that has left is no error of ours.
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"replicate: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        # NumPy says in one line what it wanted, Paddle in a page what it did.
        what = "" if "\n" in str(error).strip() else f" ({error})" * bool(str(error))
        print(f"replicate: there is not enough memory for this{what}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, Stopped) else Stopped(signal_of(error))
        print(f"replicate: {stopped}", file=sys.stderr)
        return stopped.code
    except BrokenPipeError:
        # The reader (head, less) has what it wants; Python must not complain about that at exit.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115  (lives until exit)
        return BROKEN_PIPE
    except ImportError:
        # A module that is stopped while it is imported may say that it can't be.
        if not SEEN:
            raise
        print(f"replicate: {Stopped(SEEN[0])}", file=sys.stderr)
        return Stopped(SEEN[0]).code
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:
            sys.stdout = open("/dev/null", "w")  # noqa: SIM115  (as above)
            print("replicate: standard output can't be written: no space left on the device", file=sys.stderr)
            return 2
        # A name that is too long, a folder that can't be entered: what the system says of a file is the user's to mend.
        if error.filename is None:
            raise
        print(f"replicate: {UserError(str(error.strerror), path=error.filename)}", file=sys.stderr)
        return 2


def _open_standard_streams() -> None:
    """Puts /dev/null where the caller has closed a stream: the next file to be opened would take its place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (lives until exit)
    for name in ("stdin", "stdout"):
        if getattr(sys, name) is None:
            setattr(sys, name, _Closed(name))


class _Closed(io.TextIOBase):
    """A standard stream that the caller has closed; only a command that wants it is told."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def buffer(self) -> NoReturn:
        """There is none (UserError)."""
        raise self._told()

    def read(self, size: int | None = -1) -> NoReturn:
        """Nothing can be read (UserError)."""
        raise self._told()

    def write(self, text: str) -> NoReturn:
        """Nothing can be written (UserError)."""
        raise self._told()

    def _told(self) -> UserError:
        sign = {"stdin": "<", "stdout": ">"}[self._name]
        return UserError(f"standard {self._name[3:]}put is closed", hint=f"`{sign}/dev/null` stands for none")


def _check_words(words: Sequence[str], args: argparse.Namespace) -> None:
    """Refuse what no command could make sense of."""
    for word in words:
        # Bytes of the command line that are not UTF-8 arrive as lone surrogates, which Paddle takes for no path.
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise UserError(f"not UTF-8: {word!a}", hint="give names and texts in UTF-8")
        # argparse drops this value, and leaves a list in its place.
        if word.startswith("--") and word.partition("=")[2] == "--":
            raise UserError(f"{word.partition('=')[0][2:]} is '--'", hint="say what it is")
    for word, after in pairwise([*words, "."]):
        name = word.removeprefix("--").removesuffix("=").replace("-", "_")
        empty = word.startswith("--") and (word.endswith("=") or not after)
        # A text to predict may be empty.
        if empty and not isinstance(getattr(args, name, []), list):
            raise UserError(f"{name} is empty", hint="leave it out, or say what it is")
    for name, value in vars(args).items():
        # An empty variable of a script would otherwise mean the default.
        if value == "":
            raise UserError(f"{name} is empty", hint="leave it out, or say what it is")


def _network(args: argparse.Namespace) -> AbstractContextManager[None]:
    if not getattr(args, "offline", False):
        return nullcontext()
    from replicate.corpus.fetch import no_network

    return no_network()


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line of `replicate` and its subcommands, or of those only one with its arguments."""
    parser = Parser(prog="replicate", description="Replicates a published ERNIE 3.0 table and says what of it is true.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if only in (None, name):
            module = importlib.import_module(f"{__package__}.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
