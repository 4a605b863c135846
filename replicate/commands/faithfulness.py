"""`replicate faithfulness`: how faithful the explanations of a profile's nets are, from what its store holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
from tabulate import tabulate

from replicate.commands.flags import add_offline
from replicate.common.checks import check_positive
from replicate.common.errors import UserError
from replicate.common.paths import MEASURED, store_root
from replicate.common.progress import warn, watch
from replicate.corpus import load_dataset
from replicate.explain.explanation import Explanation
from replicate.explain.faithfulness import Alike, alike, faithfulness
from replicate.explain.occlusion import Explainer
from replicate.inference.predict import Labeller
from replicate.inference.runtime import open_runtime
from replicate.records.explained import Agreement, ExplainedRecord, ExplainedRun, load_explained, write_explained
from replicate.records.facts import commit
from replicate.records.run import EXPLAINED, Record, read_records
from replicate.runs.store import Store
from replicate.tables.profile import load_profile

# Stages that give a classifier.
_NETS = ("finetune", "prune", "distill")
_PLACES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate faithfulness`."""
    add = parser.add_argument
    add("profile", metavar="PROFILE", help="whose rows")
    add("--records", type=Path, metavar="DIR", help="run records (default: the store's, then the accepted ones)")
    add("--texts", type=int, default=100, metavar="N", help="dev texts, the same for every net (default: 100)")
    add(
        "--accept",
        action="store_true",
        help=f"write {MEASURED.name}/{EXPLAINED}/PROFILE.json; runs in it whose nets the store lacks stay in it",
    )
    add("--quiet", action="store_true", help="show no progress")
    add_offline(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate faithfulness`."""
    check_positive(args, "texts")
    profile, store = load_profile(args.profile), Store(store_root())
    dataset = load_dataset(profile.dataset, args.offline)
    found = [
        one
        for one in _records(args.records, store)
        if one.profile == profile.id and one.status == "ok" and one.digests.get("dev") == dataset.digests["dev"]
    ]
    nets = [(one, path) for one in found if (path := _net(one, store, -1)) is not None]
    if not nets:
        hint = f"`replicate run --profile {profile.id}` makes them"
        raise UserError(f"the store has no net of {profile.id}", path=store.root, hint=hint)
    if lacking := sum(one.stages[-1]["stage"] in _NETS for one in found) - len(nets):
        warn([f"{lacking} records have lost their nets, and are left out"])
    order = np.random.default_rng(0).permutation(len(dataset.dev))[: args.texts]
    texts = [dataset.dev.texts[at] for at in order]
    explained: dict[Path, list[Explanation]] = {}
    head, dirty = commit()
    runs, code = [], f"{head}{', with changes' * dirty}"
    for one, path in watch(nets, lambda pair: f"{pair[0].row} · seed {pair[0].seed}", args.quiet):
        figures, explained[path] = faithfulness(_explainer(one, path), texts)
        runs.append(
            ExplainedRun(
                table=one.table,
                row=one.row,
                seed=one.seed,
                comprehensiveness=round(figures.comprehensiveness, _PLACES),
                sufficiency=round(figures.sufficiency, _PLACES),
                floor=(round(figures.floor[0], _PLACES), round(figures.floor[1], _PLACES)),
                commit=code,
            )
        )
    for at, (one, path) in enumerate(nets):
        parent = _beside_parent(one, path, store, texts, explained)
        runs[at] = replace(runs[at], parent=parent, peer=_beside_peer(one, path, nets, explained))
    record = ExplainedRecord(profile.id, profile.id, dataset.digests["dev"], len(texts), "occlusion", tuple(runs))
    print(tabulate(_rows(record), headers=_HEAD, disable_numparse=True))
    if args.accept:
        whole = reduce(ExplainedRecord.beside, (one for one in load_explained() if one.name == record.name), record)
        kept = len(whole.runs) - len(record.runs)
        print(f"record in {write_explained(whole)}" + (f", with {kept} runs that it had" if kept else ""))
    return 0


_HEAD = ("row", "seed", "comprehensiveness", "chance", "sufficiency", "chance", "parent", "other seed")


def _rows(record: ExplainedRecord) -> Iterator[tuple[str, ...]]:
    for one in record.runs:
        beside = ("" if found is None else f"{found.rank:.2f}" for found in (one.parent, one.peer))
        figures = (one.comprehensiveness, one.floor[0], one.sufficiency, one.floor[1])
        yield f"{one.table}/{one.row}", str(one.seed), *(f"{value:.3f}" for value in figures), *beside


def _records(folder: Path | None, store: Store) -> list[Record]:
    if folder is not None:
        if not folder.is_dir():
            raise UserError("no such folder", path=folder, hint="`replicate run` says where it puts its records")
        return read_records(folder)
    own = read_records(store.root / "records") if (store.root / "records").is_dir() else []
    here = {one.place for one in own}
    return own + [one for one in read_records(MEASURED) if one.place not in here]


def _net(record: Record, store: Store, at: int) -> Path | None:
    """The folder of one of a record's stages; None where it gives no classifier, or the store has it no more."""
    stage = record.stages[at]
    if stage["stage"] not in _NETS:
        return None
    found = store.find(str(stage["stage"]), str(stage["key"]))
    return None if found is None else found.path


def _parent(record: Record, store: Store) -> Path | None:
    """The net that the last stage was pruned or distilled from."""
    if record.stages[-1]["stage"] == "finetune":
        return None
    before = [at for at, stage in enumerate(record.stages[:-1]) if stage["stage"] in _NETS]
    return _net(record, store, before[-1]) if before else None


def _explainer(record: Record, path: Path) -> Explainer:
    length = int(record.stages[-1]["config"]["max_seq_length"])
    return Explainer(Labeller(open_runtime(path, "dygraph"), length))


def _beside_parent(
    one: Record, path: Path, store: Store, texts: Sequence[str], explained: dict[Path, list[Explanation]]
) -> Agreement | None:
    parent = _parent(one, store)
    if parent is None:
        return None
    if parent not in explained:
        explainer = _explainer(one, parent)
        explained[parent] = [explainer.explain(text) for text in texts]
    return _agreement(alike(explained[path], explained[parent]))


def _beside_peer(
    one: Record, path: Path, nets: Sequence[tuple[Record, Path]], explained: dict[Path, list[Explanation]]
) -> Agreement | None:
    """Beside the next seed of the same row, of the same pretrained net where there is one."""
    same_row = [(other, at) for other, at in nets if (other.table, other.row) == (one.table, one.row) and at != path]
    if not same_row:
        return None
    # The next seed, after the last one the first.
    _, nearest = min(same_row, key=lambda pair: (_start(pair[0], one), pair[0].seed <= one.seed, pair[0].seed))
    return _agreement(alike(explained[path], explained[nearest]))


def _start(other: Record, one: Record) -> bool:
    return other.pretrained != one.pretrained


def _agreement(found: Alike) -> Agreement:
    rank, top, by_chance, same = (
        round(value, _PLACES) for value in (found.rank, found.top, found.by_chance, found.same_label)
    )
    return Agreement(rank, top, by_chance, same)
