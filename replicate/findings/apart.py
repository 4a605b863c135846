"""Rows that are compared with each other and with nothing published: those of one profile, table by table."""

from __future__ import annotations

from dataclasses import dataclass

from replicate.findings.biases import Biases, biases_of
from replicate.findings.compared import Compared
from replicate.findings.nets import Nets, nets_of
from replicate.findings.origins import Origin, origins_of
from replicate.findings.published import Unfinished, unfinished
from replicate.findings.selected import Ruled, ruled_rows
from replicate.tables.profile import Profile


@dataclass(frozen=True)
class TableApart:
    """A table's rows under a profile.

    Attributes:
        compared: the rows and their differences.
        claims_hold_here: whether the table's claims are about the profile's data.
        unfinished: seeds that did not end well, or wait.
        nets: how the nets behave.
        biases: of the protocol.
        ruled: the rows under every rule that chooses a step.
        origins: the pretrained nets of the rows.
    """

    compared: Compared
    claims_hold_here: bool
    unfinished: Unfinished
    nets: Nets
    biases: Biases
    ruled: tuple[Ruled, ...]
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Apart:
    """A profile with the tables of which it has records; `same_data` says whether it is on the main table's data."""

    profile: Profile
    same_data: bool
    tables: tuple[TableApart, ...]


def table_apart(profile: Profile, compared: Compared, claims_hold_here: bool) -> TableApart:
    """What there is to say of a table's rows under a profile, from their comparisons."""
    table = compared.table
    own = [(compared.results[row.id], profile) for row in table.rows if row.runs_under(profile.id)]
    return TableApart(
        compared,
        claims_hold_here,
        unfinished(own),
        nets_of(table.id, profile.id, list(compared.results.values())),
        biases_of(compared),
        ruled_rows(compared),
        origins_of(record for result in compared.results.values() for record in result.records),
    )
