"""What somebody's own data look like to the nets of a profile, and what an audit finds in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replicate.audit.audit import Audit, audit
from replicate.audit.part import part_of
from replicate.corpus.checkup import Checkup, check_up
from replicate.corpus.formats import Dataset
from replicate.nets.tokens import build_vocabulary
from replicate.stages.finetune import FinetuneOptions
from replicate.stages.pretrain import PretrainOptions
from replicate.tables.profile import Profile


@dataclass(frozen=True)
class OwnAudit:
    """What an audit finds in the data, or in a random part of large ones.

    Attributes:
        found: what it is; its line numbers are those of the part.
        sizes: lines of each labelled part of the whole.
    """

    found: Audit
    sizes: Mapping[str, int]

    @property
    def seen(self) -> Mapping[str, int]:
        """Lines of each labelled part that were looked at."""
        return {part: self.found.checkup.parts[part] for part in self.sizes}


def own_checkup(dataset: Dataset, profile: Profile, lines: Sequence[str]) -> Checkup:
    """The data beside the length and the vocabulary of the profile's nets.

    Args:
        dataset: the data.
        profile: what they are run with.
        lines: text that the net is pretrained on, whose characters are its vocabulary; a named net's is not looked at.
    """
    limit = limit_of(profile)
    if profile.unlabelled is None:
        return check_up(dataset, limit)
    least = profile.options["pretrain"].get("minimum_count", PretrainOptions.minimum_count)
    return check_up(dataset, limit, set(build_vocabulary(lines, least)))


def own_audit(dataset: Dataset, profile: Profile) -> OwnAudit:
    """An audit of the data beside the length that the profile's nets read, in a time that doesn't grow with them."""
    sizes = {name: len(split) for name, split in dataset.labelled.items()}
    return OwnAudit(audit(part_of(dataset), limit_of(profile)), sizes)


def limit_of(profile: Profile) -> int:
    """Tokens that the profile's nets read of a text, [CLS] and [SEP] included."""
    limit: int = profile.options.get("finetune", {}).get("max_seq_length", FinetuneOptions.max_seq_length)
    return limit
