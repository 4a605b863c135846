"""Words and parts of speech from LAC, run once over the distinct texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from replicate.common.cores import threads as omp_threads
from replicate.nets.upstream import give_threads_back, import_lac, lac_predictor

Words = tuple[tuple[str, str], ...]

_BATCH_TEXTS = 128
_BATCH_CHARACTERS = 20_000
_LONGEST = 10_000
# What a batch costs beside the net is Python, a fifth of the time, and never runs in two threads at once.
_MOST_THREADS = 8


class Tagger:
    """LAC in its mode for words and parts of speech; loading it takes seconds, so make one and keep it.

    Args:
        threads: how many batches the net reads at once, by default OMP_NUM_THREADS; the tags don't depend on it.
    """

    def __init__(self, threads: int | None = None) -> None:
        """Load LAC's model, which comes with the package."""
        self._model = import_lac().LAC(mode="lac").model
        self._threads = threads or min(omp_threads(), _MOST_THREADS)
        net: Any = lac_predictor(self._model.args.init_checkpoint)
        # Clones share the weights, and may run at the same time.
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for clone in (net, *(net.clone() for _ in range(self._threads - 1))):
            self._idle.put(clone)
        give_threads_back()

    def tag(self, texts: Iterable[str]) -> dict[str, Words]:
        """Each distinct text's (word, part of speech) pairs; the words joined are always the text itself.

        A text that LAC doesn't give back whole counts as words of one character without a part of speech. One that is
        longer than any text of words, a line of some megabytes, is read in pieces: the net's memory grows with it.
        """
        pieces = {text: _pieces(text) for text in set(texts)}
        tagged = self._tag({piece for cut in pieces.values() for piece in cut})
        return {text: tuple(pair for piece in cut for pair in tagged[piece]) for text, cut in pieces.items()}

    def _tag(self, texts: Iterable[str]) -> dict[str, Words]:
        # Sorted by length for batches without waste, and by text for batches that don't depend on the order.
        distinct = sorted(set(texts), key=lambda text: (len(text), text))
        tagged: dict[str, Words] = {text: () for text in distinct[:1] if not text}
        batches = list(_batches([text for text in distinct if text]))
        with ThreadPoolExecutor(self._threads) as pool:
            started = [self._start(batch, pool) for batch in batches]
            for batch, (decoded, lengths) in zip(batches, started, strict=True):
                found = self._model.parse_result(batch, decoded.result(), self._model.dataset, lengths)
                for text, (words, tags, _) in zip(batch, found, strict=True):
                    whole = len(words) == len(tags) and "".join(words) == text
                    tagged[text] = tuple(zip(words, tags, strict=True)) if whole else tuple((char, "") for char in text)
        give_threads_back()
        return tagged

    def _start(self, batch: Sequence[str], pool: ThreadPoolExecutor) -> tuple[Future[Any], Any]:
        """Start the net on a batch: its result to come, and the lengths that LAC wants back beside it.

        These are the steps of LAC's own `run`. Only the net's may leave this thread: LAC keeps its dictionary search's
        state to itself.
        """
        tensor, lengths = self._model.texts2tensor(batch)
        return pool.submit(self._decode, tensor), lengths

    def _decode(self, tensor: Any) -> Any:
        net = self._idle.get()
        try:
            return net.run([tensor])[0]
        finally:
            self._idle.put(net)


def _pieces(text: str) -> list[str]:
    return [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)] or [text]


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    room = _BATCH_CHARACTERS
    for text in texts:
        if batch and (len(batch) == _BATCH_TEXTS or len(text) > room):
            yield batch
            batch, room = [], _BATCH_CHARACTERS
        batch.append(text)
        room -= len(text)
    if batch:
        yield batch
