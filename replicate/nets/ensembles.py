"""Make one classifier of several: an ensemble that asks them all, or a soup, one net with the mean of their weights.

Source of the soup: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time" (2022).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.nets.classifier import Classifier
from replicate.nets.ensemble_net import MOST_MEMBERS, EnsembleConfig, ensemble_class, member_fields
from replicate.nets.folder import weights_of
from replicate.nets.single import network_of

# Cosine of what two nets of one ancestor have at the same place; of others, or of other heads, it is about 0.
KIN = 0.5
_QUERIES = re.compile(r"self_attn\.q_proj\.weight$")
_MATRIX = 2


def check_members(members: Mapping[str, Classifier]) -> None:
    """Refuse members that can't answer as one.

    Args:
        members: by what each is called.

    Raises:
        UserError: there is one only, or too many, or two differ in labels or tokens, or one is an ensemble itself.
    """
    if not 2 <= len(members) <= MOST_MEMBERS:
        raise UserError(f"{len(members)} to fuse", hint=f"name 2 to {MOST_MEMBERS} models")
    (first, one), *others = members.items()
    for name, other in members.items():
        if isinstance(other.network.config, EnsembleConfig):
            raise UserError("an ensemble itself", path=name, hint="name its members in its place")
    for name, other in others:
        if other.labels != one.labels:
            raise UserError(f"its labels are not those of {first}", path=name, hint="fuse models of one label.txt")
        if other.tokenizer.vocab.token_to_idx != one.tokenizer.vocab.token_to_idx:
            hint = "fuse models of one vocab.txt: those that descend from one pretrained net"
            raise UserError(f"its tokenizer is not that of {first}", path=name, hint=hint)


def build_ensemble(members: Mapping[str, Classifier], how: str, weights: Sequence[float] | None = None) -> Classifier:
    """A classifier that answers with the mean or the vote of its members; equal weights without any.

    Raises:
        UserError: as `check_members`.
    """
    check_members(members)
    parts = [*members.values()]
    configs = [part.network.config for part in parts]
    config = EnsembleConfig(
        ensemble=how,
        weights=[float(one) for one in weights or [1 / len(parts)] * len(parts)],
        members=[member_fields(part.network) for part in parts],
        vocab_size=min(one.vocab_size for one in configs),
        num_labels=len(parts[0].labels),
        pad_token_id=parts[0].tokenizer.pad_token_id,
        max_position_embeddings=min(one.max_position_embeddings for one in configs),
    )
    network = ensemble_class()(config)
    for own, part in zip(network.members, parts, strict=True):
        own.set_state_dict(part.network.state_dict())
    network.eval()
    return Classifier(network, parts[0].tokenizer, parts[0].labels)


def check_kin(members: Mapping[str, Classifier]) -> None:
    """Refuse members whose weights have no mean that means anything: they must have one shape and one ancestor.

    Pruned nets keep the heads that mattered most to each, in that order: head 1 of one may be head 4 of the other.

    Raises:
        UserError: as `check_members`, or two differ in shape, in the net that they descend from, or in what they keep.
    """
    check_members(members)
    (first, one), *others = members.items()
    ours = weights_of(one.network)
    config = one.network.config
    heads = getattr(config, "kept_heads", None) or getattr(config, "num_attention_heads", None) or 1
    for name, other in others:
        theirs = weights_of(other.network)
        if {key: value.shape for key, value in ours.items()} != {key: value.shape for key, value in theirs.items()}:
            raise UserError(f"a soup is of nets of one shape, and its is not that of {first}", path=name)
        for key, value in ours.items():
            if value.ndim == _MATRIX and key.endswith(".weight") and not key.startswith("classifier."):
                parts = heads if _QUERIES.search(key) else 1
                if (near := _cosines(value, theirs[key], parts).min()) < KIN:
                    what = "keeps other heads or descends from another net than" if parts > 1 else "is no kin of"
                    raise UserError(
                        f"its {key} {what} {first} (cosine {near:.2f})",
                        path=name,
                        hint="a soup is of nets that one net was fine-tuned to; mean and vote take any",
                    )


def soup(members: Mapping[str, Classifier]) -> Classifier:
    """One net with the mean of the members' weights.

    Raises:
        UserError: as `check_kin`.
    """
    check_kin(members)
    one = next(iter(members.values()))
    every = [weights_of(part.network) for part in members.values()]
    network = network_of(type(one.network), one.network.config)
    # In 64 bits: of equal weights the mean is the same weights.
    means = {name: np.mean([part[name] for part in every], axis=0, dtype=np.float64) for name in every[0]}
    network.set_state_dict({name: value.astype(np.float32) for name, value in means.items()})
    network.eval()
    return Classifier(network, one.tokenizer, one.labels)


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32], parts: int) -> NDArray[np.float64]:
    """Cosine of each of so many equal groups of columns; where one has none of any length, 1 for the same, else 0."""
    a, b = (value.astype(np.float64).reshape(len(value), parts, -1) for value in (one, other))
    products = (a * b).sum(axis=(0, 2))
    lengths = np.sqrt((a**2).sum(axis=(0, 2)) * (b**2).sum(axis=(0, 2)))
    return np.where(lengths > 0, products / np.maximum(lengths, np.finfo(float).tiny), (a == b).all(axis=(0, 2)))
