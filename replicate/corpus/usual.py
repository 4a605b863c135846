"""Any usual file or folder of labelled texts as a data set, with notes of what was taken for what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from replicate.common.errors import UserError
from replicate.corpus.cells import SUFFIXES
from replicate.corpus.dev_split import dev_indices
from replicate.corpus.encoding import read_text
from replicate.corpus.formats import MOST_LABELS, Dataset, Split
from replicate.corpus.raw import Raw, Reading, read_raw

# Words in a file's name that say which part it is.
_PARTS = {
    "train": ("train", "training", "训练", "训练集"),
    "dev": ("dev", "val", "valid", "validation", "eval", "验证", "验证集"),
    "test": ("test", "testing", "测试", "测试集"),
    "unlabelled": ("data", "unlabelled", "unlabeled", "unsup", "unsupervised"),
}
_CLASSES = ("label.txt", "labels.txt", "class.txt", "classes.txt", "label_names.txt", "class_names.txt")
_NOT_DATA = ("readme", "license", "licence", "vocab", "stopwords", "dataset_info", "dataset_dict", "state", "citation")
_FORMATS = "a file of TSV, CSV, JSON, JSON Lines or Parquet, or a folder of such"


def read_usual(sources: Sequence[Path], reading: Reading | None = None) -> Dataset:
    """A data set of files, or of the files in folders.

    Labels have the order of a class file beside them, else of their frequency. Without a dev file a part of the
    training texts becomes the dev set. A test file without labels counts as unlabelled text.

    Args:
        sources: files and folders.
        reading: what the user says of them.

    Raises:
        UserError: something can't be read or is at fault; names file and line.
    """
    reading = reading or Reading()
    files, class_files = _files(sources)
    notes: list[str] = []
    classes = _read_classes(class_files, reading, notes)
    parts: dict[str, list[Raw]] = {"train": [], "dev": [], "test": [], "unlabelled": []}
    for path, part in _with_parts(files, sources, notes):
        found, told = read_raw(path, reading, {*classes, *map(str, range(len(classes)))})
        notes += told
        labelled = [one for one in found if one.label is not None]
        # In a labelled file a line without a label is text that nobody has labelled yet, as in doccano's exports.
        bare = [one for one in found if one.label is None]
        if bare:
            notes.append(f"{path}: {len(bare)} texts without a label count as unlabelled")
        parts[part if part != "unlabelled" else "train"] += labelled
        parts["unlabelled"] += bare
    if not parts["train"]:
        where = files[0] if len(files) == 1 else sources[0]
        raise UserError("no text with a label", path=where, hint="--columns TEXT,LABEL says where they are")
    names = _names(classes, parts, class_files, notes)
    index = {name: at for at, name in enumerate(names)}
    splits = {part: _split(parts[part], index) for part in ("train", "dev", "test")}
    if not len(splits["dev"]):
        splits["train"], splits["dev"] = _apart(splits["train"], reading, notes)
    return Dataset(
        name=_name(sources),
        labels=names,
        train=splits["train"],
        dev=splits["dev"],
        unlabelled=tuple(one.text for one in parts["unlabelled"]),
        test=splits["test"] if len(splits["test"]) else None,
        notes=tuple(notes),
    )


def _name(sources: Sequence[Path]) -> str:
    path = sources[0].resolve()
    return path.name if path.is_dir() else path.name.split(".")[0] or path.name


def _files(sources: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Files with texts, and files with the names of classes."""
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            # One level down, as Hugging Face's `datasets` keeps its parts.
            inner = [path for pattern in ("*", "*/*") for path in sorted(source.glob(pattern)) if path.is_file()]
            found += [path for path in inner if _may_be_data(path, source)]
        elif source.exists():
            found.append(source)
        else:
            raise UserError("no such file or folder", path=source, hint=f"name {_FORMATS}")
    # A file that is named beside its folder counts once, under the name that the user gave it.
    found = [*{path.resolve(): path for path in (*found, *(one for one in sources if one.is_file()))}.values()]
    classes = [path for path in found if path.name.lower() in _CLASSES]
    files = [path for path in found if path not in classes]
    if not files:
        raise UserError("no file with texts and labels", path=sources[0], hint=f"name {_FORMATS}")
    return files, classes


def _may_be_data(path: Path, below: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(below).parts)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return not hidden and suffix.lower() in SUFFIXES and not path.name.lower().startswith((*_NOT_DATA, "labels.json"))


