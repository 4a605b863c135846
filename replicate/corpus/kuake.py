"""KUAKE-QIC, the intent classification task of CBLUE: found locally or fetched where PaddleNLP has it, and checked."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import write_bytes
from replicate.common.homes import paddlenlp_home
from replicate.common.limits import read_whole
from replicate.corpus.formats import Dataset, Split

NAME = "kuake-qic"
VARIABLE = "REPLICATE_KUAKE_QIC"

# The order of PaddleNLP (`BUILDER_CONFIGS` in datasets/cblue.py); the article's F1 is that of index 1.
LABELS = (
    "病情诊断",
    "治疗方案",
    "病因分析",
    "指标解读",
    "就医建议",
    "疾病表述",
    "后果表述",
    "注意事项",
    "功效作用",
    "医疗费用",
    "其他",
)

# As in the same file of PaddleNLP.
MD5 = {
    "KUAKE-QIC_train.json": "fc7e359decfcf7b1316e7833acc97b8a",
    "KUAKE-QIC_dev.json": "2fd1f4131916239d89b213cc9860c1c6",
    "KUAKE-QIC_test.json": "337dc7f3cdc77b1a21b534ecb3142a6b",
}

URL = "https://paddlenlp.bj.bcebos.com/datasets/cblue/KUAKE-QIC.zip"
ARCHIVE_MD5 = "7661e3a6b5daf4ee025ba407669788d8"
# Bytes of the archive, and of one of its files; they are smaller by far.
MOST = 64 << 20


def load(folder: Path | None = None, offline: bool = False) -> Dataset:
    """Load KUAKE-QIC: 6,931 training and 1,955 dev queries, and the 1,994 test queries as unlabelled texts.

    The three JSON files come from `folder`, else from the folder that REPLICATE_KUAKE_QIC names, else from PaddleNLP's
    own cache, which is filled over the network unless `offline`. UserError where they can't be had or
    have another MD5 than PaddleNLP states.
    """
    folder = folder or find() or _fetch(offline)
    train, dev, test = (_read(folder / name) for name in MD5)
    return Dataset(
        name=NAME,
        labels=LABELS,
        train=_split(train),
        dev=_split(dev),
        unlabelled=tuple(example["query"] for example in test),
    )


def find() -> Path | None:
    """The folder that REPLICATE_KUAKE_QIC names, else PaddleNLP's cache where it is complete, else None."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return _cache() if all((_cache() / name).is_file() for name in MD5) else None


def _cache() -> Path:
    """Where PaddleNLP keeps the files."""
    return paddlenlp_home() / "datasets" / "CBLUE" / "KUAKE-QIC"


def _fetch(offline: bool) -> Path:
    hint = f"set {VARIABLE} to a folder that holds {', '.join(MD5)}"
    if offline:
        raise UserError("KUAKE-QIC isn't on this machine and nothing may be fetched offline", hint=hint)
    from replicate.corpus.fetch import fetch, members

    try:
        archive = fetch(URL, ARCHIVE_MD5, MOST)
        files = members(archive, [f"KUAKE-QIC/{name}" for name in MD5], MOST)
    except UserError as error:
        raise UserError(f"KUAKE-QIC couldn't be fetched ({error})", hint=hint) from error
    folder = _cache()
    for name, data in files.items():
        check(data, folder / Path(name).name)
    # All of them are right before one is written.
    for name, data in files.items():
        write_bytes(folder / Path(name).name, data)
    return folder


def _read(path: Path) -> list[dict[str, Any]]:
    data = read_whole(path, MOST)
    check(data, path)
    examples: list[dict[str, Any]] = json.loads(data)
    return examples


def check(data: bytes, path: Path) -> None:
    """Refuse bytes that are not those of the original file of that name (UserError)."""
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != MD5[path.name]:
        raise UserError(
            f"MD5 is {digest} and should be {MD5[path.name]}", path=path, hint="fetch the original file again"
        )


def _split(examples: list[dict[str, Any]]) -> Split:
    return Split(
        texts=tuple(example["query"] for example in examples),
        labels=tuple(LABELS.index(example["label"]) for example in examples),
    )
