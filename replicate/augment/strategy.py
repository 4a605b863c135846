"""What a strategy is given, what it returns, and the few random draws that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from replicate.augment.vectors import Vectors

if TYPE_CHECKING:
    from replicate.augment.masked_model import MaskedModel

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# The share of spans or words that every strategy of `data_aug.py` changes.
RATE = 0.15


@dataclass(frozen=True)
class Line:
    """One text and its words as (word, part of speech); no words where no strategy in the mix reads them."""

    text: str
    words: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Context:
    """What a strategy may learn before the first line: all lines of its column, and the user's choices."""

    lines: Sequence[Line]
    unk_token: str
    vectors: Vectors | None = None
    model: MaskedModel | None = None


class Lookup(Generic[Key, Value]):
    """Values that are expensive one at a time and cheap many at a time, such as a net's answers."""

    def __init__(self, find: Callable[[Sequence[Key]], Mapping[Key, Value]]) -> None:
        """Ask `find` for many keys at a time; it must give a value for each."""
        self._find = find
        self._found: dict[Key, Value] = {}
        # A dict for its order, which is that of the asking and so the same in every process.
        self._wanted: dict[Key, None] = {}

    def get(self, key: Key) -> Value | None:
        """The value, or None where it isn't known yet; `resolve` finds it then."""
        if key not in self._found:
            self._wanted[key] = None
        return self._found.get(key)

    def resolve(self) -> None:
        """Find all values that were asked for and weren't known."""
        wanted, self._wanted = list(self._wanted), {}
        if wanted:
            self._found.update(self._find(wanted))


# Returns the changed text, which may be the text as it was, or nothing of it; or a lookup that has to be resolved
# before the text can be told. Its draws are then the same ones, as far as they don't depend on what is looked up.
Strategy = Callable[[Line, Random], "str | Lookup[Any, Any]"]


@dataclass(frozen=True)
class Kind:
    """A strategy's place in the registry: how to build it, what it needs, how the command offers it."""

    build: Callable[[Context], Strategy]
    help: str
    # Of `data_aug.py`; None where it has no short flag.
    flag: str | None = None
    # In the command's default mix.
    weight: float = 0.0
    reads_words: bool = False
    # The option without which its weight is 0 unless it is named: vectors or model.
    needs: str | None = None
    # Whose versions decide what comes out, beside those of every stage.
    packages: tuple[str, ...] = ()
