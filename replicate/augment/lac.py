"""Words and parts of speech from LAC, run once over the distinct texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from replicate.compat import import_lac, lac_predictor

Words = tuple[tuple[str, str], ...]

_BATCH_TEXTS = 64
_BATCH_CHARACTERS = 20_000


class Tagger:
    """LAC in its mode for words and parts of speech; loading it takes seconds, so make one and keep it."""

    def __init__(self) -> None:
        """Load LAC's model, which comes with the package."""
        self._lac = import_lac().LAC(mode="lac")
        self._lac.model.predictor = lac_predictor(self._lac.model.args.init_checkpoint)

    def tag(self, texts: Iterable[str]) -> dict[str, Words]:
        """Each distinct text's (word, part of speech) pairs; the words joined are always the text itself.

        A text that LAC doesn't give back whole counts as words of one character without a part of speech.
        """
        # Sorted by length for batches without waste, and by text for batches that don't depend on the order.
        distinct = sorted(set(texts), key=lambda text: (len(text), text))
        tagged: dict[str, Words] = {text: () for text in distinct[:1] if not text}
        for batch in _batches([text for text in distinct if text]):
            # A copy of the batch: LAC removes what is empty from the list that it is given.
            for text, (words, tags) in zip(batch, self._lac.run(list(batch)), strict=True):
                whole = len(words) == len(tags) and "".join(words) == text
                tagged[text] = tuple(zip(words, tags, strict=True)) if whole else tuple((char, "") for char in text)
        return tagged


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
