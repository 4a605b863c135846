"""Copies of lines, changed by strategies that are drawn at random, the same for the same seed everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypedDict

from replicate.augment.draws import cumulate, draw, generator
from replicate.augment.lac import Tagger
from replicate.augment.masked_model import MaskedModel, load_masked_model
from replicate.augment.registry import STRATEGIES
from replicate.augment.strategy import Context, Line, Lookup, Strategy
from replicate.augment.vectors import Vectors
from replicate.common.errors import UserError
from replicate.corpus.formats import Split

if TYPE_CHECKING:
    from typing_extensions import Unpack

UNK_TOKEN = "\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}"
REDRAWS = 20
# Of a line, as in `data_aug.py`.
COPIES = 4
# Of a line; more is a slip that would fill the memory.
MOST_COPIES = 1000

Columns = tuple[str, ...]


class Options(TypedDict, total=False):
    """What every function here takes and `augment_rows` explains."""

    lac: Tagger | None
    unk_token: str
    vectors: Vectors | None
    model: str | Path | MaskedModel | None
    article: bool
    per_copy: bool
    emptied: str


@dataclass(frozen=True)
class Summary:
    """Counts: lines read, copies made, copies by strategy, and of all copies those that needed attention.

    `redrawn` took more than one draw, `unchanged` equal their original, `dropped` came out empty and were left out.
    """

    lines: int = 0
    copies: int = 0
    strategies: Mapping[str, int] = field(default_factory=dict)
    redrawn: int = 0
    unchanged: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Augmented:
    """For each input text its copies, without the text itself."""

    texts: tuple[tuple[str, ...], ...]
    summary: Summary


def augment_texts(
    texts: Sequence[str], mix: Mapping[str, float], copies: int = COPIES, *, seed: int, **options: Unpack[Options]
) -> Augmented:
    """Change each text `copies` times; see `augment_rows`."""
    rows, summary = augment_rows([(text,) for text in texts], mix, copies, seed=seed, **options)
    return Augmented(tuple(tuple(text for (text,) in changed) for changed in rows), summary)


def augment_split(
    split: Split, mix: Mapping[str, float], copies: int = COPIES, *, seed: int, **options: Unpack[Options]
) -> tuple[Split, Summary]:
    """The examples of `split`, each followed by its copies with the same label; see `augment_rows`."""
    augmented = augment_texts(split.texts, mix, copies, seed=seed, **options)
    texts: list[str] = []
    labels: list[int] = []
    for text, label, changed in zip(split.texts, split.labels, augmented.texts, strict=True):
        texts += (text, *changed)
        labels += [label] * (1 + len(changed))
    return Split(tuple(texts), tuple(labels)), augmented.summary


def augment_rows(
    rows: Sequence[Columns],
    mix: Mapping[str, float],
    copies: int = COPIES,
    *,
    seed: int,
    lac: Tagger | None = None,
    unk_token: str = UNK_TOKEN,
    vectors: Vectors | None = None,
    model: str | Path | MaskedModel | None = None,
    article: bool = False,
    per_copy: bool = False,
    emptied: str = "dropped",
) -> tuple[tuple[tuple[Columns, ...], ...], Summary]:
    """Change rows of one or more texts, all texts of a row together, by one strategy a row (`per_copy`: one a copy).

    A copy that is empty or like its original is drawn again, `REDRAWS` times at most, and is the original after that.
    With `article` nothing is drawn again: copies like their original stay, as `data_aug.py` has them, and of emptied
    ones `emptied` says whether they are `dropped` or become their `original`. The steps in the article's logs fit all
    lines, and the reader of its script (`utils.py` @edb1a5e2) fails on one without a text: so it had none.

    Args:
        rows: the texts of each row, as many in each row.
        mix: weight of each strategy by name; only their proportions count.
        copies: how many copies of each row.
        seed: of all draws; line by line, so that a line's copies depend on no other draws.
        lac: the tagger, made when it is first needed unless given.
        unk_token: what `unk` puts in the place of a character.
        vectors: what `w2v_replace` looks words up in.
        model: what `ernie_replace` asks: a model folder, a PaddleNLP name, or the loaded net.
        article: without repairs, for the replication.
        emptied: `dropped` or `original`, with `article`.
        per_copy: draw a strategy for each copy.

    Returns:
        The copies of each row, in order, without the row itself; and the counts.

    Raises:
        UserError: an impossible mix, number of copies or unk token, or something missing that a strategy needs.
    """
    names, shares = _read_mix(mix)
    if not 0 <= copies <= MOST_COPIES:
        raise UserError(f"the number of copies can't be negative or above {MOST_COPIES}, got {copies}")
    if not _usable(unk_token) or any(char in unk_token for char in "\t\r\n"):
        raise UserError(f"not an unk token: {unk_token!r}", hint="it can't be blank or hold a TAB or a line end")
    columns = _columns(rows, any(STRATEGIES[name].reads_words for name in names), lac)
    net = None if model is None or "ernie_replace" not in names else load_masked_model(model)
    contexts = [Context(column, unk_token, vectors, net) for column in columns]
    strategies = {name: [STRATEGIES[name].build(context) for context in contexts] for name in names}
    lines = list(zip(*columns, strict=True))

    def change(index: int) -> list[_Copy]:
        random = generator(seed, index)
        name = names[draw(shares, random)]
        made = []
        for number in range(copies):
            if per_copy and number:
                name = names[draw(shares, random)]
            change = strategies[name]
            made.append(_copy(name, change, rows[index], lines[index], random, 0 if article else REDRAWS))
        return made

    made = {index: change(index) for index in range(len(lines))}
    while waiting := [index for index, changed in made.items() if any(copy.missing for copy in changed)]:
        for lookup in {lookup for index in waiting for copy in made[index] for lookup in copy.missing}:
            lookup.resolve()
        # A row's draws depend on seed and index alone, so this row is what it had been, had all been known at first.
        made |= {index: change(index) for index in waiting}
    return _collect(rows, list(made.values()), names, emptied == "original")


@dataclass(frozen=True)
class _Copy:
    """A changed row, and the lookups without which it can't be told yet."""

    strategy: str
    row: Columns
    redraws: int
    missing: frozenset[Lookup[Any, Any]] = frozenset()


