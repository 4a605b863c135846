"""The test set of somebody's own data: it chooses nothing, and what was chosen on dev is scored on it at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json, to_json, write_text
from replicate.corpus.formats import Dataset, Split
from replicate.records.run import HELD_OUT, Record
from replicate.runs.runner import Runner
from replicate.scores.metrics import count, scores


@dataclass(frozen=True)
class HeldOut:
    """What the chosen rows score on the test set.

    Attributes:
        profile: they were run with.
        times: how often this test set was scored with other rows or seeds, this time included; more than once, it has
            had a say.
        scores: of each row, by full id, its metrics by seed.
    """

    profile: str
    times: int
    scores: Mapping[str, Mapping[int, Mapping[str, float]]]


def score_held_out(runner: Runner, records: Iterable[Record]) -> HeldOut | None:
    """Scores the nets of these records on the data's test set, and keeps that beside them; None where there is none.

    What is kept of the same nets is not scored again.

    Args:
        runner: that has run them.
        records: of the rows that dev has chosen; those that did not end well are left out.

    Raises:
        UserError: the store has lost a net.
    """
    test = runner.dataset.test
    chosen = [one for one in records if one.status == "ok"]
    if test is None or not chosen:
        return None
    path = _path(runner.records, runner.profile.id)
    digest, keys = _digest(runner.dataset), sorted(str(one.stages[-1]["key"]) for one in chosen)
    before = read_json(path) if path.exists() else {}
    same_set = isinstance(before, dict) and before.get("test") == digest
    if not same_set or before.get("keys") != keys:
        found: dict[str, dict[str, Any]] = {}
        for one in chosen:
            found.setdefault(f"{one.table}/{one.row}", {})[str(one.seed)] = _counts(runner, one, test)
        times = int(before["times"]) + 1 if same_set else 1
        write_text(path, to_json({"test": digest, "keys": keys, "times": times, "counts": found}))
    return read_held_out(runner.records, runner.profile.id, runner.dataset)


def read_held_out(folder: Path, profile: str, dataset: Dataset) -> HeldOut | None:
    """What is kept of a profile's rows on this test set; None where nothing is.

    Raises:
        UserError: the file is damaged.
    """
    path = _path(folder, profile)
    if dataset.test is None or not path.exists():
        return None
    kept = read_json(path)
    try:
        if kept["test"] != _digest(dataset):
            return None
        found = {
            row: {int(seed): scores(counts) for seed, counts in of_seed.items()}
            for row, of_seed in kept["counts"].items()
        }
        return HeldOut(profile, int(kept["times"]), found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"no scores of a test set ({error})", path=path, hint="delete it, and run again") from error


def _path(folder: Path, profile: str) -> Path:
    return folder / HELD_OUT / f"{profile}.json"


def _digest(dataset: Dataset) -> str:
    test = dataset.test or Split((), ())
    lines = (f"{text}\t{label}" for text, label in zip(test.texts, test.labels, strict=True))
    return hashlib.sha256("\n".join((*dataset.labels, *lines)).encode()).hexdigest()


def _counts(runner: Runner, record: Record, test: Split) -> dict[str, Any]:
    last = record.stages[-1]
    classes = len(runner.dataset.labels)
    if last["stage"] == "svm":
        from replicate.stages.svm import svm

        return count(test.labels, svm(runner.dataset.train, test, classes, record.seed), classes)
    from replicate.inference.predict import Labeller
    from replicate.inference.runtime import open_runtime

    found = runner.store.find(str(last["stage"]), str(last["key"]))
    if found is None:
        raise UserError(f"the store lost {last['stage']}/{last['key']}", path=runner.store.root, hint="run again")
    runtime = open_runtime(found.path, "dygraph", device=runner.profile.device)
    labelled = Labeller(runtime, int(last["config"]["max_seq_length"])).label(test.texts)
    index = {label: at for at, label in enumerate(runtime.labels)}
    # A text that has nothing for the net to read gets the first label, as it would from the net's own padding.
    return count(test.labels, [index[one.label] if one.label else 0 for one in labelled], classes)
