"""Profiles: how a table is run - model, data, seeds, device and every hyper-parameter (`profiles/*.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from replicate.common.checks import LARGEST_SEED, check_device
from replicate.common.errors import UserError
from replicate.common.paths import PROFILES
from replicate.common.toml import TomlTable, read_toml
from replicate.corpus import own_folder
from replicate.stages.kind import Kind, fault_of
from replicate.stages.registry import KINDS

SCHEMA = 1
DEVICES = ("cpu", "gpu")
MOST_NETS = 100
KEYS = (
    "schema",
    "id",
    "question",
    "comparable",
    "reason",
    "device",
    "dataset",
    "seeds",
    "nets",
    "tables",
    "model",
    "unlabelled",
)


@dataclass(frozen=True)
class Profile:
    """How the rows of some tables are run.

    Attributes:
        question: what running it answers.
        comparable: measured values may stand beside published ones; else `reason` says why not.
        device: `cpu` or `gpu`.
        dataset: `kuake-qic`, `generated` or a folder.
        seeds: one run of every row for each.
        tables: ids of the tables that it runs.
        model: PaddleNLP name or model folder to start from; None starts from the `pretrain` stage.
        nets: how many nets are pretrained; seeds descend from them in turn. One where it starts from a named model.
        unlabelled: text to pretrain on: `generated`, `REPLICATE_UNLABELLED` (a file that this variable names), or a
            file; None where nothing is pretrained.
        options: settings of each stage, by stage.
        seeds_named: the seeds are those that somebody asks for, not the profile's own.
    """

    id: str
    question: str
    comparable: bool
    reason: str
    device: str
    dataset: str
    seeds: tuple[int, ...]
    tables: tuple[str, ...]
    model: str | None
    unlabelled: str | None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nets: int = 1
    seeds_named: bool = False

    def changed(
        self, *, seeds: tuple[int, ...] | None = None, device: str | None = None, dataset: str | None = None
    ) -> Profile:
        """The profile with what the command line overrides; another data set, a folder, makes nothing comparable.

        Raises:
            UserError: no such device.
        """
        if device is not None:
            check_device(device)
        dataset = own_folder(dataset) if dataset else None
        other = dataset is not None and dataset != self.dataset
        return replace(
            self,
            seeds=seeds or self.seeds,
            seeds_named=self.seeds_named or bool(seeds),
            device=device or self.device,
            dataset=dataset or self.dataset,
            comparable=self.comparable and not other,
            reason="another data set than the published one" if other else self.reason,
        )


def profile_ids(folder: Path = PROFILES) -> tuple[str, ...]:
    """Names of the profiles that exist."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_profile(name: str, folder: Path = PROFILES) -> Profile:
    """Load and validate `profiles/<name>.toml`.

    Raises:
        UserError: there is none, or it is not valid; names the file and the key.
    """
    path = folder / f"{name}.toml"
    if name not in profile_ids(folder):
        raise UserError(f"no profile {name!r}", path=path, hint=f"profiles: {', '.join(profile_ids(folder))}")
    top = read_toml(path)
    top.only(*KEYS, *KINDS)
    if top.whole("schema") != SCHEMA:
        raise top.fault("schema", f"this version reads {SCHEMA}")
    if top.identifier("id") != name:
        raise top.fault("id", f"the file is called {path.name}")
    if not isinstance(top.data.get("comparable"), bool):
        raise top.fault("comparable", "not true or false")
    model, unlabelled = top.optional_text("model"), top.optional_text("unlabelled")
    if (model is None) != ("pretrain" in top.data) or (model is None) != (unlabelled is not None):
        raise top.fault("model", "name a model, or give [pretrain] and the unlabelled text to make one from")
    return Profile(
        id=name,
        question=top.text("question"),
        comparable=top.data["comparable"],
        reason="" if top.data["comparable"] else top.text("reason"),
        device=top.choice("device", DEVICES),
        dataset=top.text("dataset"),
        seeds=_seeds(top),
        tables=top.texts("tables"),
        model=model,
        unlabelled=unlabelled,
        nets=_nets(top, model),
        options={name: _settings(top.section(name), kind) for name, kind in KINDS.items() if name in top.data},
    )


def _settings(section: TomlTable, kind: Kind) -> Mapping[str, Any]:
    for key, value in section.data.items():
        if fault := fault_of(kind.options, key, value):
            raise section.fault(key, fault)
    return section.data


def _nets(top: TomlTable, model: str | None) -> int:
    nets = top.whole("nets") if "nets" in top.data else 1
    if not 1 <= nets <= MOST_NETS:
        raise top.fault("nets", f"not 1 to {MOST_NETS}: {nets}")
    if nets > 1 and model is not None:
        raise top.fault("nets", f"{model!r} is one net, however often it is loaded")
    return nets


def _seeds(top: TomlTable) -> tuple[int, ...]:
    seeds = top.data.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and 0 <= s <= LARGEST_SEED for s in seeds):
        raise top.fault("seeds", f"not a list of whole numbers up to {LARGEST_SEED}")
    if len(set(seeds)) != len(seeds):
        raise top.fault("seeds", "a seed twice is one run counted twice")
    return tuple(seeds)
