"""What a row needs: a graph of stages, each with the key under which the store keeps its result."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from replicate.common.checks import kind_of_device
from replicate.common.errors import UserError
from replicate.records.strata import member_seeds, net_of
from replicate.runs.artefact import key_of
from replicate.stages.kind import Kind, Port
from replicate.stages.registry import KINDS
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row

# Packages whose version decides what comes out of every stage; the two builds of Paddle have one version. TF32 is there
# only where somebody switched it on.
DECISIVE = ("lac", "numpy", "paddlenlp", "paddlepaddle", "paddlepaddle-gpu", "paddleslim", "scikit-learn", "tf32")


# Of the first results, whose keys name none.
_FROZEN_THREADS = 1


def _unknown(_: str) -> str:
    """The digest of files that nobody has looked for."""
    return ""


def _not_carried(_: Stage) -> bool:
    """A checkout without nets."""
    return False


@dataclass(frozen=True)
class Sources:
    """What everything starts from, by content.

    Attributes:
        digests: of the data set's parts: `train`, `dev`, `labels`.
        unlabelled: of the text to pretrain on; empty where nothing is pretrained.
        environment: versions of the packages that can decide a result.
        queries: of the data set's own unlabelled text.
        content: gives that of a named net's files by its name; empty where they are not there yet.
        article: the data are those that the tables are about, or stand for them.
        threads: that train a stage on a CPU.
        carried: whether the checkout carries a pretrained net's folder.
    """

    digests: Mapping[str, str]
    unlabelled: str
    environment: Mapping[str, str]
    queries: str = ""
    content: Callable[[str], str] = _unknown
    article: bool = True
    threads: int = _FROZEN_THREADS
    carried: Callable[[Stage], bool] = _not_carried


@dataclass(frozen=True)
class Stage:
    """One stage of a plan.

    Attributes:
        name: of its kind.
        options: every setting, defaults too.
        passed: the settings that the profile and the row say.
        seed: None where all seeds share the result.
        sources: by port, the stages that it starts from, or the PaddleNLP name or folder of a model; a port that takes
            what the data set or nobody gives is not in it.
        identity: everything that determines the result; the store's key is its digest.
        reads_text: whether the profile's unlabelled text decides it, or something that it starts from.
    """

    name: str
    options: Mapping[str, Any]
    passed: Mapping[str, Any]
    seed: int | None
    sources: Mapping[str, tuple[Stage | str, ...]]
    identity: Mapping[str, Any]
    reads_text: bool = False

    @cached_property
    def key(self) -> str:
        """The store's key."""
        return key_of(self.identity)

    def one(self, port: str) -> Stage | str | None:
        """What a port that takes one thing takes."""
        found = self.sources.get(port, ())
        return found[0] if found else None

    def parents(self) -> Iterator[Stage]:
        """The stages that it starts from, in the order of its ports."""
        return (source for port in self.sources.values() for source in port if isinstance(source, Stage))

    def chain(self, known: Container[str] = ()) -> Iterator[Stage]:
        """The stages that this one needs, each once and before those that need it, itself last.

        Args:
            known: keys of stages that are left out, with what they need; the caller may add what it was given.
        """
        done: set[str] = set()
        # A stack in place of recursion: a table may hold a chain of thousands.
        waiting = [(self, False)]
        while waiting:
            stage, ready = waiting.pop()
            if stage.key in done or stage.key in known:
                continue
            if ready:
                done.add(stage.key)
                yield stage
                continue
            waiting.append((stage, True))
            waiting += [(parent, False) for parent in reversed([*stage.parents()])]


def _gives(stage: Stage) -> str:
    """What a stage gives; of scores no net can be made, only scores."""
    kind = KINDS[stage.name]
    members = [one for port in kind.ports if port.many for one in stage.sources.get(port.name, ())]
    if kind.gives == "net" and any(isinstance(one, Stage) and _gives(one) == "scores" for one in members):
        return "scores"
    return kind.gives


