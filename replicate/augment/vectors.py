"""Word vectors: word2vec files read once into a memory-mapped cache, and nearest neighbours of many words at a time."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import stat
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from replicate.augment.neighbours import nearest_rows
from replicate.augment.shortlist import Floats
from replicate.common.errors import UserError
from replicate.common.files import describe_file
from replicate.common.limits import MOST_LINE
from replicate.common.locks import own_folder
from replicate.common.paths import store_root

_CONTROL = re.compile("[\t\r\n]")
# No text has one of these, and no thousand numbers of four bytes each are without.
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_ROWS_READ = 1024
# Numbers of a vector; published ones have some hundreds.
_LARGEST = 100_000


@dataclass(frozen=True)
class Vectors:
    """Distinct words and their vectors scaled to length 1: float32, one row a word.

    `mapped` is the file that `matrix` lies in, if it does: reading it needs no more memory than is read at a time.
    """

    words: Sequence[str]
    matrix: Floats
    mapped: mmap.mmap | None = None

    def nearest(self, words: Collection[str], count: int) -> dict[str, tuple[str, ...]]:
        """The `count` other words of greatest cosine, nearest first, for those of `words` that have a vector."""
        wanted = set(words)
        rows = np.array([row for row, word in enumerate(self.words) if word in wanted], dtype=np.int64)
        count = min(count, len(self.words) - 1)
        if count < 1 or not len(rows):
            return {}
        near = nearest_rows(self.matrix, rows, count, partial(_let_go, self.mapped))
        return {
            self.words[row]: tuple(self.words[other] for other in others)
            for row, others in zip(rows.tolist(), near.tolist(), strict=True)
        }


def load_vectors(path: Path, cache: Path | None = None) -> Vectors:
    """Vectors of a word2vec file, text or binary; read once, then mapped from `cache` (the store's own by default).

    Raises:
        UserError: the file can't be read or isn't in the format.
    """
    try:
        # It is read twice, and a device may go on for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError("not a file", path=path)
        digest = str(describe_file(path)["sha256"])
    except OSError as error:
        raise UserError(f"can't read the vectors ({error.strerror})", path=path) from error
    folder = (cache or store_root() / "vectors") / digest
    if not folder.is_dir():
        _convert(path, folder)
    return _kept(folder)


def _kept(folder: Path) -> Vectors:
    """What `_convert` wrote; UserError where somebody has put something else there."""
    own_folder(folder.parent)
    own_folder(folder)
    try:
        with _file(folder / "words.txt") as file:
            words = file.read().decode("utf-8").split("\n")
        with _file(folder / "vectors.f32") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Vectors(words, np.frombuffer(mapped, dtype=np.float32).reshape(len(words), -1), mapped)
    except (OSError, ValueError) as error:
        what = f"not the vectors that were kept here ({error})"
        raise UserError(what, path=folder, hint="delete it, and they are read again") from error


@contextlib.contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    """A real file; a link is not followed, and a pipe not waited for."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path.name} is no file")
        yield file


def _let_go(mapped: mmap.mmap | None) -> None:
    # Pages that were read count as this process's memory until they are given back; the kernel has them cached still.
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def unit(matrix: Floats) -> Floats:
    """The same rows with length 1 (float32); a row of zeros stays one."""
    length = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(matrix / np.where(length > 0, length, 1), dtype=np.float32)


