"""Vocabulary, tokenizer and token ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replicate.common.errors import UserError
from replicate.nets import upstream
from replicate.nets.folder import WRITERS

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")

MAX_POSITIONS = 128

# Of a long text this many characters are read for each token that the net takes: no ordinary text has longer tokens,
# and a line of some megabytes costs no more than a line of one page.
CHARACTERS = 64


def build_vocabulary(texts: Iterable[str], minimum_count: int = 2) -> tuple[str, ...]:
    """Character vocabulary of the texts: special tokens, then characters by falling frequency.

    ASCII letters and digits also get their `##` word pieces, as BERT's tokenizer joins them into words.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower())
    characters = sorted(
        (c for c in counts if counts[c] >= minimum_count and not c.isspace()), key=lambda c: (-counts[c], c)
    )
    pieces = tuple(f"##{c}" for c in characters if c.isascii() and c.isalnum())
    return (*SPECIAL_TOKENS, *characters, *pieces)


def build_tokenizer(vocabulary: Sequence[str], folder: Path) -> Any:
    """Write `vocab.txt` into the folder and give an `ErnieTokenizer` over it."""
    upstream.quiet()
    from paddlenlp.transformers import ErnieTokenizer

    path = folder / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    return ErnieTokenizer(str(path))


def encode(tokenizer: Any, texts: Sequence[str], max_length: int = MAX_POSITIONS) -> list[np.ndarray]:
    """Token ids of each text with [CLS] and [SEP], int64, at most `max_length` long; `[UNK]` in a text is one token."""
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    read = (text.lstrip()[: CHARACTERS * max_length] for text in texts)
    ids = (tokenizer.convert_tokens_to_ids(_tokens(tokenizer, text))[: max_length - 2] for text in read)
    return [np.asarray([cls, *row, sep], dtype=np.int64) for row in ids]


def _tokens(tokenizer: Any, text: str) -> list[str]:
    # The tokenizer would take the brackets and the letters of an unknown word, as augmentation writes it, apart.
    first, *others = text.split(tokenizer.unk_token)
    found: list[str] = tokenizer.tokenize(first)
    for part in others:
        found += [tokenizer.unk_token, *tokenizer.tokenize(part)]
    return found


def read_tokenizer(path: Path, config: Any, hint: str = WRITERS) -> Any:
    """An `ErnieTokenizer` over a vocabulary file; UserError where it is none, or has more tokens than the net."""
    from paddlenlp.transformers import ErnieTokenizer

    try:
        tokenizer = ErnieTokenizer(str(path))
    except (AssertionError, ValueError) as error:
        raise UserError("not a vocabulary of one token a line", path=path, hint=hint) from error
    lacking = [token for token in SPECIAL_TOKENS if token not in tokenizer.vocab.token_to_idx]
    if lacking:
        raise UserError(f"not a vocabulary: it has no {lacking[0]}", path=path, hint=hint)
    # Of a token that stands there twice the last line counts, so the largest number may be beyond how many there are.
    if (tokens := max(tokenizer.vocab.token_to_idx.values()) + 1) > config.vocab_size:
        raise UserError(f"{tokens} tokens, but the net has {config.vocab_size}", path=path, hint=hint)
    return tokenizer
