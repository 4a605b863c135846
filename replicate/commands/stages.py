"""What the commands that run one stage, under the article's names, have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.progress import warn
from replicate.corpus import kuake, load_dataset, own_folder
from replicate.corpus.checkup import MUCH, check_up
from replicate.corpus.formats import Dataset
from replicate.scores.metrics import scores
from replicate.training.optimisation import Diverged


def dataset_of(folder: str | None) -> Dataset:
    """The data set in a folder; KUAKE-QIC without one."""
    dataset = load_dataset(own_folder(folder) if folder else kuake.NAME)
    warn(dataset.notes)
    return dataset


def warn_of_cut(dataset: Dataset, limit: int) -> None:
    """Tell where a net that reads so many tokens of a text leaves out much of these; a character counts as a token."""
    found = check_up(dataset, max(limit, 3))
    if found.lost > MUCH:
        cut = f"{found.cut:.1%} of the texts are longer than {limit} tokens, and {found.lost:.1%} of all is not read"
        warn([f"warning: {cut}"])


def tell(summary: dict[str, Any], folder: Path) -> int:
    """Print what a training of a classifier gave, and where it is."""
    found = scores(summary["evaluation"]["counts"])
    figures = ", ".join(f"{name} {found[name]:.4f}" for name in ("accuracy", "precision", "recall", "f1", "macro_f1"))
    print(f"best at step {summary['best_step']} of {summary['steps']}: {figures}")
    print(f"model in {folder}")
    return 0


def profile_options(name: str, stage: str) -> dict[str, Any]:
    """A stage's settings from a profile, by its name or its file.

    Raises:
        UserError: there is no such profile, or it has no such stage.
    """
    from replicate.tables.profile import load_profile

    profile = load_profile(Path(name).stem, Path(name).parent) if name.endswith(".toml") else load_profile(name)
    if stage not in profile.options:
        raise UserError(f"profile {profile.id} has no [{stage}]", path=name)
    return dict(profile.options[stage])


@contextmanager
def divergence() -> Iterator[None]:
    """A loss that is no longer finite is the user's to mend.

    Raises:
        UserError: it was.
    """
    try:
        yield
    except Diverged as error:
        raise UserError(f"training diverged: {error}", hint="lower --learning_rate") from error
