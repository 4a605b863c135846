"""What the parts on a timing record share: names of its parts, of its machine, of races, and its ratios in words."""

from __future__ import annotations

from replicate.findings.inference import TimingFinding
from replicate.findings.raced import TimedNet
from replicate.records.timing import Race, StepRace, TimingRecord
from replicate.report.blocks import Cell, Heading
from replicate.report.words import plural
from replicate.timing.summary import batch_told, shown_ratio
from replicate.verdicts.equivalence import RatioInterval


def heading_id(record: TimingRecord) -> str:
    """By which a link finds a record's part of the section."""
    return f"inference-{record.name}"


def part(found: TimingFinding, words: str, name: str) -> Heading:
    """The heading of a part on the record."""
    return Heading(3, words, f"{heading_id(found.record)}-{name}")


def where(record: TimingRecord) -> str:
    """The device, and on a CPU how many of its threads."""
    name = str(record.device["name"])
    return f"{plural(record.threads, 'thread')} of {name}" if record.device.get("kind") == "cpu" else name


def title(race: Race | StepRace) -> str:
    """Nets, batch and length."""
    return f"{race.shape}, {batch_told(race.batch, race.length)}"


def gain(net: TimedNet) -> str:
    """A net's speed-up over its base, marked where its milliseconds wander."""
    return f"{shown_ratio(net.speed_up)}{mark(net.stable)}" if net.speed_up else ""


def mark(stable: bool) -> str:
    """What follows a figure that is not stable."""
    return "" if stable else ", unstable"


def ratio_cell(found: RatioInterval | None) -> Cell:
    """A ratio as a cell, a dash for none."""
    return Cell(shown_ratio(found), None if found is None else found.median)
