"""Data sets in memory, and the local format: train.txt, dev.txt and label.txt, optionally data.txt and test.txt."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.files import finished_folder
from replicate.common.limits import numbered_lines

_BOM = "\ufeff"
_BLOCK = 1 << 20
# Of a data set that is trained or scored on.
MOST_LABELS = 1000
# Of a data set, by the names of its digests: what a record of it has to agree in, and what every stage may read.
DATA = ("train", "dev", "labels")
_BLANKS = "take it away, or it is another label than the one without"


@dataclass(frozen=True)
class Split:
    """Texts and, beside each, the index of its label; every text is one line that isn't blank."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what the local format couldn't hold (ValueError)."""
        if len(self.texts) != len(self.labels):
            raise ValueError(f"{len(self.texts)} texts but {len(self.labels)} labels")
        _require_lines(self.texts)

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.texts)

    def at(self, places: Iterable[int]) -> Split:
        """The examples at these places, in the order of the places."""
        found = tuple(places)
        return Split(tuple(self.texts[place] for place in found), tuple(self.labels[place] for place in found))


@dataclass(frozen=True)
class Dataset:
    """A classification task: label names in order of their index, two labelled splits and unlabelled texts.

    Attributes:
        test: examples that choose nothing, and are scored once.
        notes: what a reader took for what, and changed, in words.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    dev: Split
    unlabelled: tuple[str, ...] = ()
    test: Split | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Refuse what the local format couldn't hold (ValueError)."""
        _require_lines(self.labels)
        _require_lines(self.unlabelled)
        if len(set(self.labels)) != len(self.labels) or any("\t" in label for label in self.labels):
            raise ValueError("label names must be distinct and without a TAB")
        for split in filter(None, (self.train, self.dev, self.test)):
            if not all(0 <= label < len(self.labels) for label in split.labels):
                raise ValueError("a label index is out of range")

    @property
    def labelled(self) -> dict[str, Split]:
        """The parts that have labels, by name: train, dev, and test where there is one."""
        return {"train": self.train, "dev": self.dev, **({"test": self.test} if self.test is not None else {})}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 (hexadecimal) of the bytes that `write_dataset` writes, by part: labels, train, dev, unlabelled."""
        parts = ("labels", "train", "dev", "unlabelled")
        return {
            part: hashlib.sha256(data).hexdigest() for part, data in zip(parts, _encode(self).values(), strict=True)
        }


def read_labels(path: Path) -> tuple[str, ...]:
    """Read label names, one a line; their order is their index.

    Raises:
        UserError: a label is empty, holds a TAB or stands there twice, or the file is not UTF-8; names file and line.
    """
    first_seen: dict[str, int] = {}
    for number, label in _numbered_lines(path):
        if not label.strip():
            raise UserError("empty label", path=path, line=number)
        if "\t" in label:
            raise UserError("a label can't contain a TAB", path=path, line=number)
        if label != label.strip():
            raise UserError(f"a blank before or after the label {label!r}", path=path, line=number, hint=_BLANKS)
        if label in first_seen:
            raise UserError(f"duplicate label {label!r}, first on line {first_seen[label]}", path=path, line=number)
        first_seen[label] = number
    return tuple(first_seen)


def read_split(path: Path, labels: Sequence[str]) -> Split:
    """Read `text<TAB>label` lines; a text may hold TABs itself, the last one on the line counts.

    Raises:
        UserError: a line has no TAB, no text or an unknown label, or the file is empty; names file and line.
    """
    index = {label: i for i, label in enumerate(labels)}
    texts: list[str] = []
    indices: list[int] = []
    for number, line in _numbered_lines(path):
        text, tab, label = line.rpartition("\t")
        if not tab:
            raise UserError("no TAB between text and label", path=path, line=number)
        if not text.strip():
            raise UserError("empty text", path=path, line=number)
        if label not in index and label.strip() in index:
            raise UserError(f"a blank before or after the label {label!r}", path=path, line=number, hint=_BLANKS)
        if label not in index:
            raise UserError(f"unknown label {label!r}", path=path, line=number, hint="label.txt lists the known ones")
        texts.append(text)
        indices.append(index[label])
    return Split(tuple(texts), tuple(indices))


def read_lines(path: Path) -> tuple[str, ...]:
    """Read unlabelled texts, one a line.

    Raises:
        UserError: a line is empty, or the file can't be read; names file and line.
    """
    texts = []
    for number, text in _numbered_lines(path):
        if not text.strip():
            raise UserError("empty text", path=path, line=number)
        texts.append(text)
    return tuple(texts)


def read_dataset(folder: Path) -> Dataset:
    """Read a folder in the local format; data.txt (unlabelled texts) and test.txt may be missing.

    Raises:
        UserError: a file is missing or at fault; names file and line.
    """
    if not folder.is_dir():
        raise UserError("no such folder", path=folder, hint="it should hold train.txt, dev.txt and label.txt")
    labels = read_labels(folder / "label.txt")
    if len(labels) > MOST_LABELS:
        what = f"{len(labels)} labels; a data set may have {MOST_LABELS}"
        hint = "every evaluation makes a matrix of them"
        raise UserError(what, path=folder / "label.txt", line=MOST_LABELS + 1, hint=hint)
    data, test = folder / "data.txt", folder / "test.txt"
    return Dataset(
        name=folder.resolve().name,
        labels=labels,
        train=read_split(folder / "train.txt", labels),
        dev=read_split(folder / "dev.txt", labels),
        unlabelled=read_lines(data) if data.exists() else (),
        test=read_split(test, labels) if test.exists() else None,
    )


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write `dataset` in the local format, the whole folder or nothing; a folder that holds anything is refused."""
    with finished_folder(folder) as complete:
        for name, data in _encode(dataset).items():
            if data:
                (complete / name).write_bytes(data)
        if dataset.test is not None:
            (complete / "test.txt").write_bytes(_joined(labelled_lines(dataset.test, dataset.labels)))


