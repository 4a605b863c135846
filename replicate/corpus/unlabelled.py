"""Unlabelled lines to pretrain on."""

from __future__ import annotations

import os
from pathlib import Path

from replicate.common.errors import UserError
from replicate.corpus import generated
from replicate.corpus.formats import Dataset, read_lines

UNLABELLED = "REPLICATE_UNLABELLED"

GENERATED_LINES = 6000


def own_lines(dataset: Dataset) -> tuple[str, ...]:
    """Lines to pretrain on for somebody's own data: its training and unlabelled text, each once, and nothing else but
    the file that `REPLICATE_UNLABELLED` names. Text of the dev and test sets is left out.

    Raises:
        UserError: that file can't be read.
    """
    named = read_lines(Path(path)) if (path := os.environ.get(UNLABELLED)) else ()
    kept = {*dataset.dev.texts, *(dataset.test.texts if dataset.test else ())}
    every = dict.fromkeys((*dataset.train.texts, *dataset.unlabelled, *named))
    return tuple(text for text in every if text not in kept)


def unlabelled_lines(source: str) -> tuple[str, ...]:
    """Lines to pretrain on: `generated`, the file that `REPLICATE_UNLABELLED` names, or a file.

    Raises:
        UserError: the variable is not set, or the file can't be read.
    """
    if source == generated.NAME:
        return generated.generate(examples_train=1, examples_dev=1, unlabelled=GENERATED_LINES, seed=1).unlabelled
    path = os.environ.get(UNLABELLED, "") if source == UNLABELLED else source
    if not path:
        raise UserError(
            f"the text to pretrain on is not named: {UNLABELLED} is not set",
            hint="set it to a UTF-8 file of one query a line",
        )
    return read_lines(Path(path))
