"""The parser of a command line: what it refuses is told in one line, with what to do next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

# Of the options that look like an unknown one.
NEAREST = 3
# As alike as `epoch` and `num_train_epochs`; two random words are less so.
ALIKE = 0.45


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line, and what to do next."""

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2."""
        self.exit(2, f"replicate: {' '.join(message.split())}; `{self.prog} --help` says what it takes\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it, but what is unknown is an error of the command that it was given to, and comes first.

        argparse asks for what is required before it sees that an option is unknown, such as a required one misspelt,
        and then complains in the name of the whole program.
        """
        if args is not None and self._subparsers is None:
            for word in self._options_in(args):
                if not any(known.startswith(word) for known in self._option_string_actions):
                    self.unknown([word])
        found, extras = super().parse_known_args(args, namespace)
        if extras:
            self.unknown(extras)
        return found, extras

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """Ends with exit code 2: the command doesn't know these words."""
        name = words[0].partition("=")[0]
        if not name.startswith("-"):
            self.error(f"{self._who()} takes no {' '.join(words)!r} here")
        known = [option[2:] for option in self._option_string_actions if option.startswith("--")]
        near = ", ".join(f"--{one}" for one in get_close_matches(name.lstrip("-"), known, NEAREST, ALIKE))
        self.error(f"{self._who()} has no option {name}" + (f"; nearest: {near}" if near else ""))

    def _who(self) -> str:
        return self.prog.partition(" ")[2] or self.prog

    @staticmethod
    def _options_in(words: Sequence[str]) -> Iterator[str]:
        """The long options of a line, without their values; what has a space is a text for argparse as well."""
        for word in words:
            if word in ("--", "-h", "--help"):
                return
            if word.startswith("--") and " " not in word:
                yield word.partition("=")[0]
