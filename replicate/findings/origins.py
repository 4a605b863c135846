"""Which pretrained nets records descend from, and what is known of the code that made them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replicate.records.run import Record

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Origin:
    """A pretrained net.

    Attributes:
        digest: of its weights; empty for rows that start from none.
        commit: of the code that pretrained it; `unknown` where no record says.
        dirty: whether that code had changes that no commit holds.
        tables: of its records.
        records: their number.
        unclean: how many of these were themselves made by code with changes, or by unknown code.
    """

    digest: str
    commit: str
    dirty: bool
    tables: tuple[str, ...]
    records: int
    unclean: int

    @property
    def name(self) -> str:
        """The digest's first digits."""
        return self.digest[:8]

    @property
    def is_clean(self) -> bool:
        """Whether the net was made by known, committed code."""
        return self.commit != UNKNOWN and not self.dirty


def origins_of(records: Iterable[Record]) -> tuple[Origin, ...]:
    """The nets of these records, in the order of their first record."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.pretrained, []).append(record)
    return tuple(_origin(digest, group) for digest, group in groups.items())


def _origin(digest: str, records: list[Record]) -> Origin:
    made = [
        stage["summary"].get("origin") or {}
        for record in records
        for stage in record.stages
        if stage["stage"] == "pretrain"
    ]
    commits = {str(one.get("commit") or UNKNOWN) for one in made} or {UNKNOWN}
    return Origin(
        digest=digest,
        commit=UNKNOWN if UNKNOWN in commits else ", ".join(sorted(commits)),
        dirty=any(bool(one.get("dirty")) for one in made),
        tables=tuple(sorted({record.table for record in records})),
        records=len(records),
        unclean=sum(record.dirty or record.commit in ("", UNKNOWN) for record in records),
    )
