"""`replicate store`: is every artefact what it was when it was made, and what takes up room for nothing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from replicate.commands.flags import add_json
from replicate.common.paths import MEASURED, store_root
from replicate.runs.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`verify` and `gc` with their options."""
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION", dest="action")
    verify = actions.add_parser("verify", help="read every artefact and compare it with its digests; 1 if one differs")
    gc = actions.add_parser("gc", help="list what killed and damaged stages left, or with --delete remove it")
    gc.add_argument("--delete", action="store_true", help="remove what is listed")
    gc.add_argument(
        "--unused",
        action="store_true",
        help="also checkpoints, and artefacts that no record names",
    )
    for action in (verify, gc):
        add_json(action)


def run(args: argparse.Namespace) -> int:
    """Run `replicate store verify` or `replicate store gc`."""
    store = Store(store_root())
    return _verify(store, args.json) if args.action == "verify" else _gc(store, args.delete, args.unused, args.json)


def _verify(store: Store, as_json: bool) -> int:
    found = [(stage, key, store.damage(stage, key)) for stage, key in store.artefacts()]
    damaged = [one for one in found if one[2]]
    if as_json:
        listed = [{"stage": stage, "key": key, "damage": damage} for stage, key, damage in found]
        print(json.dumps({"store": str(store.root), "artefacts": listed}, ensure_ascii=False, indent=1))
    else:
        for stage, key, damage in damaged:
            print(f"damaged: {store.root / stage / key}: {damage}")
        then = "; the next run that needs a damaged one makes it again" if damaged else ""
        print(f"{len(found)} artefact{'s' * (len(found) != 1)}, {len(damaged)} damaged{then}")
    return int(bool(damaged))


def _gc(store: Store, delete: bool, unused: bool, as_json: bool) -> int:
    found = [(kind, path, _size(path)) for kind, path in _garbage(store, unused)]
    # What somebody reads by now is kept, and said to be.
    tried = [(one, store.remove(one[1]) if delete else "") for one in found]
    found, kept = [one for one, why in tried if not why], [(*one, why) for one, why in tried if why]
    if as_json:
        listed = [{"kind": kind, "path": str(path), "bytes": size} for kind, path, size in found]
        left = [{"kind": kind, "path": str(path), "bytes": size, "why": why} for kind, path, size, why in kept]
        told = {"store": str(store.root), "deleted": delete, "found": listed, "kept": left}
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return 0
    for kind, path, size in found:
        print(f"{kind:10}  {size / 2**20:9.1f} MiB  {path}")
    for _, path, size, why in kept:
        print(f"{'kept':10}  {size / 2**20:9.1f} MiB  {path}: {why}")
    then = "nothing to delete" if not found else "deleted" if delete else "nothing was deleted: `--delete` does it"
    print(f"{sum(size for *_, size in found) / 2**20:.1f} MiB in {len(found)} folders; {then}" + _and_kept(len(kept)))
    return 0


def _and_kept(count: int) -> str:
    return f"; {count} kept" if count else ""


def _garbage(store: Store, unused: bool) -> Iterator[tuple[str, Path]]:
    for kind, path in store.leftovers():
        if unused or kind != "checkpoint":
            yield kind, path
    if not unused:
        return
    named = _named(store)
    for stage, key in store.artefacts():
        if key not in named:
            yield "unused", store.root / stage / key


def _named(store: Store) -> set[str]:
    """Keys of the stages that a record names: accepted ones, the store's own, and those of other data."""
    from replicate.records.run import read_records

    folders = [MEASURED, store.root / "records", *(store.root / "records-of").glob("*")]
    records = (record for folder in folders if folder.is_dir() for record in read_records(folder))
    return {str(stage["key"]) for record in records for stage in record.stages}


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
