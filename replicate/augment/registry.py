"""All strategies by name: the one list that the engine and the command read."""

from __future__ import annotations

from replicate.augment import pos_replace, truncate, unk, w2v_replace
from replicate.augment.strategy import Kind

STRATEGIES: dict[str, Kind] = {
    "unk": Kind(unk.build, "-u", 0.25, "spans of characters become the unk token"),
    "truncate": Kind(truncate.build, "-t", 0.25, "spans of characters are deleted"),
    "pos_replace": Kind(
        pos_replace.build, "-r", 0.25, "words become others of the same part of speech", reads_words=True
    ),
    "w2v_replace": Kind(
        w2v_replace.build, "-w", 0.25, "words become near neighbours in --vectors", reads_words=True, reads_vectors=True
    ),
}
