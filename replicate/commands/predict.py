"""`replicate predict`: labels for the texts given, a folder's data.txt or standard input, of any size."""

from __future__ import annotations

import argparse
import codecs
import json
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from replicate.commands.flags import add_device, add_json
from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.common.paths import store_root
from replicate.common.progress import warn
from replicate.inference.predict import BATCH, MAX_LENGTH, Labeller, Prediction
from replicate.inference.runtime import OFFERED, open_runtime
from replicate.runs.artefact import MANIFEST, RESULT
from replicate.runs.leases import leased
from replicate.runs.store import Store
from replicate.scores.metrics import scores

STDIN = "standard input"
# Bytes of a line that are kept; no net reads as many, and one endless line must not fill the memory.
LINE = 1 << 20
TEXT_COLUMNS = 60
# Of lines, fewer than so many to one that ends in a label are a labelled file.
MANY = 1.25
_BOM = "\ufeff"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate predict`."""
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="folder that finetune, prune or export wrote (default: see below)"
    )
    parser.add_argument("--params_path", metavar="DIR", help="the same, under the article's name")
    parser.epilog = (
        "Without a model, the pruned one of the run store that is best on dev. Without texts, standard input. "
        "Every line of the input gives one line of output."
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--dataset_dir", metavar="DIR", help="predict its data.txt, one text a line")
    source.add_argument("--text", action="append", metavar="T", help="predict this text; may be given again")
    # As an option it may stand anywhere, which an optional second positional may not.
    source.add_argument("-", dest="stdin", action="store_true", help="predict standard input, one text a line")
    parser.add_argument("--runtime", choices=OFFERED, help="default: the one that the folder is made for")
    add_device(parser)
    parser.add_argument("--max_seq_length", type=int, default=MAX_LENGTH, help="tokens; longer texts are cut")
    parser.add_argument("--batch_size", type=int, default=BATCH, help="texts that are computed at once")
    add_json(parser, "one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """`replicate predict`."""
    if args.model and args.params_path:
        raise UserError("MODEL and --params_path both name a model", hint="name it once")
    # While there is the store, nobody deletes what it has given.
    store = Store(store_root())
    with _texts(args) as texts:
        folder = Path(args.model or args.params_path or best_pruned(store))
        with leased(folder):
            runtime = open_runtime(folder, args.runtime, device=args.device)
        labeller = Labeller(runtime, args.max_seq_length, args.batch_size)
        show: Callable[[Sequence[Prediction]], Iterable[str]] = as_json if args.json else Table(runtime.labels).lines
        seen = truncated = empty = 0
        for chunk in labeller.stream(texts):
            if not seen:
                warn(_labelled(chunk, runtime.labels))
            sys.stdout.write("".join(f"{line}\n" for line in show(chunk)))
            sys.stdout.flush()
            seen += len(chunk)
            truncated += sum(one.truncated for one in chunk)
            empty += sum(one.label is None for one in chunk)
    notes = [f"{truncated} cut to {args.max_seq_length} tokens"] * bool(truncated)
    notes += [f"{empty} empty and without a label"] * bool(empty)
    if notes:
        print(f"replicate: of {seen} texts {', '.join(notes)}", file=sys.stderr)
    return 0


def _labelled(chunk: Sequence[Prediction], labels: Sequence[str]) -> Iterator[str]:
    """What to tell of texts that nearly all end in a TAB and a label of the model: the label was read as text."""
    ends = [one.text.rpartition("\t")[2] for one in chunk if "\t" in one.text]
    if len(chunk) < MANY * sum(end in labels for end in ends):
        yield "warning: the lines end in labels, which are read as text; `replicate evaluate` takes them for labels"


@contextmanager
def _texts(args: argparse.Namespace) -> Iterator[Iterable[str]]:
    """The texts that the arguments name; a file is open as long as they are read."""
    if args.text:
        yield args.text
    elif args.dataset_dir is None:
        yield read_texts(sys.stdin.buffer, STDIN)
    else:
        path = Path(args.dataset_dir) / "data.txt"
        try:
            # In a folder of data a pipe would be waited for; one that is meant comes as standard input.
            if not stat.S_ISREG(path.stat().st_mode):
                raise UserError("not a file", path=path, hint="`-` reads standard input")
            source = path.open("rb")
        except OSError as error:
            raise UserError(f"can't read the file ({error.strerror})", path=path) from error
        with source:
            yield read_texts(source, str(path))


def read_texts(source: IO[bytes], name: str) -> Iterator[str]:
    """The lines of a UTF-8 stream without their ends, each read when it is asked for; of a huge one the first MiB.

    They end in LF, CR LF or CR, as for every reader of a file.

    Raises:
        UserError: a line is not UTF-8; those before it have been given.
    """
    for number, (line, whole) in enumerate(_raw_lines(source), start=1):
        try:
            # A line that is cut may end within a character, which is no error of the file.
            text = codecs.getincrementaldecoder("utf-8")().decode(line, final=whole)
        except UnicodeDecodeError as error:
            raise UserError("not UTF-8", path=name, line=number) from error
        # Files that were joined have one inside as well.
        yield text.lstrip(_BOM)


def _raw_lines(source: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each line without its end, and whether that is all of it: of a longer one come `LINE` bytes."""
    line, begun, whole, after_return = b"", False, True, False
    while block := source.readline(LINE):
        if after_return and block == b"\n":
            after_return = False
            continue
        after_return = block.endswith(b"\r")
        ended = block.endswith(b"\n")
        for at, piece in enumerate(block.removesuffix(b"\n").removesuffix(b"\r" if ended else b"").split(b"\r")):
            if at:
                yield line, whole
                line, begun, whole = b"", False, True
            room = LINE - len(line)
            line, begun, whole = line + piece[:room], begun or bool(piece), whole and len(piece) <= room
        if ended:
            yield line, whole
            line, begun, whole = b"", False, True
    if begun:
        yield line, whole


def as_json(chunk: Sequence[Prediction]) -> Iterator[str]:
    """One JSON object a line."""
    return (json.dumps(one.to_json(), ensure_ascii=False) for one in chunk)


class Table:
    """Lines of a table that goes on for as long as there are chunks, under one header.

    The column of texts is as wide as the first chunk needs, up to 60 places; what is longer ends in `…`.

    Args:
        labels: label names that may come.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._label = max(places(label) for label in (*labels, "label"))
        self._text = 0

    def lines(self, chunk: Sequence[Prediction]) -> Iterator[str]:
        """The chunk's rows, the first time below the header."""
        if not self._text:
            self._text = min(TEXT_COLUMNS, max(places(text) for text in (*(one.text for one in chunk), "text")))
            yield self._line("text", "label", "probability")
            yield self._line("-" * self._text, "-" * self._label, "-" * len("probability"))
        for one in chunk:
            probability = "" if one.probability is None else f"{one.probability:.4f}"
            yield self._line(one.text, one.label or "", probability)

    def _line(self, text: str, label: str, probability: str) -> str:
        return f"{fitted(text, self._text)}  {fitted(label, self._label)}  {probability}".rstrip()


def places(text: str) -> int:
    """How many places a terminal needs for a text, counted to one more than a column has."""
    return sum(map(_places, text[: TEXT_COLUMNS + 1]))


def _places(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """A text in exactly `width` places, cut or filled; what would move the cursor is a space."""
    plain = "".join(" " if unicodedata.category(one).startswith("C") else one for one in text[: width + 1])
    if places(plain) > width:
        while places(plain) > width - 1:
            plain = plain[:-1]
        plain += "…"
    return plain + " " * (width - places(plain))


def best_pruned(store: Store) -> Path:
    """The pruned model of the run store with the highest accuracy, then F1 of class 1, on dev; tells stderr which.

    Models of different dev examples can't be ranked: those of the data that was used last are.

    Raises:
        UserError: the store has no intact pruned model.
    """
    found = []
    for path in sorted((store.root / "prune").glob("*")):
        try:
            manifest, summary = read_json(path / MANIFEST), read_json(path / RESULT)
            values = scores(summary["evaluation"]["counts"])
            found.append((manifest["created"], manifest["identity"]["inputs"]["dev"], values, path, summary))
        except (UserError, KeyError, TypeError, ValueError):
            continue
    hint = "name a model folder, or run a row that prunes"
    if not found:
        raise UserError("no model is named, and the run store has no pruned one", path=store.root, hint=hint)
    _, data, *_ = max(found, key=lambda one: one[0])
    same = [one for one in found if one[1] == data]
    for *_, values, path, summary in sorted(same, key=lambda one: (-one[2]["accuracy"], -one[2]["f1"], one[3].name)):
        if store.find("prune", path.name) is None:
            print(f"replicate: {path} is damaged, not used", file=sys.stderr)
            continue
        examples = summary["evaluation"]["counts"]["examples"]
        figures = f"accuracy {values['accuracy']:.4f}, F1 {values['f1']:.4f} on {examples} dev examples"
        print(f"replicate: width {summary['width']} from {path}: {figures}", file=sys.stderr)
        return path
    raise UserError("every pruned model in the run store is damaged", path=store.root, hint=hint)
