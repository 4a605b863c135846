"""The pieces of a text that a net reads, each with its place in the text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.nets.tokens import CHARACTERS


@dataclass(frozen=True)
class Pieces:
    """A text as a net reads it.

    Attributes:
        text: as it came.
        ids: token ids with [CLS] and [SEP], [pieces + 2], int64.
        spans: where each token between the two stands in the text, [pieces] of (begin, end); of tokens of which that
            can't be told, such as the parts of one unknown word, it is the place of the whole word.
        truncated: whether some of the text is not read.
    """

    text: str
    ids: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]
    truncated: bool = False

    def __len__(self) -> int:
        """Count the tokens between [CLS] and [SEP]."""
        return len(self.spans)


def pieces_of(tokenizer: Any, text: str, max_length: int) -> Pieces:
    """The pieces of a text; the ids are those that `tokens.encode` gives.

    Args:
        tokenizer: PaddleNLP tokenizer.
        text: any text.
        max_length: longest input in tokens, [CLS] and [SEP] included.
    """
    found: list[tuple[str, int, int]] = []
    unknown = tokenizer.unk_token
    read = len(text) - len(text.lstrip()) + CHARACTERS * max_length
    for begin, end in _words(text[:read], unknown):
        word = text[begin:end]
        tokens = [unknown] if word == unknown else tokenizer.tokenize(word)
        found += _placed(tokens, begin, end)
        if len(found) > max_length - 2:
            break
    kept = found[: max_length - 2]
    ids = tokenizer.convert_tokens_to_ids([token for token, _, _ in kept])
    framed = np.asarray([tokenizer.cls_token_id, *ids, tokenizer.sep_token_id], dtype=np.int64)
    truncated = len(found) > len(kept) or bool(text[read:].strip())
    return Pieces(text, framed, tuple((begin, end) for _, begin, end in kept), truncated)


def _words(text: str, unknown: str) -> Iterator[tuple[int, int]]:
    """What the tokenizer takes by itself: a sign or a Chinese character, or what stands between those and blanks."""
    begin, at = 0, 0
    while at < len(text):
        if text.startswith(unknown, at):
            step = len(unknown)
        elif _blank(text[at]) or _alone(text[at]):
            step = 1
        else:
            at += 1
            continue
        if at > begin:
            yield begin, at
        if not _blank(text[at]):
            yield at, at + step
        at += step
        begin = at
    if len(text) > begin:
        yield begin, len(text)


def _blank(character: str) -> bool:
    """Whether BERT's tokenizer parts words here; what else is blank to Python, control characters, it drops."""
    return character in " \t\n\r" or unicodedata.category(character)[0] == "Z"


def _alone(character: str) -> bool:
    """Whether BERT's tokenizer sets this character apart: CJK, punctuation, or a sign of ASCII."""
    code = ord(character)
    if 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or 0x20000 <= code <= 0x2CEAF:
        return True
    if 0xF900 <= code <= 0xFAFF or 0x2F800 <= code <= 0x2FA1F:
        return True
    return unicodedata.category(character)[0] == "P" or (32 < code < 127 and not character.isalnum())


def _placed(tokens: list[str], begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    """The tokens of a word with their places, where their letters add up to it."""
    lengths = [len(token.removeprefix("##")) for token in tokens]
    if sum(lengths) != end - begin or len(tokens) == 1:
        yield from ((token, begin, end) for token in tokens)
        return
    for token, length in zip(tokens, lengths, strict=True):
        yield token, begin, begin + length
        begin += length
