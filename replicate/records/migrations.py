"""Records of older schemas as today's: one pure function for each step, which no later change of the code may touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = 2

# The settings that a stage of schema 1 ran with where neither profile nor row said another: schema 1 did not keep them.
# None of them changed while it was written; for a setting that was added then, this is what was done before.
_DEFAULTS_1: Mapping[str, Mapping[str, Any]] = {
    "pretrain": {
        "passes": 8.0,
        "dropout": 0.0,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "warmup_proportion": 0.06,
        "weight_decay": 0.01,
        "mask_probability": 0.15,
        "heldout": 0.01,
        "max_seq_length": 64,
        "minimum_count": 2,
        "seed": 0,
    },
    "augment": {
        "copies": 4,
        "unk_token": "\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}",
        "article": False,
        "per_copy": False,
    },
    "finetune": {
        "start": "model",
        "learning_rate": 6e-5,
        "batch_size": 16,
        "epochs": 10,
        "max_seq_length": 128,
        "warmup_proportion": 0.1,
        "weight_decay": 0.01,
        "early_stop_nums": 4,
        "select": "accuracy",
        "evaluations_per_epoch": 1,
        "batching": "random",
    },
    "prune": {
        "learning_rate": 3e-5,
        "batch_size": 32,
        "epochs": 5,
        "max_seq_length": 128,
        "warmup_proportion": 0.0,
        "weight_decay": 0.0,
        "save_steps": 50,
        "select": "f1",
        "batching": "random",
        "importance": "dev",
        "engine": "paddlenlp",
        "depth": "1",
        "start": "parent",
        "targets": "teacher",
    },
    "distill": {
        "shape": {},
        "start": "random",
        "alpha": 0.9,
        "temperature": 2.0,
        "copies": 4,
        "unlabelled": 0.25,
        "mix": {"word_unk": 0.375, "word_pos": 0.375, "n_sampling": 0.25},
        "learning_rate": 1e-3,
        "batch_size": 64,
        "epochs": 6,
        "max_seq_length": 128,
        "warmup_proportion": 0.1,
        "weight_decay": 0.01,
        "early_stop_nums": 0,
        "select": "accuracy",
        "evaluations_per_epoch": 1,
        "batching": "length",
    },
}


def migrate(value: Any) -> Any:
    """The JSON of a record in today's schema, as far as it is a record; what it is not is left for the check to find.

    Args:
        value: a JSON value; it stays as it is.

    Raises:
        ValueError: it has a key that its own schema has not.
    """
    while isinstance(value, dict) and type(schema := value.get("schema")) is int and schema in MIGRATIONS:
        value = MIGRATIONS[schema](value)
    return value


def from_1(value: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 2 of a record of schema 1.

    What a stage called `config` was what profile and row said, now `passed`. No probabilities were kept.
    """
    _refuse(value, "", "pretrained", "probabilities")
    found = {**value, "schema": 2, "pretrained": "", "probabilities": ""}
    if not isinstance(value.get("stages"), list):
        return found
    stages = []
    for number, stage in enumerate(value["stages"]):
        if isinstance(stage, dict):
            _refuse(stage, f"stages[{number}].", "passed")
            name, passed, summary = stage.get("stage"), stage.get("config"), stage.get("summary")
            if isinstance(name, str) and isinstance(passed, dict):
                stage = {**stage, "config": {**_DEFAULTS_1.get(name, {}), **passed}, "passed": passed}
            weights = summary.get("weights") if isinstance(summary, dict) else None
            if name == "pretrain" and isinstance(weights, str) and not found["pretrained"]:
                found["pretrained"] = weights
        stages.append(stage)
    return {**found, "stages": stages}


MIGRATIONS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: from_1}


def _refuse(item: Mapping[str, Any], prefix: str, *later: str) -> None:
    for key in later:
        if key in item:
            raise ValueError(f"{prefix}{key}: unknown key")