def _copy(
    name: str, change: Sequence[Strategy], original: Columns, lines: Sequence[Line], random: Random, redraws: int
) -> _Copy:
    for redraw in range(redraws + 1):
        results = [strategy(line, random) for strategy, line in zip(change, lines, strict=True)]
        missing = frozenset(result for result in results if isinstance(result, Lookup))
        if missing:
            # Nearly always it will be neither empty nor like its original: taken for such, the rest of the row can
            # ask for what it wants at once.
            return _Copy(name, original, redraw, missing)
        copy = tuple(map(str, results))
        if copy != original and not _emptied(copy, original):
            return _Copy(name, copy, redraw)
    return _Copy(name, original if redraws else copy, redraws)


def _collect(
    rows: Sequence[Columns], made: Sequence[Sequence[_Copy]], names: Sequence[str], refill: bool
) -> tuple[tuple[tuple[Columns, ...], ...], Summary]:
    """The copies that can be kept, and the counts."""
    strategies = dict.fromkeys(names, 0)
    redrawn = unchanged = dropped = 0
    augmented = []
    for original, copies in zip(rows, made, strict=True):
        full = [original if refill and _emptied(copy.row, original) else copy.row for copy in copies]
        kept = tuple(row for row in full if not _emptied(row, original))
        for copy in copies:
            strategies[copy.strategy] += 1
            redrawn += copy.redraws > 0
        unchanged += kept.count(original)
        dropped += len(copies) - len(kept)
        augmented.append(kept)
    return tuple(augmented), Summary(len(rows), sum(map(len, augmented)), strategies, redrawn, unchanged, dropped)


def _emptied(copy: Columns, original: Columns) -> bool:
    return any(new != old and not _usable(new) for new, old in zip(copy, original, strict=True))


def _usable(text: str) -> bool:
    """Whether the text would be read back as it is: not blank, and not eaten up as a byte order mark."""
    return bool(text.strip()) and not text.startswith("\ufeff")


def _columns(rows: Sequence[Columns], with_words: bool, lac: Tagger | None) -> list[list[Line]]:
    if not with_words or not rows:
        return [[Line(text) for text in column] for column in zip(*rows, strict=True)]
    words = (lac or Tagger()).tag(text for row in rows for text in row)
    return [[Line(text, words[text]) for text in column] for column in zip(*rows, strict=True)]


def _read_mix(mix: Mapping[str, float]) -> tuple[list[str], list[float]]:
    """Names in the registry's order, so that a mix means the same however it is written, and their running shares."""
    for name, weight in mix.items():
        if name not in STRATEGIES:
            raise UserError(f"unknown strategy {name!r}", hint=f"known are {', '.join(STRATEGIES)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"not a probability for {name}: {weight}")
    names = [name for name in STRATEGIES if mix.get(name, 0) > 0]
    if not names:
        raise UserError("no strategy has a probability above 0")
    return names, cumulate([mix[name] for name in names])
