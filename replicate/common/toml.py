"""TOML files read strictly: every complaint names the file and the key."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class TomlTable:
    """A TOML table that knows its place in its file, so that every complaint names file and key."""

    path: Path
    place: str
    data: Mapping[str, Any]

    def fault(self, key: str, what: str) -> UserError:
        """The error to raise for one key."""
        return UserError(f"{self.place + '.' if self.place else ''}{key}: {what}", path=self.path)

    def only(self, *known: str) -> None:
        """Refuses every key but these."""
        for key in self.data:
            if key not in known:
                raise self.fault(key, f"unknown key; known here: {', '.join(known)}")

    def get(self, key: str, kind: type, called: str) -> Any:
        """A required value of one type; `called` is that type in words."""
        if key not in self.data:
            raise self.fault(key, "missing")
        value = self.data[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.fault(key, f"not {called}: {value!r}")
        return value

    def text(self, key: str) -> str:
        """A required text, not empty."""
        value: str = self.get(key, str, "a text")
        if not value.strip():
            raise self.fault(key, "empty")
        return value

    def optional_text(self, key: str) -> str | None:
        """A text, or None without the key."""
        return self.text(key) if key in self.data else None

    def identifier(self, key: str) -> str:
        """A text that can be a file name and a test id."""
        value = self.text(key)
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", value):
            raise self.fault(key, f"not an identifier (a-z, 0-9, - and _): {value!r}")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """A text that is one of a few."""
        value = self.text(key)
        if value not in choices:
            raise self.fault(key, f"{value!r} is none of {', '.join(choices)}")
        return value

    def whole(self, key: str) -> int:
        """A whole number, not negative."""
        value: int = self.get(key, int, "a whole number")
        if value < 0:
            raise self.fault(key, f"negative: {value}")
        return value

    def decimal(self, key: str) -> Decimal:
        """A number written as a text, so that its digits are those that the file shows."""
        value = self.text(key)
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise self.fault(key, f"not a decimal number: {value!r}") from None
        if not number.is_finite():
            raise self.fault(key, f"not a finite number: {value!r}")
        return number

    def flag(self, key: str) -> bool:
        """True or false; false without the key."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self.fault(key, f"not true or false: {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts with at least one."""
        values = self.get(key, list, "a list of texts")
        if not values or not all(isinstance(value, str) and value.strip() for value in values):
            raise self.fault(key, "not a list of texts, or empty")
        return tuple(values)

    def section(self, key: str) -> TomlTable:
        """A required table."""
        return TomlTable(self.path, f"{self.place}.{key}" if self.place else key, self.get(key, dict, "a table"))

    def optional_section(self, key: str) -> TomlTable:
        """A table, empty without the key."""
        return self.section(key) if key in self.data else TomlTable(self.path, key, {})

    def sections(self, key: str) -> list[TomlTable]:
        """The tables of an array, each placed by its `id` (or, without one, by its number)."""
        entries = self.get(key, list, "a list of tables") if key in self.data else []
        if not all(isinstance(entry, dict) for entry in entries):
            raise self.fault(key, "not a list of tables")
        place = f"{self.place}.{key}" if self.place else key
        return [
            TomlTable(self.path, f"{place}.{entry.get('id', n)}", entry) for n, entry in enumerate(entries, start=1)
        ]


def read_toml(path: Path) -> TomlTable:
    """The top level of a TOML file.

    Raises:
        UserError: it can't be read or is not TOML.
    """
    try:
        return TomlTable(path, "", tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't be read: {error}", path=path) from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"not valid TOML: {error}", path=path) from None