@dataclass(frozen=True)
class _Branch:
    """What a row has come to: by what stages give, those that the next stage may take; and the outcome of each parent.

    None among the examples is the data set's own training set. `model` is the named net that it starts from, where the
    first row names one of its own.
    """

    found: Mapping[str, tuple[Stage | str | None, ...]] = field(default_factory=lambda: {"examples": (None,)})
    outcomes: tuple[Stage, ...] = ()
    model: str | None = None

    def after(self, stage: Stage) -> _Branch:
        """The branch once a stage has run; after one that takes several parents, nothing of theirs is left over."""
        several = any(port.many for port in KINDS[stage.name].ports)
        # Where it gave no net, the next stage must not go on from the profile's own.
        found = {**_Branch().found, "net": ()} if several else self.found
        return _Branch({**found, _gives(stage): (stage,)}, (stage,), self.model)


@dataclass(frozen=True)
class _Run:
    """What all stages of a plan have in common."""

    profile: Profile
    seed: int
    sources: Sources

    def start(self, model: str | None) -> Stage | str:
        """What the first stage that needs a net starts from: pretrained here, or a named one, the row's own if any."""
        return self.pretrained if self.profile.model is None else model or self.profile.model

    @cached_property
    def pretrained(self) -> Stage:
        """The net that the profile pretrains for the seed."""
        passed = dict(self.profile.options.get("pretrain", {}))
        # The first net is the one that a profile of one net has, with the key that it has there.
        if net := net_of(self.seed, self.profile.nets):
            passed["seed"] = passed.get("seed", 0) + net
        # A net that is there is the one to go on with, whatever number of threads comes after it.
        carried = self.stage("pretrain", passed, _Branch(), _FROZEN_THREADS)
        if self.sources.threads == _FROZEN_THREADS or self.sources.carried(carried):
            return carried
        return self.stage("pretrain", passed, _Branch())

    def identity(self, source: Stage | str) -> str:
        """What stands in a key for what a stage starts from: a name may be another net's on another machine."""
        if isinstance(source, Stage):
            return source.key
        content = self.sources.content(source)
        return f"{source}@{content}" if content else source

    def stage(self, name: str, passed: Mapping[str, Any], branch: _Branch, threads: int = 0) -> Stage:
        """A stage after a branch, with everything that determines its result; `threads` in place of the sources'."""
        kind, sources = KINDS[name], self.sources
        options = kind.settings(passed)
        if not sources.article and getattr(options, "select", "") == "f1":
            # Class 1 is the article's; of other data it is whatever label happens to be the second.
            passed = {**passed, "select": "macro_f1"}
            options = kind.settings(passed)
        settings, taken = asdict(options), _taken(self, kind, options, branch)
        known = {**sources.digests, "unlabelled": sources.unlabelled, "queries": sources.queries}
        read = kind.reads(options)
        inputs: dict[str, Any] = {part: known[part] for part in read if part in known}
        # Every identity has had a model since the first, also that of a stage that takes none.
        inputs["model"] = None
        for port in kind.ports:
            digests = [self.identity(source) for source in taken.get(port.name, ())]
            if digests:
                inputs[port.name] = digests if port.many else digests[0]
        at = self.seed if kind.seeded else None
        device, threads = kind_of_device(self.profile.device), threads or sources.threads
        packages = [*DECISIVE, *sorted(kind.packages(options))]
        identity = {
            "stage": name,
            "version": kind.version,
            "options": kind.keyed(settings, passed),
            "seed": at,
            "inputs": inputs,
            "device": device,
            "environment": {one: sources.environment[one] for one in packages if one in sources.environment},
        }
        if device == "cpu" and kind.wants_device(options) and threads != _FROZEN_THREADS:
            identity["threads"] = threads
        stages = [source for port in taken.values() for source in port if isinstance(source, Stage)]
        reads_text = "unlabelled" in read or any(one.reads_text for one in stages)
        return Stage(name, settings, dict(passed), at, taken, identity, reads_text)


