"""`replicate audit`: what may be wrong with a data set, line by line. It suggests, and changes nothing of the data."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from replicate.audit.audit import ROUNDS, Audit, Judge, audit
from replicate.audit.classes import ClassFacts
from replicate.audit.contested import LEAST, Contested, contested
from replicate.audit.faults import KINDS, Fault
from replicate.commands.flags import add_device, add_json, add_offline
from replicate.commands.outputs import check_new, check_page
from replicate.common.checks import check_device
from replicate.common.errors import UserError
from replicate.common.files import to_json, write_text
from replicate.common.progress import Progress, warn
from replicate.corpus import BUILT_IN, load_dataset, own_folder
from replicate.corpus.checkup import told
from replicate.corpus.formats import Dataset
from replicate.findings.own_data import OwnAudit
from replicate.inference.predict import MAX_LENGTH
from replicate.records.audited import AuditRecord, write_audited
from replicate.records.run import read_records
from replicate.scores.packing import unpack_bits, unpack_predictions
from replicate.tables.file import load_tables

# Lines of each kind that a terminal shows.
SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate audit`."""
    add = parser.add_argument
    add("data", metavar="DATA", help="a folder in the local format, any usual file or folder, kuake-qic or generated")
    add(
        "--model",
        type=Path,
        metavar="MODEL",
        help="folder of a model that judges dev and test, in place of a linear one",
    )
    add(
        "--records",
        type=Path,
        metavar="DIR",
        help="folder of run records; finds the dev lines that they contradict",
    )
    add("--max_seq_length", type=int, default=MAX_LENGTH, metavar="N", help="tokens that a net reads")
    add("--texts", action="store_true", help="show the texts too, not their line numbers alone")
    add("--html", type=Path, metavar="FILE", help="write a page to sort and to filter")
    add("--fix-file", type=Path, metavar="OUT", help="write suggestions that a person has to accept, as TSV")
    add("--accept", action="store_true", help="keep its numbers, without a line of it, in measured/audited/")
    add("--strict", action="store_true", help="exit with 1 where something threatens a result")
    add("--quiet", action="store_true", help="show no progress")
    add_device(parser)
    add_offline(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate audit`."""
    _check(args)
    dataset = load_dataset(args.data if args.data in BUILT_IN else own_folder(args.data), args.offline)
    warn(dataset.notes)
    if len(dataset.labels) < 2:
        hint = "with one label none can be wrong; `replicate data check` tells of the texts"
        raise UserError("there is only one label", path=Path(args.data), hint=hint)
    judge, known = _model(args, dataset) if args.model else (None, None)
    progress = Progress(f"audit · {dataset.name}", args.quiet)
    progress.start(ROUNDS)
    try:
        seen = _contested(args.records, dataset) if args.records else None
        found = audit(dataset, args.max_seq_length, known, judge, seen, progress.step)
    finally:
        progress.close()
    if args.model:
        found = replace(found, judge=args.model.name)
    if args.html:
        _write_page(args.html, found, dataset if args.texts else None)
    if args.fix_file:
        write_text(args.fix_file, "".join(_suggestions(found, dataset if args.texts else None)))
    if args.accept:
        _keep(found, dataset, args)
    if args.json:
        print(to_json(as_json(found, dataset if args.texts else None), sort_keys=False), end="")
    else:
        print(*_told(found, dataset if args.texts else None), sep="\n")
    return int(args.strict and any(found.warnings()))


def _check(args: argparse.Namespace) -> None:
    """Refuse before any work what would end it."""
    if args.max_seq_length < 3:
        raise UserError(f"max_seq_length is {args.max_seq_length}", hint="[CLS] and [SEP] take two tokens")
    check_device(args.device)
    check_page(args.html)
    check_new(args.fix_file)
    if args.html and args.fix_file and args.html.absolute() == args.fix_file.absolute():
        raise UserError("--html and --fix-file name one file", path=args.html, hint="name two")
    if args.accept and (args.model or args.data not in BUILT_IN):
        raise UserError("--accept is for the built-in data and the linear model", hint="--json has all of it")


def one_line(own: OwnAudit) -> str:
    """What an audit of somebody's own data comes to, in one line, for a command that goes on to train."""
    counts, seen, whole = own.found.counts(), sum(own.seen.values()), sum(own.sizes.values())
    doubted, conflicts = (sum(counts[kind].values()) for kind in ("label", "conflict"))
    leaks = sum(counts["leak"].values()) + sum(counts["near-leak"].values())
    part = "" if seen == whole else f" of a random {seen:,} of {whole:,} lines"
    return (
        f"audit{part}: {doubted:,} of {seen:,} labels in doubt, {conflicts:,} that contradict another line, {leaks:,} "
        "dev or test texts (almost) in train; `replicate audit` lists them"
    )


def as_json(found: Audit, texts: Dataset | None = None) -> dict[str, Any]:
    """An audit as JSON: figures, classes, and every fault with its line number."""
    return {
        "data": found.name,
        "judge": found.judge,
        "records": found.records,
        "checkup": asdict(found.checkup),
        "shift": round(found.shift, 4),
        "counts": found.counts(),
        "warnings": list(found.warnings()),
        "classes": [{**asdict(one), "shares": [round(share, 4) for share in one.shares]} for one in found.classes],
        "faults": [_fault(found, one, texts) for one in found.faults],
    }


def _fault(found: Audit, one: Fault, texts: Dataset | None) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": one.kind, "part": one.part, "line": one.line, "label": found.labels[one.label]}
    if one.suggested is not None:
        told["rather"] = found.labels[one.suggested]
    if one.value is not None:
        told["value"] = round(one.value, 4)
    if one.other is not None:
        told["like"] = {"part": one.other[0], "line": one.other[1]}
    return told if texts is None else {**told, "text": _text(texts, one.part, one.line)}


def _text(dataset: Dataset, part: str, line: int) -> str:
    return dataset.labelled[part].texts[line - 1]


def _told(found: Audit, texts: Dataset | None) -> Iterator[str]:
    """The audit for a terminal."""
    yield from told(found.checkup)
    counts = found.counts()
    parts = [part for part in found.checkup.parts if part != "unlabelled"]
    rows = [(kind, *counts[kind].values(), KINDS[kind]) for kind in KINDS if any(counts[kind].values())]
    if rows:
        yield "\n" + tabulate(rows, headers=("finding", *parts, "what it is"))
    classes = [_class(one) for one in found.classes]
    head = ("class", "train", "dev", "of train", "of dev", "in doubt", "")
    yield "\n" + tabulate(classes, headers=head, disable_numparse=True)
    for kind in KINDS:
        of_kind = [one for one in found.faults if one.kind == kind]
        if of_kind:
            yield f"\n{kind}:"
            yield from (f"  {_line(found, one, texts)}" for one in of_kind[:SHOWN])
            if len(of_kind) > SHOWN:
                yield f"  … and {len(of_kind) - SHOWN} more; --html or --json has all"
    warnings = [f"warning: {words}" for words in found.warnings()]
    yield "\n" + "\n".join(warnings or ["nothing threatens a result"])


def _class(one: ClassFacts) -> tuple[str, ...]:
    notes = [*(["few texts"] if one.thin else []), *(["shifts"] if one.shifted else [])]
    train, dev = (f"{share:.1%}" for share in one.shares)
    return one.label, str(one.train), str(one.dev), train, dev, str(one.doubted), ", ".join(notes)


def _line(found: Audit, one: Fault, texts: Dataset | None) -> str:
    said = f"{one.part} {one.line}: {found.labels[one.label]}"
    said += f" → {found.labels[one.suggested]}?" if one.suggested is not None else ""
    said += f" ({one.value:g})" if one.value is not None else ""
    said += f", like {one.other[0]} {one.other[1]}" if one.other is not None else ""
    return said if texts is None else f"{said}: {_text(texts, one.part, one.line)}"


def _suggestions(found: Audit, texts: Dataset | None) -> Iterator[str]:
    """One line for each text whose label another one speaks against; only a person applies any of it."""
    head = ["accept", "part", "line", "label", "rather", "why", "value"]
    yield "\t".join([*head, "text"] if texts is not None else head) + "\n"
    done: set[tuple[str, int]] = set()
    for one in found.faults:
        if one.suggested is None or (one.part, one.line) in done:
            continue
        done.add((one.part, one.line))
        cells = ["", one.part, str(one.line), found.labels[one.label], found.labels[one.suggested], one.kind]
        cells.append("" if one.value is None else f"{one.value:g}")
        if texts is not None:
            cells.append(_text(texts, one.part, one.line).replace("\t", " "))
        yield "\t".join(cells) + "\n"


def _keep(found: Audit, dataset: Dataset, args: argparse.Namespace) -> None:
    """Keep the numbers of an audit that anybody can make again: by the linear model, and accepted records."""
    record = AuditRecord(
        name=found.name,
        command=("replicate", "audit", args.data, *(("--records", str(args.records)) if args.records else ())),
        dev=dataset.digests["dev"],
        parts={name: len(split) for name, split in dataset.labelled.items()},
        counts=found.counts(),
        shift=round(found.shift, 4),
        shifted=tuple(one.label for one in found.classes if one.shifted),
        thin=tuple(one.label for one in found.classes if one.thin),
        records=found.records,
    )
    warn([f"numbers in {write_audited(record)}"])


def _write_page(path: Path, found: Audit, texts: Dataset | None) -> None:
    from replicate.report.html import html
    from replicate.report.sections.audit import audit_page
    from replicate.report.site import Site

    site = Site((audit_page(found, texts),), in_project=False)
    write_text(path, html(site, filters=("Finding", "Label")))


def _contested(folder: Path, dataset: Dataset) -> Contested | None:
    """What the records of these data say against dev lines."""
    if not folder.is_dir():
        raise UserError("no such folder", path=folder, hint="`replicate run` says where it puts its records")
    digests = dataset.digests
    silent = {(table.id, row.id) for table in load_tables().values() for row in table.rows if not table.is_witness(row)}
    own = [
        one
        for one in read_records(folder)
        if one.counts
        and (one.table, one.row) not in silent
        and all(one.digests.get(part) == digests[part] for part in ("dev", "labels"))
    ]
    if len(own) < LEAST:
        hint = f"{LEAST} or more are needed"
        raise UserError(f"{len(own)} records of this dev set", path=folder, hint=hint)
    predicted = np.stack([unpack_predictions(one.predictions) for one in own])
    correct = np.stack([unpack_bits(one.correct, len(dataset.dev)) for one in own])
    return contested(predicted, correct)


def _model(args: argparse.Namespace, dataset: Dataset) -> tuple[Judge, set[str]]:
    """The model as a judge of texts, and the characters of its vocabulary."""
    from replicate.inference.predict import Labeller
    from replicate.inference.runtime import open_runtime

    runtime = open_runtime(args.model, device=args.device)
    labeller = Labeller(runtime, args.max_seq_length)
    if set(runtime.labels) != set(dataset.labels):
        hint = f"the model has {', '.join(runtime.labels[:5])}{' …' * (len(runtime.labels) > 5)}"
        raise UserError("the model has other labels than the data", path=args.model, hint=hint)
    order = [runtime.labels.index(label) for label in dataset.labels]

    def judge(texts: Sequence[str]) -> NDArray[np.float64]:
        return labeller.probabilities(texts)[:, order]

    return judge, set(runtime.tokenizer.vocab.token_to_idx)