def _encode(dataset: Dataset) -> dict[str, bytes]:
    """The files of the local format, by name: labels, train, dev, unlabelled."""
    files = {
        "label.txt": dataset.labels,
        "train.txt": labelled_lines(dataset.train, dataset.labels),
        "dev.txt": labelled_lines(dataset.dev, dataset.labels),
        "data.txt": dataset.unlabelled,
    }
    return {name: _joined(content) for name, content in files.items()}


def labelled_lines(split: Split, labels: Sequence[str]) -> Iterator[str]:
    """Lines as the local format has them, without their ends: text, TAB, label."""
    return (f"{text}\t{labels[label]}" for text, label in zip(split.texts, split.labels, strict=True))


def _joined(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _require_lines(texts: Sequence[str]) -> None:
    for text in texts:
        if not text.strip() or "\n" in text or "\r" in text or text.startswith(_BOM):
            raise ValueError(f"not one line of text: {text!r}")


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file, counted from 1; any of the three line ends, and a BOM before a line, are tolerated.

    Of the blank lines at the beginning only the first comes: every reader refuses it.
    """
    blank = None
    filled = False
    for number, text in _lines(path):
        if text.strip() and not filled:
            filled = True
            if blank:
                yield blank
        if filled:
            yield number, text
        else:
            blank = blank or (number, text)
    if not filled:
        raise UserError("empty file", path=path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        # Not str.splitlines: it also splits at U+0085, U+2028 and others that real queries contain.
        with path.open(encoding="utf-8", newline=None) as file:
            for number, line in numbered_lines(file, path):
                # Files that were joined have a BOM inside as well.
                yield number, line.lstrip(_BOM)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except OSError as error:
        raise UserError(f"can't read the file ({error.strerror})", path=path) from error


def _not_utf8(path: Path) -> UserError:
    """Where in a file the first byte is that is not UTF-8; a pipe can't be read a second time."""
    if not path.is_file():
        return UserError("not UTF-8", path=path)
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            # What was left of a character at the end of the last block.
            data = decoder.getstate()[0] + block
            try:
                decoder.decode(block, final=len(block) < _BLOCK)
            except UnicodeDecodeError as error:
                line += data.count(b"\n", 0, error.start)
                return UserError(f"not UTF-8 (byte 0x{data[error.start]:02x})", path=path, line=line)
            line += block.count(b"\n")
    return UserError("not UTF-8", path=path)