class Planner:
    """Plans rows under a profile; a stage that rows share is built once."""

    def __init__(self, profile: Profile, sources: Sources) -> None:
        self._profile = profile
        self._sources = sources
        self._runs: dict[int, _Run] = {}
        # By table and seed, what each row has come to.
        self._branches: dict[tuple[str, int], dict[str, _Branch]] = {}

    def last(self, table: ResultsTable, row_id: str, seed: int) -> Stage:
        """The last stage of a row's graph; a table's id stands for the same table each time.

        Raises:
            UserError: the row has no recipe, a setting that no run can have, or a stage that its parents don't fit.
        """
        row = table.row(row_id)
        if not row.recipe:
            raise UserError(f"row {row.full_id} is not run: {row.not_run}")
        return self._branch(table, row_id, seed).outcomes[0]

    def _branch(self, table: ResultsTable, row_id: str, seed: int) -> _Branch:
        """What a row has come to. It recurs once at most: no row with members descends from another one."""
        run = self._runs.setdefault(seed, _Run(self._profile, seed, self._sources))
        branches = self._branches.setdefault((table.id, seed), {})
        for one in table.lineage(row_id, branches):
            seeds = member_seeds(seed, one.members, self._profile.nets) if one.members > 1 else (seed,)
            parents = [self._branch(table, parent, at) for parent in one.parents for at in seeds]
            branches[one.id] = _with_recipe(run, one, _joined(parents))
        return branches[row_id]


def model_of(table: ResultsTable, row_id: str, profile: Profile) -> str | None:
    """The named net that a row starts from under a profile; None where the profile pretrains one for every row."""
    return None if profile.model is None else table.model(row_id) or profile.model


def plan(table: ResultsTable, row_id: str, profile: Profile, seed: int, sources: Sources) -> Stage:
    """The last stage of one row's graph under a profile and seed.

    Raises:
        UserError: see `Planner.last`.
    """
    return Planner(profile, sources).last(table, row_id, seed)


def _with_recipe(run: _Run, row: Row, branch: _Branch) -> _Branch:
    """The branch once a row's recipe has run."""
    branch = replace(branch, model=row.model or branch.model)
    for step in row.recipe:
        if step.stage not in KINDS:
            raise UserError(f"row {row.full_id}: this version has no stage {step.stage!r}")
        passed = {**run.profile.options.get(step.stage, {}), **step.options}
        try:
            branch = branch.after(run.stage(step.stage, passed, branch))
        except UserError as error:
            where = f"row {row.full_id}, stage {step.stage} under profile {run.profile.id}"
            raise UserError(f"{where}: {error}") from None
    return branch


def _joined(parents: Sequence[_Branch]) -> _Branch:
    """Where a row with these parents begins: what they have in common once, what differs side by side."""
    if not parents:
        return _Branch()
    found: dict[str, tuple[Stage | str | None, ...]] = {}
    for gives in dict.fromkeys(gives for parent in parents for gives in parent.found):
        one_each = {_identity(source): source for parent in parents for source in parent.found.get(gives, ())}
        found[gives] = tuple(one_each.values())
    outcomes = tuple(outcome for parent in parents for outcome in parent.outcomes)
    return _Branch(found, outcomes, next((parent.model for parent in parents if parent.model), None))


def _identity(source: Stage | str | None) -> str | None:
    return source.key if isinstance(source, Stage) else source


def _taken(run: _Run, kind: Kind, options: Any, branch: _Branch) -> Mapping[str, tuple[Stage | str, ...]]:
    """What each port of a stage takes; a port that takes the data set's own training set is left out."""
    taken = {}
    for port in kind.ports:
        if port.when(options) and (found := _at(port, run, branch)):
            taken[port.name] = found
    return taken


def _at(port: Port, run: _Run, branch: _Branch) -> tuple[Stage | str, ...]:
    if port.many:
        fitting = tuple(one for one in branch.outcomes if _gives(one) in port.takes)
        if not fitting or len(fitting) < len(branch.outcomes):
            raise UserError(f"{port.name} takes {' or '.join(port.takes)} of each parent, and not all of them give it")
        return fitting
    found = tuple(one for gives in port.takes for one in branch.found.get(gives, ()))
    if len(found) > 1:
        raise UserError(f"it takes one {port.name}, and what it descends from gives {len(found)}")
    if not found and "net" in port.takes and "net" not in branch.found:
        return (run.start(branch.model),)
    if not found:
        raise UserError(f"nothing before it gives its {port.name}")
    return tuple(one for one in found if one is not None)
