"""What a row needs: its stages in order, each with the key under which the store keeps its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from replicate.augment.registry import STRATEGIES
from replicate.common.errors import UserError
from replicate.runs.store import key_of
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable

# What a stage's result means; raised when its code changes what comes out, so that older results are not reused.
VERSIONS = {
    "pretrain": 1,
    "sample": 1,
    "duplicate": 1,
    "augment": 1,
    "finetune": 1,
    "prune": 1,
    "distill": 1,
    "svm": 1,
}
# Packages whose version decides what comes out of a stage; the two builds of Paddle have one version.
DECISIVE = ("lac", "numpy", "paddlenlp", "paddlepaddle", "paddlepaddle-gpu", "paddleslim", "scikit-learn")
# Stages that make a training set.
SETS = ("sample", "duplicate", "augment")


@dataclass(frozen=True)
class Sources:
    """What everything starts from, by content.

    Attributes:
        digests: of the data set's parts: `train`, `dev`, `labels`.
        unlabelled: of the text to pretrain on; empty where nothing is pretrained.
        environment: versions of the packages that can decide a result.
        queries: of the data set's own unlabelled text.
    """

    digests: Mapping[str, str]
    unlabelled: str
    environment: Mapping[str, str]
    queries: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage of a chain.

    Attributes:
        name: stage name.
        options: every setting, resolved: the profile's, then the row's.
        seed: None where all seeds share the result.
        train: the stage whose examples it trains on; None for the data set's own.
        model: the stage whose model it starts from, or a PaddleNLP name or folder; None where it needs none.
        identity: everything that determines the result; the store's key is its digest.
    """

    name: str
    options: Mapping[str, Any]
    seed: int | None
    train: Stage | None
    model: Stage | str | None
    identity: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The store's key."""
        return key_of(self.identity)

    def chain(self) -> Iterator[Stage]:
        """The stages that this one needs, each once and before those that need it, itself last."""
        seen: set[str] = set()

        def walk(stage: Stage) -> Iterator[Stage]:
            for source in (stage.train, stage.model):
                if isinstance(source, Stage):
                    yield from walk(source)
            if stage.key not in seen:
                seen.add(stage.key)
                yield stage

        return walk(self)


def own_packages(stage: str, options: Mapping[str, Any]) -> set[str]:
    """Packages that decide this stage's result and not every stage's: those of its augmentation strategies."""
    mix = options.get("mix", {}) if stage in ("augment", "distill") else {}
    used = (STRATEGIES[name].packages for name, weight in mix.items() if weight and name in STRATEGIES)
    return {package for packages in used for package in packages}


def reads_model(stage: str, options: Mapping[str, Any]) -> bool:
    """Whether a stage starts from a model: those that train do, and augmentation by a masked language model."""
    if stage == "augment":
        return bool(options.get("mix", {}).get("ernie_replace"))
    return stage in ("finetune", "prune", "distill")


def reads_unlabelled(stage: str, options: Mapping[str, Any]) -> bool:
    """Whether a stage draws from the unlabelled text, the data set's and the profile's."""
    return stage == "distill" and bool(options.get("unlabelled", True))


def plan(table: ResultsTable, row_id: str, profile: Profile, seed: int, sources: Sources) -> Stage:
    """The last stage of a row's chain under a profile and seed.

    Raises:
        UserError: the row has no recipe, or a stage that nothing is known of here.
    """
    row = table.row(row_id)
    if not row.recipe:
        raise UserError(f"row {row.full_id} is not run: {row.not_run}")

    def stage(
        name: str, options: Mapping[str, Any], at: int | None, train: Stage | None, model: Stage | str | None
    ) -> Stage:
        if name not in VERSIONS:
            raise UserError(f"row {row.full_id}: this version has no stage {name!r}")
        resolved = {**profile.options.get(name, {}), **options}
        data = {"unlabelled": sources.unlabelled} if name == "pretrain" else dict(sources.digests)
        if reads_unlabelled(name, resolved):
            data |= {"unlabelled": sources.unlabelled, "queries": sources.queries}
        if train is not None:
            data["train"] = train.key
        inputs = {**data, "model": model.key if isinstance(model, Stage) else model}
        identity = {
            "stage": name,
            "version": VERSIONS[name],
            "options": resolved,
            "seed": at,
            "inputs": inputs,
            "device": profile.device,
            "environment": {
                package: sources.environment[package]
                for package in (*DECISIVE, *own_packages(name, resolved))
                if package in sources.environment
            },
        }
        return Stage(name, resolved, at, train, model, identity)

    train: Stage | None = None
    model: Stage | str | None = profile.model
    last: Stage | None = None
    for step in table.chain(row_id):
        needs_model = reads_model(step.stage, {**profile.options.get(step.stage, {}), **step.options})
        if needs_model and model is None:
            model = stage("pretrain", {}, None, None, None)
        last = stage(step.stage, step.options, seed, train, model if needs_model else None)
        if step.stage in SETS:
            train = last
        elif needs_model:
            model = last
    assert last is not None
    return last
