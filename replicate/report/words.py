"""Words and cells for people: numbers, intervals, scores with their seeds, and rows with links to their records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from replicate.findings.judged import Judged
from replicate.findings.rows import Difference, RowResult
from replicate.records.run import Record
from replicate.report.blocks import Cell, Link, Plain, Prose, Runs
from replicate.tables.table import LATENCY

# How verdicts are made.
STATISTICS = Link("docs/statistics.md", "docs/statistics.md")
# The records' folder as links name it; where it is from a page is the site's matter.
MEASURED = "measured"
NAMES = {
    "accuracy": "accuracy",
    "precision": "precision of class 1",
    "recall": "recall of class 1",
    "f1": "F1 of class 1",
    "average": "(accuracy + F1) / 2",
    "macro_f1": "macro-F1",
    LATENCY: "ms per example",
}


def number(value: float, form: str = ".4f") -> str:
    """Four decimals; empty for what is not a number."""
    if not math.isfinite(value):
        return ""
    shown = format(value, form)
    # What rounds to nothing is below 0 as little as above it.
    nothing = shown.startswith("-") and not shown.strip("-0.%")
    return shown.replace("-", "+" if "+" in form else "", 1) if nothing else shown


def mean_sd(mean: float, sd: float, n: int, form: str = ".4f") -> str:
    """Mean ± standard deviation (number of values); the deviation of one value is left out."""
    if not math.isfinite(mean):
        return f"no score ({n})"
    return number(mean, form) + (f" ± {sd:.4f}" if math.isfinite(sd) else "") + f" ({n})"


def interval(bounds: tuple[float, float]) -> str:
    """Both ends of an interval; empty where there is none."""
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}" if all(map(math.isfinite, bounds)) else ""


def plural(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def on_nets(nets: int) -> str:
    """What follows a number of seeds where there is more than one pretrained net."""
    return f" on each of {nets} nets" if nets > 1 else ""


def tally(verdicts: Iterable[str]) -> str:
    """How often each verdict occurs."""
    found = list(verdicts)
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in sorted(set(found)))


def sentence(text: str) -> str:
    """`text` on one line, with a full stop unless it ends in a mark."""
    text = " ".join(text.split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def listed(words: Sequence[str]) -> str:
    """Words in a row: "a", "a and b", "a, b and c"."""
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])


def joined(between: str, parts: Iterable[Prose]) -> Prose:
    """Prose in a row, with own words between."""
    found: list[Prose] = []
    for part in parts:
        found += [between, part] if found else [part]
    return tuple(found)


def quoted(text: str) -> Prose:
    """Words from outside in quotation marks, such as a table's title."""
    return ("“", Plain(text), "”")


def reason(words: str) -> Plain:
    """A reason, which may quote a file, as a sentence."""
    return Plain(sentence(words))


def to_records(result: RowResult, words: Prose) -> Prose:
    """`words` as a link to the folder with the row's records; as they are where there are none."""
    if not result.records:
        return words
    folder, _, _ = result.records[0].place.rpartition("/")
    return Link(words, quote(f"{MEASURED}/{folder}"))


def named(result: RowResult) -> Prose:
    """The row's id, linked to its records."""
    return to_records(result, f"`{result.row.id}`")


def minus(a: RowResult, b: RowResult) -> Prose:
    """A difference of two rows in words, each linked to its records."""
    return (named(a), " minus ", named(b))


def seeds(records: Iterable[Record]) -> Prose:
    """The seeds as links to their records, with the status of those that did not end well."""
    return joined(
        " ",
        (
            (Link(str(record.seed), quote(f"{MEASURED}/{record.place}")), f" {record.status}")
            if record.status != "ok"
            else Link(str(record.seed), quote(f"{MEASURED}/{record.place}"))
            for record in records
        ),
    )


def score(result: RowResult, metric: str) -> Cell:
    """A row's mean ± standard deviation (seeds), with each seed behind it."""
    if not result.records:
        return Cell("not-run")
    mean, _, n = result.summary(metric)
    runs = Runs({seed: found[metric] for seed, found in result.scores.items()})
    return Cell(summary(result, metric), mean if math.isfinite(mean) else None, runs if n else None)


def summary(result: RowResult, metric: str) -> str:
    """A row's mean ± standard deviation (seeds)."""
    mean, sd, n = result.summary(metric)
    # That no seed changes a row is no small spread.
    return f"{number(mean)}, deterministic ({n})" if result.is_deterministic else mean_sd(mean, sd, n)


def difference(one: Difference | None) -> Cell:
    """A mean difference ± standard deviation (pairs), with each pair behind it."""
    if one is None:
        return Cell("not-run")
    found = one.found
    runs = Runs(one.by_seed, "+.4f") if one.by_seed else None
    value = found.difference if math.isfinite(found.difference) else None
    return Cell(mean_sd(found.difference, found.sd, found.n, "+.4f"), value, runs)


def ends(judged: Judged) -> Cell:
    """Both ends of the interval that a word is read from; empty where there is none."""
    return bounds(judged.interval)


def verdict(judged: Judged) -> Prose:
    """The word that an interval allows, whether it was planned, and what there is to say of its seeds."""
    if judged.word == "not-run":
        return (f"**{judged.word}**: ", Plain(judged.reason))
    notes = [judged.reason] if judged.reason else []
    notes += ["two samples"] if judged.separate else []
    notes += ["planned" if judged.rule == "plan" else judged.rule] if judged.rule != "study" else []
    word = f"**{judged.word}**" if judged.word else "beside"
    return (word, Plain(f" ({'; '.join(notes)})" if notes else ""))


def bounds(ends: tuple[float, float]) -> Cell:
    """Both ends of an interval, sorted by the lower one; empty where there is none."""
    return Cell(interval(ends), ends[0] if math.isfinite(ends[0]) else None)


def figure(value: float, form: str = ".4f") -> Cell:
    """A number with nothing behind it."""
    return Cell(number(value, form), value if math.isfinite(value) else None)