def _convert(path: Path, folder: Path) -> None:
    """Write words.txt and vectors.f32 (float32, rows of length 1) into `folder`, whole or not at all."""
    known: set[str] = set()
    try:
        own_folder(folder.parent)
        with tempfile.TemporaryDirectory(prefix=".vectors-", dir=folder.parent) as scratch:
            complete = Path(scratch, "vectors")
            complete.mkdir()
            with (
                warnings.catch_warnings(),
                (complete / "words.txt").open("w", encoding="utf-8", newline="\n") as words,
                (complete / "vectors.f32").open("wb") as matrix,
            ):
                # NumPy's way to say that it met something else than numbers.
                warnings.simplefilter("error", DeprecationWarning)
                entries = _entries(path)
                while chunk := list(islice(entries, _ROWS_READ)):
                    fresh = []
                    for word, vector in chunk:
                        # Words that a line of text couldn't hold go, and so do repeated ones, as in gensim.
                        if word and word not in known and not _CONTROL.search(word):
                            words.write(f"\n{word}" if known else word)
                            known.add(word)
                            fresh.append(vector)
                    if fresh:
                        matrix.write(unit(np.stack(fresh)).tobytes())
            if not known:
                raise UserError("no word vectors in the file", path=path)
            # Whoever was first has written the same.
            with contextlib.suppress(FileExistsError):
                os.replace(complete, folder)
    except OSError as error:
        if not folder.is_dir():
            raise UserError(f"can't keep the vectors ({error.strerror})", path=folder) from error


def _entries(path: Path) -> Iterator[tuple[str, Floats]]:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise UserError("empty file", path=path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                count, size = map(int, _line(data, path, 1).split())
            except ValueError:
                count = size = 0
            if count < 1 or not 1 <= size <= _LARGEST:
                raise UserError("not a word2vec file: expected 'COUNT SIZE'", path=path, line=1)
            start = data.tell()
            # A binary file has no lines: its first may be as long as the file.
            ahead = data[start : start + MOST_LINE]
            binary = _parse(ahead.partition(b"\n")[0], size) is None and _NO_TEXT.search(ahead) is not None
            for number, entry in enumerate((_binary if binary else _text)(data, path, count, size), start=1):
                yield entry
                if number % _ROWS_READ == 0:
                    _let_go(data)
            while blank := data.read(_ROWS_READ):
                if blank.strip():
                    what = f"the header promises {count} vectors of {size} numbers, and the file goes on after them"
                    raise UserError(what, path=path, line=None if binary else count + 2)


def _text(data: mmap.mmap, path: Path, count: int, size: int) -> Iterator[tuple[str, Floats]]:
    for number in range(2, count + 2):
        entry = _parse(_line(data, path, number), size)
        if entry is None:
            hint = f"line 1 promises {count} such lines, parted by spaces, with decimal points"
            raise UserError(f"expected a word and {size} numbers", path=path, line=number, hint=hint)
        yield entry


def _line(data: mmap.mmap, path: Path, number: int) -> bytes:
    """The next line, up to so many bytes; the rest of a longer one is not read."""
    start = data.tell()
    if data.find(b"\n", start, start + MOST_LINE) < 0 and len(data) - start > MOST_LINE:
        raise UserError(f"a line of more than {MOST_LINE} bytes", path=path, line=number)
    return data.readline()


def _parse(line: bytes, size: int) -> tuple[str, Floats] | None:
    word, _, numbers = line.rstrip().partition(b" ")
    try:
        vector = np.fromstring(numbers, dtype=np.float32, sep=" ")
    except (DeprecationWarning, ValueError):
        return None
    return (word.decode("utf-8", "replace").strip(), vector) if _finite(vector, size) else None


def _binary(data: mmap.mmap, path: Path, count: int, size: int) -> Iterator[tuple[str, Floats]]:
    for number in range(1, count + 1):
        start = data.tell()
        space = data.find(b" ", start, start + MOST_LINE)
        numbers = data[space + 1 : space + 1 + 4 * size] if space >= 0 else b""
        vector = np.frombuffer(numbers, dtype="<f4") if len(numbers) == 4 * size else np.empty(0)
        if not _finite(vector, size):
            raise UserError(f"vector {number} of {count} is damaged or missing", path=path)
        yield data[start:space].decode("utf-8", "replace").strip(), vector
        data.seek(space + 1 + 4 * size)


def _finite(vector: Floats, size: int) -> bool:
    return len(vector) == size and bool(np.isfinite(vector).all())
