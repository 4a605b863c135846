"""Room for what clients send, and memory that goes back to the system when they are gone."""

from __future__ import annotations

import ctypes

# A body up to here is read without asking for room: there are only so many connections.
SMALL = 1 << 16
# What all larger ones may hold at once, from the reading to the answer.
LARGE = 32 << 20


class NoRoom(Exception):
    """Large requests hold all the room that there is; later there will be some."""


class Room:
    """The bytes that large requests hold.

    Attributes:
        used: bytes held now.
        freed: whether something large went since memory was last given back.

    Args:
        most: bytes that they may hold together.
    """

    def __init__(self, most: int = LARGE) -> None:
        self.used = 0
        self.freed = False
        self._most = most

    def take(self, size: int) -> None:
        """Hold more.

        Raises:
            NoRoom: there is none.
        """
        if self.used + size > self._most:
            raise NoRoom
        self.used += size

    def give(self, size: int) -> None:
        """Hold less."""
        self.used -= size
        self.freed = self.freed or size > 0


def give_back() -> None:
    """Hand memory that is free to the system; the C library would keep it for later. Takes some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
