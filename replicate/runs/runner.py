"""Run rows: every stage through the store, one record for each row and seed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from replicate.common.checks import kind_of_device
from replicate.common.cores import stage_threads
from replicate.common.errors import UserError
from replicate.common.paths import MEASURED
from replicate.common.progress import Progress
from replicate.corpus import BUILT_IN, generated, load_dataset
from replicate.corpus.formats import DATA, Dataset
from replicate.corpus.unlabelled import UNLABELLED, own_lines, unlabelled_lines
from replicate.nets import upstream
from replicate.nets.named import content_of, fetch_named, named
from replicate.records.facts import commit, device_facts, machine, now, versions
from replicate.records.run import Record, pretrained_of, write_record
from replicate.runs.artefact import Artefact
from replicate.runs.ask import Ask
from replicate.runs.executor import Executor, Failed, Made, NotRun, Outcome, Refused, jobs_of
from replicate.runs.plan import Planner, Sources, Stage
from replicate.runs.sequential import Sequential
from replicate.runs.shipped import shipped, take
from replicate.runs.store import Store
from replicate.stages.distill.transfer_set import spare_texts
from replicate.stages.kind import Inputs
from replicate.stages.pretrain import LEAST_LINES
from replicate.stages.registry import KINDS
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable

# A process that holds less has small nets, and more to lose than to gain by looking for them.
MEMORY = 2 << 30


@dataclass
class Runner:
    """Runs rows of tables under one profile.

    Attributes:
        profile: what to run with.
        store: where results are kept.
        quiet: show no progress.
        offline: open no connection.
        measured: the folder of accepted records, where pretrained nets may lie too.
        progress: makes what is told of a stage's steps, by its label; without it they are shown here.
    """

    profile: Profile
    store: Store
    quiet: bool = False
    offline: bool = False
    measured: Path = field(default_factory=lambda: MEASURED)
    progress: Callable[[str], Progress] | None = None
    # By the key of a stage that was looked at, what the data lack for it.
    _lacking: dict[str, str] = field(default_factory=dict, init=False)

    @cached_property
    def dataset(self) -> Dataset:
        """The profile's data."""
        return load_dataset(self.profile.dataset, self.offline)

    @cached_property
    def unlabelled(self) -> tuple[str, ...]:
        """Lines to pretrain on; none where the profile starts from a named model. Own data bring their own.

        Raises:
            UserError: the text that the profile or the user names isn't there.
        """
        if self.profile.unlabelled is None:
            return ()
        if self.on_article or self.profile.unlabelled not in (generated.NAME, UNLABELLED):
            return unlabelled_lines(self.profile.unlabelled)
        return own_lines(self.dataset)

    def under(self, profile: Profile) -> Runner:
        """The same with another profile of the same data, which are read once; plans hang on the profile."""
        other = replace(self, profile=profile)
        other.dataset = self.dataset
        return other

    @property
    def on_article(self) -> bool:
        """Whether the data are the profile's own, and not a user's."""
        return self.profile.dataset in BUILT_IN

    def lacks(self, last: Stage) -> str:
        """What these data lack for a stage and those that it needs, in words; empty where nothing.

        Raises:
            UserError: the text that the profile or the user names isn't there.
        """
        for stage in last.chain(self._lacking):
            before = [self._lacking[one.key] for one in stage.parents()]
            self._lacking[stage.key] = next(filter(None, before), "") or self._lacks(stage)
        return self._lacking[last.key]

    def _lacks(self, stage: Stage) -> str:
        train = self.dataset.train
        options = KINDS[stage.name].settings(stage.passed)
        if stage.name == "sample" and options.examples > len(train):
            return f"{options.examples} training texts, of which there are {len(train)}"
        if stage.name == "shots":
            texts_of = Counter(train.labels)
            least = min(texts_of[label] for label in range(len(self.dataset.labels)))
            if options.per_class > least:
                return f"{options.per_class} training texts of each label, and one has {least}"
        if stage.name == "pretrain" and len(self.unlabelled) < LEAST_LINES:
            return f"{LEAST_LINES} lines to pretrain on, of which there are {len(self.unlabelled)}"
        if stage.name == "distill" and options.unlabelled:
            there = len(spare_texts((*self.dataset.unlabelled, *self.unlabelled), train, self.dataset.dev.texts))
            wanted = round(options.unlabelled * len(train))
            if not there or (self.on_article and wanted > there):
                return f"{wanted} unlabelled texts beside the data set's own, of which there are {there}"
        return ""

    @cached_property
    def unlabelled_digest(self) -> str:
        """SHA-256 of the lines to pretrain on."""
        return hashlib.sha256("\n".join(self.unlabelled).encode()).hexdigest()

    @cached_property
    def sources(self) -> Sources:
        """Digests of the data and versions of the packages."""
        digests = {part: value for part, value in self.dataset.digests.items() if part != "unlabelled"}
        environment = {name.removesuffix("-gpu"): version for name, version in versions().items()}
        if self.profile.device.startswith("gpu") and os.environ.get(upstream.TF32, "0") != "0":
            environment["tf32"] = os.environ[upstream.TF32]
        text, threads = self.dataset.digests["unlabelled"], stage_threads()
        return Sources(digests, "", environment, text, content_of, self.on_article, threads, self._carried)

    def _carried(self, stage: Stage) -> bool:
        return shipped(stage, self.measured) is not None

    def planned(self, table: ResultsTable, row_id: str, seed: int) -> list[Stage]:
        """The stages of a row, in the order in which they run.

        Raises:
            UserError: a setting that no run can have, or text to pretrain on that isn't there.
        """
        return [*self.last(table, row_id, seed).chain()]

    def last(self, table: ResultsTable, row_id: str, seed: int) -> Stage:
        """The last stage of a row; what rows share is built once.

        Raises:
            UserError: a setting that no run can have, or text to pretrain on that isn't there.
        """
        last = self._planner.last(table, row_id, seed)
        # That text is asked for only where something reads it.
        if last.reads_text and self.profile.unlabelled is not None:
            return self._planner_with_text.last(table, row_id, seed)
        return last

    @cached_property
    def _planner(self) -> Planner:
        return Planner(self.profile, self.sources)

    @cached_property
    def _planner_with_text(self) -> Planner:
        return Planner(self.profile, replace(self.sources, unlabelled=self.unlabelled_digest))

    def there(self, stage: Stage, label: str) -> Artefact | None:
        """The stage's result, as far as the store or the checkout has it; UserError as in `make`."""
        take(stage, self.measured, self.store, label)
        return self.store.find(stage.name, stage.key)

    def kept(self, stage: Stage) -> bool:
        """Whether the store has the stage's result, or can take it in."""
        return self.store.find(stage.name, stage.key) is not None or self._carried(stage)

    def make(self, stage: Stage, label: str) -> Artefact:
        """The stage's result, from the store or the checkout's nets, or made now; what it needs must have been made.

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
            from replicate.nets.device import stage_on

            options = kind.settings(stage.passed)
            with stage_on(self.profile.device, kind.wants_device(options)):
                name = f"{label} · {stage.name}"
                progress = self.progress(name) if self.progress else Progress(name, self.quiet)
                started = now()
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
                except Refused:
                    raise
                except UserError as error:
                    raise Refused(str(error)) from error
                finally:
                    progress.close()
                    upstream.give_memory_back(above=MEMORY)
                return {**summary, "origin": self.origin(started)}

        take(stage, self.measured, self.store, label)
        return self.store.make(stage.name, stage.identity, build)

    def origin(self, started: str) -> dict[str, Any]:
        """When, where and with what a stage was made; kept with its result, so that reuse does not change it."""
        head, dirty = commit()
        device = device_facts(self.profile.device)
        if kind_of_device(self.profile.device) == "cpu":
            # Of a stage that failed elsewhere: this process may compute with others.
            device["threads"] = stage_threads()
        return {
            "started": started,
            "finished": now(),
            "commit": head,
            "dirty": dirty,
            "versions": versions(),
            "device": device,
            "machine": machine(),
        }

    def drive(self, asks: Sequence[Ask], executor: Executor | None = None) -> Iterator[Record]:
        """Run rows: this is the loop behind every command that does.

        Faults of data and settings are told before anything runs. A record comes, and lies in `records`, as soon as its
        row has run; a row that failed has one too.

        Args:
            asks: the rows and seeds.
            executor: what runs their stages; this process, one after another, without it.

        Raises:
            UserError: something that no other row would survive either.
            Stopped: the user wants no more.
        """
        for record in self._records(asks, executor):
            self.keep(record)
            yield record

    def run(self, table: ResultsTable, row_id: str, seed: int) -> Record:
        """Run one row with one seed, and keep no record of it."""
        return next(self._records([Ask(table, row_id, seed)]))

    def _records(self, asks: Sequence[Ask], executor: Executor | None = None) -> Iterator[Record]:
        plans = self._plans(asks)
        for ask, last in plans:
            if lack := self.lacks(last):
                raise UserError(f"row {ask.full_id} needs {lack}", hint="leave the row out, or name other data")
        jobs = jobs_of((ask.label, last) for ask, last in plans)
        names = {name for job in jobs for name in _named(job.stage)}
        if missing := [one for name in sorted(names) if not content_of(name) and (one := named(name))]:
            for one in missing:
                fetch_named(one)
            # Their digests are part of the keys, and what is planned is without them.
            vars(self).pop("_planner", None)
            vars(self).pop("_planner_with_text", None)
            plans = self._plans(asks)
            jobs = jobs_of((ask.label, last) for ask, last in plans)
        waiting: dict[str, list[tuple[Ask, Stage]]] = {}
        for ask, last in plans:
            waiting.setdefault(last.key, []).append((ask, last))
        outcomes: dict[str, Outcome] = {}
        for outcome in (executor or Sequential(self.make, self.quiet)).execute(jobs):
            outcomes[outcome.stage.key] = outcome
            for ask, last in waiting.pop(outcome.stage.key, ()):
                yield self.record(ask, [outcomes[stage.key] for stage in last.chain()])

    def _plans(self, asks: Sequence[Ask]) -> list[tuple[Ask, Stage]]:
        return [(ask, self.last(ask.table, ask.row, ask.seed)) for ask in asks]

    def record(self, ask: Ask, outcomes: Sequence[Outcome]) -> Record:
        """What is on record of a row and seed whose stages came to these outcomes; the last one is the row's own."""
        stages = [outcome.recorded() for outcome in outcomes if isinstance(outcome, Made)]
        last = outcomes[-1]
        failed = last.because if isinstance(last, NotRun) else last if isinstance(last, Failed) else None
        status, reason = (failed.status, f"{failed.stage.name}: {failed.reason}") if failed else ("ok", "")
        started = failed.started if failed else now()
        result: Mapping[str, Any] = last.artefact.summary if isinstance(last, Made) else {}
        # What only prints needs no NumPy.
        from replicate.scores.evaluation import RECORDED

        # A stage that was made before probabilities were kept has none.
        found = {"counts": {}, **result.get("evaluation", {})}
        evaluation = {name: found.get(name, "") for name in RECORDED}
        origin = result.get("origin") or self.origin(started)
        weights = {key: result[key] for key in ("weights_step0", "weights") if key in result}
        return Record(
            table=ask.table.id,
            row=ask.row,
            profile=self.profile.id,
            seed=ask.seed,
            status=status,
            reason=reason,
            command=self.command(ask),
            stages=tuple(stages),
            digests={**self.sources.digests, **weights},
            labels=self.dataset.labels,
            pretrained=pretrained_of(stages),
            parameters=int(result.get("parameters", 0)),
            **origin,
            **evaluation,
        )

    def command(self, ask: Ask) -> tuple[str, ...]:
        """What makes a row's record again."""
        words = ("replicate", "run", ask.full_id, "--profile", self.profile.id, "--seeds", str(ask.seed))
        return words if self.on_article else (*words, "--dataset_dir", self.profile.dataset)

    def keep(self, record: Record, folder: Path | None = None) -> Path:
        """Write a record into a folder, by default the one of this runner."""
        return write_record(record, folder or self.records)

    @property
    def records(self) -> Path:
        """Where records are before somebody accepts them into `measured/`; other data has a folder of its own."""
        if self.on_article:
            return self.store.root / "records"
        parts = "".join(self.dataset.digests[part] for part in DATA)
        digest = hashlib.sha256(parts.encode()).hexdigest()
        return self.store.root / "records-of" / f"{self.dataset.name}-{digest[:8]}"


def _named(stage: Stage) -> Iterator[str]:
    """The nets that a stage starts from by their names."""
    return (source for taken in stage.sources.values() for source in taken if isinstance(source, str))
