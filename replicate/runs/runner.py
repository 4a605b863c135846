"""Run rows: every stage through the store, one record for each row and seed."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.corpus import generated, kuake, load_dataset
from replicate.corpus.formats import Dataset
from replicate.corpus.unlabelled import unlabelled_lines
from replicate.records.facts import commit, device_facts, machine, versions
from replicate.records.run import Record, pretrained_of, write_record
from replicate.runs.plan import Sources, Stage, plan, reads_unlabelled
from replicate.runs.store import Artefact, Store
from replicate.stages.kind import Inputs
from replicate.stages.registry import KINDS
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable
from replicate.training.optimisation import Diverged


@dataclass
class Runner:
    """Runs rows of tables under one profile.

    Attributes:
        profile: what to run with.
        store: where results are kept.
        quiet: show no progress.
        offline: open no connection.
    """

    profile: Profile
    store: Store
    quiet: bool = False
    offline: bool = False

    @cached_property
    def dataset(self) -> Dataset:
        """The profile's data."""
        return load_dataset(self.profile.dataset, self.offline)

    @cached_property
    def unlabelled(self) -> tuple[str, ...]:
        """Lines to pretrain on; none where the profile starts from a named model."""
        return () if self.profile.unlabelled is None else unlabelled_lines(self.profile.unlabelled)

    @cached_property
    def unlabelled_digest(self) -> str:
        """SHA-256 of the lines to pretrain on."""
        return hashlib.sha256("\n".join(self.unlabelled).encode()).hexdigest()

    @cached_property
    def sources(self) -> Sources:
        """Digests of the data and versions of the packages."""
        digests = {part: value for part, value in self.dataset.digests.items() if part != "unlabelled"}
        environment = {name.removesuffix("-gpu"): version for name, version in versions().items()}
        return Sources(digests, "", environment, self.dataset.digests["unlabelled"])

    def planned(self, table: ResultsTable, row_id: str, seed: int) -> list[Stage]:
        """The stages of a row, in the order in which they run.

        Raises:
            UserError: a setting that no run can have, or text to pretrain on that isn't there.
        """
        stages = [*plan(table, row_id, self.profile, seed, self.sources).chain()]
        # That text is asked for only where something reads it.
        if self.profile.unlabelled is not None and any(reads_unlabelled(stage) for stage in stages):
            sources = replace(self.sources, unlabelled=self.unlabelled_digest)
            stages = [*plan(table, row_id, self.profile, seed, sources).chain()]
        return stages

    def kept(self, stage: Stage) -> bool:
        """Whether the store has the stage's result."""
        return self.store.find(stage.name, stage.key) is not None

    def make(self, stage: Stage, label: str) -> Artefact:
        """The stage's result, from the store or made now; the stages that it needs must have been made.

        Raises:
            UserError: the store has lost a stage that it needs, or the stage refuses its settings or data.
        """

        kind = KINDS[stage.name]

        def path_of(source: Stage | str) -> Path | str:
            if not isinstance(source, Stage):
                return source
            found = self.store.find(source.name, source.key)
            if found is None:
                raise UserError(f"the store lost {source.name}/{source.key}", path=self.store.root, hint="run again")
            return found.path

        def build(folder: Path) -> Mapping[str, Any]:
            from replicate.nets.device import set_device

            options = kind.settings(stage.passed)
            if kind.wants_device(options):
                set_device(self.profile.device)
            progress = Progress(f"{label} · {stage.name}", self.quiet)
            started = _now()
            try:
                summary = kind(
                    Inputs(
                        options=options,
                        seed=stage.seed or 0,
                        dataset=self.dataset,
                        sources={port: tuple(map(path_of, taken)) for port, taken in stage.sources.items()},
                        unlabelled=lambda: self.unlabelled,
                        folder=folder,
                        progress=progress,
                    )
                )
            finally:
                progress.close()
            return {**summary, "origin": self.origin(started)}

        return self.store.make(stage.name, stage.identity, build)

    def origin(self, started: str) -> dict[str, Any]:
        """When, where and with what a stage was made; kept with its result, so that reuse does not change it."""
        head, dirty = commit()
        return {
            "started": started,
            "finished": _now(),
            "commit": head,
            "dirty": dirty,
            "versions": versions(),
            "device": device_facts(self.profile.device),
            "machine": machine(),
        }

    def run(self, table: ResultsTable, row_id: str, seed: int) -> Record:
        """Run one row with one seed; a run that diverged is a record too."""
        started = _now()
        stages: list[dict[str, Any]] = []
        status, reason, last = "ok", "", None
        planned = self.planned(table, row_id, seed)
        try:
            for stage in planned:
                artefact = last = self.make(stage, f"{row_id} · seed {seed}")
                summary = {key: value for key, value in artefact.summary.items() if key != "evaluation"}
                stages.append(
                    {
                        "stage": stage.name,
                        "key": artefact.key,
                        "config": dict(stage.options),
                        "passed": dict(stage.passed),
                        "inputs": dict(stage.identity["inputs"]),
                        "seconds": artefact.seconds,
                        "summary": summary,
                    }
                )
        except UserError:
            raise
        except Diverged as error:
            status, reason, last = "diverged", f"{stage.name}: {error}", None
        except Exception as error:
            # Hours of other rows should not be lost with this one; what happened is on record and on the screen.
            traceback.print_exc()
            first = (str(error).splitlines() or [""])[0]
            status, reason, last = "error", f"{stage.name}: {type(error).__name__}: {first}", None
        result: Mapping[str, Any] = {} if last is None else last.summary
        # A stage that was made before probabilities were kept has none.
        nothing = {"counts": {}, "predictions": "", "correct": "", "confidence": "", "probabilities": ""}
        evaluation = {**nothing, **result.get("evaluation", {})}
        origin = result.get("origin") or self.origin(started)
        weights = {key: result[key] for key in ("weights_step0", "weights") if key in result}
        return Record(
            table=table.id,
            row=row_id,
            profile=self.profile.id,
            seed=seed,
            status=status,
            reason=reason,
            command=("replicate", "run", f"{table.id}/{row_id}", "--profile", self.profile.id, "--seeds", str(seed)),
            stages=tuple(stages),
            digests={**self.sources.digests, **weights},
            labels=self.dataset.labels,
            pretrained=pretrained_of(stages),
            parameters=int(result.get("parameters", 0)),
            **origin,
            **evaluation,
        )

    def keep(self, record: Record, folder: Path | None = None) -> Path:
        """Write a record into a folder, by default the one of this runner."""
        return write_record(record, folder or self.records)

    @property
    def records(self) -> Path:
        """Where records are before somebody accepts them into `measured/`; other data has a folder of its own."""
        if self.dataset.name in (kuake.NAME, generated.NAME):
            return self.store.root / "records"
        return self.store.root / "records-of" / f"{self.dataset.name}-{self.dataset.digests['train'][:8]}"


def selected(
    tables: Mapping[str, ResultsTable], profile: Profile, names: tuple[str, ...]
) -> Iterator[tuple[ResultsTable, str]]:
    """The rows that a profile runs, or of those the ones that are named (`row` or `table/row`).

    Raises:
        UserError: a name fits no row, or a row that the profile does not run.
    """
    for table_id in profile.tables:
        if table_id not in tables:
            raise UserError(f"profile {profile.id}: no table {table_id!r}", hint=f"tables: {', '.join(tables)}")
    rows = [
        (tables[table_id], row)
        for table_id in profile.tables
        for row in tables[table_id].rows
        if row.runs_under(profile.id)
    ]
    known = {name for _, row in rows for name in (row.id, row.full_id)}
    for name in names:
        if name not in known:
            raise UserError(
                f"profile {profile.id} runs no row {name!r}", hint=f"rows: {', '.join(row.id for _, row in rows)}"
            )
    for table, row in rows:
        if not names or row.id in names or row.full_id in names:
            yield table, row.id


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
