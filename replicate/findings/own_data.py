"""What somebody's own data look like to the nets of a profile."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.corpus.checkup import Checkup, check_up
from replicate.corpus.formats import Dataset
from replicate.nets.tokens import build_vocabulary
from replicate.stages.finetune import FinetuneOptions
from replicate.stages.pretrain import PretrainOptions
from replicate.tables.profile import Profile


def own_checkup(dataset: Dataset, profile: Profile, lines: Sequence[str]) -> Checkup:
    """The data beside the length and the vocabulary of the profile's nets.

    Args:
        dataset: the data.
        profile: what they are run with.
        lines: text that the net is pretrained on, whose characters are its vocabulary; a named net's is not looked at.
    """
    limit = profile.options.get("finetune", {}).get("max_seq_length", FinetuneOptions.max_seq_length)
    if profile.unlabelled is None:
        return check_up(dataset, limit)
    least = profile.options["pretrain"].get("minimum_count", PretrainOptions.minimum_count)
    return check_up(dataset, limit, set(build_vocabulary(lines, least)))