def _with_parts(files: Sequence[Path], sources: Sequence[Path], notes: list[str]) -> list[tuple[Path, str]]:
    """Each file with its part of the data, without those of a folder that only lie beside it."""
    if len(files) == 1:
        return [(files[0], "train")]
    found = [(path, _part(path, sources)) for path in files]
    # Published folders hold vocabularies, lists of classes and samples of a submission, too.
    if any(part == "train" for _, part in found):
        beside = [path for path, part in found if part is None and path not in sources]
        notes += [f"{path}: not read, since its name says no part and another's says train" for path in beside]
        found = [(path, part) for path, part in found if path not in beside]
    return [(path, part or "train") for path, part in found]


def _part(path: Path, sources: Sequence[Path]) -> str | None:
    """The part that a file's name tells, else its folder's; None where neither does."""
    words = re.split(r"[^a-z\u4e00-\u9fff]+", path.name.lower())
    # Of `dataset/dev/data-00000.arrow` the folder tells; what the user's own folders are called tells nothing.
    inner = path.parent.name.lower() if path.parent.parent in sources else ""
    for found in (words, re.split(r"[^a-z]+", inner)):
        for part, names in _PARTS.items():
            if part != "unlabelled" and any(word in names for word in found):
                return part
    return "unlabelled" if any(word in _PARTS["unlabelled"] for word in words) else None


def _read_classes(paths: Sequence[Path], reading: Reading, notes: list[str]) -> tuple[str, ...]:
    if len(paths) > 1:
        raise UserError("two files with the names of classes", path=paths[1], hint=f"keep one; the other is {paths[0]}")
    if not paths:
        return ()
    names: dict[str, int] = {}
    for number, line in enumerate(read_text(paths[0], reading.encoding).split("\n"), start=1):
        name = " ".join(line.split())
        if name and names.setdefault(name, number) != number:
            raise UserError(f"duplicate label {name!r}, first on line {names[name]}", path=paths[0], line=number)
    notes.append(f"{paths[0]}: names of {len(names)} classes")
    return tuple(names)


def _names(
    classes: tuple[str, ...], parts: dict[str, list[Raw]], class_files: Collection[Path], notes: list[str]
) -> tuple[str, ...]:
    """The label names; numbers become the names that the class file gives them, in place."""
    labelled = [one for part in ("train", "dev", "test") for one in parts[part]]
    used = Counter(one.label for one in labelled if one.label is not None)
    if not classes:
        names = tuple(sorted(used, key=lambda name: (-used[name], name)))
        notes.append(f"{len(names)} labels, in order of frequency: {_some(names)}")
    elif set(used) <= set(classes):
        names = classes
    else:
        numbers = {str(at) for at in range(len(classes))}
        for one in labelled:
            if one.label not in numbers:
                hint = f"{next(iter(class_files))} has {len(classes)} names, for the numbers from 0 or themselves"
                raise UserError(f"unknown label {one.label!r}", path=one.path, line=one.line, hint=hint)
        for part in ("train", "dev", "test"):
            parts[part] = [Raw(one.text, classes[int(one.label or 0)], one.path, one.line) for one in parts[part]]
        notes.append(f"numbers from 0 stand for the {len(classes)} classes in their order: 0 is {classes[0]!r}")
        names = classes
    if len(names) > MOST_LABELS:
        what = f"{len(names)} labels; a data set may have {MOST_LABELS}"
        raise UserError(what, path=labelled[0].path, hint="is the label's column the right one? --columns TEXT,LABEL")
    if len(names) < 2:
        what = f"every text has the label {names[0]!r}"
        raise UserError(what, path=labelled[0].path, hint="is the label's column the right one? --columns TEXT,LABEL")
    return names


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _split(found: Sequence[Raw], index: dict[str, int]) -> Split:
    return Split(tuple(one.text for one in found), tuple(index[one.label or ""] for one in found))


def _apart(train: Split, reading: Reading, notes: list[str]) -> tuple[Split, Split]:
    drawn = dev_indices(train.texts, train.labels, reading.dev, reading.seed)
    sides = [[at for at in range(len(train)) if (at in drawn) is side] for side in (False, True)]
    first, second = map(train.at, sides)
    notes.append(f"no dev set: {len(second)} of {len(train)} texts are drawn as one, by label (seed {reading.seed})")
    return first, second
