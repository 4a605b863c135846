"""`replicate explain`: which characters of a text decided its label, and which training lines are like it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from replicate.commands.flags import add_device, add_json
from replicate.commands.outputs import check_page
from replicate.commands.predict import STDIN, read_texts
from replicate.common.checks import check_positive
from replicate.common.errors import UserError
from replicate.common.files import write_text
from replicate.common.progress import warn
from replicate.corpus.raw import Raw, Reading, read_raw
from replicate.explain.evidence import Evidence, features_of
from replicate.explain.explanation import METHODS, Explanation, Method
from replicate.explain.faithfulness import alike
from replicate.explain.gradients import Gradients
from replicate.explain.occlusion import Explainer
from replicate.explain.shades import SHADES, coloured
from replicate.inference.predict import BATCH, MAX_LENGTH, Labeller
from replicate.inference.runtime import OFFERED, open_runtime

# Texts of a page, or of a comparison of two models; of more nobody reads the page.
MOST_AT_ONCE = 1000
# Pieces that are named where nothing can be coloured.
NAMED = 5
# Of the 256 colours of a terminal, from faint to strong; the text on them is black.
_FOR, _AGAINST = (195, 159, 123, 117, 75), (230, 223, 222, 216, 208)


@dataclass(frozen=True)
class Told:
    """An explanation with what was asked for besides."""

    one: Explanation
    near: tuple[tuple[Raw, float], ...] = ()
    against: Explanation | None = None


# From a text to its nearest training lines with their cosines.
Nearest = Callable[[str], tuple[tuple[Raw, float], ...]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate explain`."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="folder that finetune, prune, distill or export wrote")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--text", action="append", metavar="T", help="explain this text; may be given again")
    source.add_argument("-", dest="stdin", action="store_true", help="explain standard input, one text a line")
    add("--method", choices=METHODS, default=METHODS[0], help="all but occlusion (the default) need a model folder")
    add("--against", type=Path, metavar="OTHER", help="another model: does it look at the same characters?")
    add("--evidence", type=Path, metavar="TRAIN", help="labelled texts, of which the nearest are shown")
    add("--nearest", type=int, default=3, metavar="N", help="how many of them (default: 3)")
    add("--html", type=Path, metavar="FILE", help="write a page with coloured characters")
    add("--runtime", choices=OFFERED, help="default: the one that the folder is made for")
    add_device(parser)
    add("--max_seq_length", type=int, default=MAX_LENGTH, help="tokens; longer texts are cut")
    add("--batch_size", type=int, default=BATCH, help="masked copies of a text that are computed at once")
    add_json(parser, "one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """`replicate explain`."""
    check_positive(args, "nearest")
    check_page(args.html)
    explainer = _explainer(args, args.model)
    other = _other(args, explainer) if args.against else None
    near = _evidence(args, explainer) if args.evidence else None
    texts = args.text or read_texts(sys.stdin.buffer, STDIN)
    stream = (_told(explainer, other, near, text) for text in texts)
    if not (args.html or other):
        for told in stream:
            _print(args, told)
        return 0
    # A page that can't be written is told before anything else.
    found = list(islice(stream, MOST_AT_ONCE))
    if next(stream, None):
        warn([f"the first {MOST_AT_ONCE:,} texts are a page, or a comparison, and the others are left out"])
    if args.html:
        from replicate.report.explained import explained

        title = f"Why {args.model.name} says so"
        write_text(args.html, explained([told.one for told in found], title, [list(_extra(told)) for told in found]))
    for told in found:
        _print(args, told)
    if other:
        _tell_alike(args, found)
    return 0


def _told(explainer: Explainer, other: Explainer | None, near: Nearest | None, text: str) -> Told:
    one = explainer.explain(text)
    return Told(one, near(text) if near and one.labels else (), other.explain(text) if other else None)


def _print(args: argparse.Namespace, told: Told) -> None:
    print(json.dumps(_as_json(told), ensure_ascii=False) if args.json else "\n".join(_lines(told)), flush=True)


def _explainer(args: argparse.Namespace, folder: Path) -> Explainer:
    runtime = open_runtime(folder, args.runtime, device=args.device)
    method: Method | None = None
    if args.method != METHODS[0]:
        method = Gradients(folder, integrated=args.method == "ig", device=args.device)
    return Explainer(Labeller(runtime, args.max_seq_length, args.batch_size), method, args.method)


def _other(args: argparse.Namespace, explainer: Explainer) -> Explainer:
    """The model of `--against`, which must know the same labels, in whatever order."""
    other = _explainer(args, args.against)
    known, labels = explainer.runtime.labels, other.runtime.labels
    if set(labels) != set(known):
        strange = next((one for one in labels if one not in known), None)
        what = f"it lacks labels of {args.model}" if strange is None else f"unknown label {strange!r}"
        raise UserError(what, path=args.against, hint=f"name a model with the labels of {args.model}")
    return other


def _evidence(args: argparse.Namespace, explainer: Explainer) -> Nearest:
    """A function from a text to the nearest lines of the file with their cosines."""
    if not args.evidence.is_file():
        raise UserError("no such file", path=args.evidence, hint="name a file of labelled texts, such as train.txt")
    found, notes = read_raw(args.evidence, Reading(), explainer.runtime.labels)
    if not any(one.label for one in found):
        raise UserError("no label in it", path=args.evidence, hint="name a file of labelled texts, such as train.txt")
    warn(notes)
    evidence = Evidence(explainer.labeller, features_of(args.model, explainer.labeller), [one.text for one in found])

    def near(text: str) -> tuple[tuple[Raw, float], ...]:
        return tuple((found[one.index], one.similarity) for one in evidence.nearest(text, args.nearest))

    return near


def _tell_alike(args: argparse.Namespace, told: Sequence[Told]) -> None:
    """How alike two models are on the texts that both read in the same pieces, of which there must be two."""
    pairs = [
        (one.one, one.against)
        for one in told
        if one.against is not None and len(one.one.pieces) > 1 and one.one.pieces.spans == one.against.pieces.spans
    ]
    if not pairs:
        warn(["the two models read no text in the same pieces of more than one, so they aren't compared"])
        return
    found = alike([one for one, _ in pairs], [other for _, other in pairs])
    if args.json:
        print(json.dumps({"against": str(args.against), **{k: round(v, 4) for k, v in vars(found).items()}}))
        return
    print(
        f"beside {args.against}: rank correlation {found.rank:.2f}, highest 20 % shared {found.top:.0%} "
        f"({found.by_chance:.0%} by chance), same label {found.same_label:.0%}, of {found.texts} texts"
    )


def _as_json(told: Told) -> dict[str, Any]:
    found = told.one.to_json()
    if told.near:
        found["evidence"] = [
            {"text": raw.text, "label": raw.label, "line": raw.line, "similarity": similarity}
            for raw, similarity in told.near
        ]
    if told.against is not None:
        found["against"] = told.against.to_json()
    return found


def _lines(told: Told) -> Iterator[str]:
    """One explanation for a terminal."""
    one = told.one
    if not one.labels:
        yield "(nothing that the model could read)"
        return
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    yield _painted(one) if colours else _clean(one.pieces.text)
    named = [f"{label} {share:.2f}" for label, share in zip(one.labels, one.probabilities, strict=True)]
    yield "  " + " rather than ".join(named) + (" (its beginning alone was read)" if one.pieces.truncated else "")
    for column, words in enumerate(("for it", "against the second")[: len(one.labels)]):
        order = np.argsort(-one.scores[:, column], kind="stable")[:NAMED]
        pieces = (one.pieces.spans[at] for at in order)
        scored = zip(pieces, one.scores[order, column], strict=True)
        yield f"  {words}: " + ", ".join(f"{_clean(one.pieces.text[a:b])} {score:+.2f}" for (a, b), score in scored)
    yield from (f"  {words}" for words in _extra(told))


def _extra(told: Told) -> Iterator[str]:
    for raw, similarity in told.near:
        yield f"like line {raw.line} ({similarity:.2f}): {_clean(raw.label or '')}: {_clean(raw.text)}"
    if told.against is not None and told.against.labels:
        yield f"the other model: {told.against.labels[0]} {told.against.probabilities[0]:.2f}"


def _painted(one: Explanation) -> str:
    """The text with a background behind each piece, in what most terminals know."""
    parts = []
    for text, tone in coloured(one):
        if not tone:
            parts.append(_clean(text))
            continue
        scale = _FOR if tone > 0 else _AGAINST
        parts.append(f"\x1b[30;48;5;{scale[min(SHADES, abs(tone)) - 1]}m{_clean(text)}\x1b[0m")
    return "".join(parts)


def _clean(text: str) -> str:
    """A text that a terminal takes for nothing but text."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
