"""A data set end to end, texts in and labels out: what padding costs in file order, and by length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.inference.runtime import Runtime
from replicate.nets import batching
from replicate.nets.tokens import encode
from replicate.records.timing import BATCHINGS, DatasetRace
from replicate.scores.packing import pack_predictions
from replicate.timing.grid import PAUSE, Field, Heat
from replicate.timing.race import race

MAX_LENGTH = 128


def batches_of(lengths: Sequence[int], size: int, how: str) -> Iterator[NDArray[np.int64]]:
    """Index batches of one of `BATCHINGS`."""
    if how == "by length":
        return batching.sorted_batches(lengths, size)
    return (np.arange(start, min(start + size, len(lengths))) for start in range(0, len(lengths), size))


def padded_share(lengths: Sequence[int], size: int, how: str) -> float:
    """Share of the tokens of all batches that are padding."""
    of = np.asarray(lengths)
    computed = sum(len(indices) * int(of[indices].max()) for indices in batches_of(lengths, size, how))
    return 1 - int(of.sum()) / computed


def label_texts(runtime: Runtime, texts: Sequence[str], size: int, how: str, max_length: int) -> list[str]:
    """The label of every text, in order: tokenised, batched, computed, and put back in order."""
    rows = encode(runtime.tokenizer, texts, max_length)
    found = np.empty(len(texts), dtype=np.int64)
    for indices in batches_of([len(row) for row in rows], size, how):
        ids = batching.pad([rows[i] for i in indices], runtime.tokenizer.pad_token_id)
        found[indices] = runtime.logits(ids).argmax(axis=1)
    return [runtime.labels[i] for i in found]


def compare_dataset(
    dataset: Dataset, heat: Heat, field: Field, limit: int | None = None, tell: Callable[[int], None] = lambda _: None
) -> DatasetRace:
    """Times the dev texts through every contestant of the heat, in both batchings.

    Args:
        dataset: its dev part is read.
        heat: `length` is the longest input in tokens; contestants in processes of their own can't take part.
        field: opens the contestants.
        limit: first so many texts only.
        tell: told how many rounds are done.

    Raises:
        UserError: no contestant can take part, or the data set has no dev text.
    """
    texts = dataset.dev.texts[:limit]
    if not texts:
        raise UserError("no dev text to time", path=dataset.name)
    entered, _ = field.enter(heat)
    calls: dict[str, Callable[[], None]] = {}
    padded: dict[str, dict[str, float]] = {}
    predictions: dict[str, str] = {}
    contestants = []
    for label, (contestant, ready) in entered.items():
        if (runtime := ready.runtime) is None:
            continue
        longest = min(heat.length, runtime.positions)
        lengths = [len(row) for row in encode(runtime.tokenizer, texts, longest)]
        padded[label] = {how: round(padded_share(lengths, heat.batch, how), 6) for how in BATCHINGS}
        labels = label_texts(runtime, texts, heat.batch, "by length", longest)
        # A model may know its labels in another order; one that the data set lacks counts as the one after its last.
        known = {name: index for index, name in enumerate(dataset.labels)}
        predictions[label] = pack_predictions([known.get(name, len(known)) for name in labels])
        contestants.append(replace(contestant, flops=0))
        for how in BATCHINGS:
            calls[f"{label} {how}"] = _call(runtime, texts, heat.batch, how, longest)
    if not calls:
        raise UserError("no runtime of this process to time the data set with")
    seconds = race(calls, heat.rounds, heat.warmups, pause=PAUSE, tell=tell)
    return DatasetRace(
        dataset=dataset.name,
        digest=dataset.digests["dev"],
        weights=field.weights(heat),
        texts=len(texts),
        batch=heat.batch,
        max_length=heat.length,
        rounds=heat.rounds,
        warmups=heat.warmups,
        pause=PAUSE,
        contestants=tuple(contestants),
        seconds={
            label: {how: tuple(round(one, 7) for one in seconds[f"{label} {how}"]) for how in BATCHINGS}
            for label in padded
        },
        padded=padded,
        gold=pack_predictions(dataset.dev.labels[:limit]),
        predictions=predictions,
    )


def _call(runtime: Runtime, texts: Sequence[str], size: int, how: str, max_length: int) -> Callable[[], Any]:
    def once() -> None:
        label_texts(runtime, texts, size, how, max_length)

    return once
