"""Pretrained nets that a checkout carries below `measured/<profile>/nets/`, each as the folder that a store has of it.

With them a plan that was begun on one machine goes on with the same nets on another.
"""

from __future__ import annotations

import sys
from pathlib import Path

from replicate.common.errors import UserError
from replicate.records.run import NETS
from replicate.runs.artefact import MANIFEST, Damaged
from replicate.runs.plan import Stage
from replicate.runs.store import Store

PRETRAIN = "pretrain"


def shipped(stage: Stage, measured: Path) -> Path | None:
    """The folder of a pretrained net of that key, whichever profile it is kept with; None where there is none."""
    if stage.name != PRETRAIN:
        return None
    return next((path.parent for path in sorted(measured.glob(f"*/{NETS}/{stage.key}/{MANIFEST}"))), None)


def take(stage: Stage, measured: Path, store: Store, label: str) -> None:
    """Has the store take the net in, where the checkout carries one that the store lacks, and says so in one line.

    Raises:
        UserError: it isn't what its manifest says, or the store can't be written.
    """
    folder = shipped(stage, measured)
    if folder is None or store.find(stage.name, stage.key):
        return
    try:
        store.adopt(stage.name, stage.key, folder)
    except Damaged as error:
        hint = "get it again (git checkout), or delete its folder to pretrain another"
        raise UserError(f"the net is damaged: {error}", path=folder, hint=hint) from None
    print(f"{label} · {stage.name}: taken from {folder}", file=sys.stderr)
