"""`replicate vectors`: word2vec trained on a data set's own words, for those who have no vectors for `w2v_replace`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from replicate.augment.lac import Tagger
from replicate.common.checks import check_seed
from replicate.common.errors import UserError
from replicate.common.files import write_text

SIZE = 100
MIN_COUNT = 2
EPOCHS = 20
WINDOW = 5
# Of each setting; more is a slip, and would take the memory or the week.
LARGEST = 10_000


def train_vectors(
    texts: Iterable[str],
    path: Path,
    *,
    seed: int,
    size: int = SIZE,
    min_count: int = MIN_COUNT,
    epochs: int = EPOCHS,
    lac: Tagger | None = None,
) -> int:
    """Write vectors of the texts' LAC words (skip-gram, negative sampling) to `path` as a word2vec text file.

    The same texts and seed give the same bytes, in one thread and whatever PYTHONHASHSEED is.

    Args:
        texts: repeated ones count once.
        path: a new file; written whole or not at all.
        seed: of the first weights and of all draws, 0 to 2 ** 32 - 1.
        size: numbers of a vector.
        min_count: rarer words get no vector. Nor do words with whitespace, which the format can't hold.
        epochs: how often the texts are read.
        lac: the tagger, made unless given.

    Returns:
        How many words have a vector.

    Raises:
        UserError: a setting that can't be, a file that is there already or can't be written, or no word that is left.
    """
    for name, value in (("size", size), ("min_count", min_count), ("epochs", epochs)):
        if not 1 <= value <= LARGEST:
            raise UserError(f"{name} is {value}; it must be above 0 and at most {LARGEST}")
    check_seed(seed)
    if path.exists():
        raise UserError("already exists", path=path, hint="name a new file")
    distinct = list(dict.fromkeys(texts))
    tagged = (lac or Tagger()).tag(distinct)
    sentences = [[word for word, _ in tagged[text] if word.split() == [word]] for text in distinct]

    # It remarks upon corpora as small as these.
    logging.getLogger("gensim").setLevel(logging.ERROR)
    from gensim.models import Word2Vec

    model = Word2Vec(vector_size=size, window=WINDOW, min_count=min_count, sg=1, workers=1, seed=seed)
    model.build_vocab(sentences)
    words = model.wv.index_to_key
    if not words:
        raise UserError(f"no word occurs {min_count} times or more", hint="lower --min_count or give more texts")
    model.train(sentences, total_examples=len(sentences), epochs=epochs)
    lines = (f"{word} {' '.join(map(str, vector))}\n" for word, vector in zip(words, model.wv.vectors, strict=True))
    write_text(path, f"{len(words)} {size}\n" + "".join(lines))
    return len(words)
