"""All strategies by name: the one list that the engine and the command read."""

from __future__ import annotations

from collections.abc import Mapping

from replicate.augment import ernie_replace, pos_replace, truncate, unk, w2v_replace, words
from replicate.augment.nlpcda import NLPCDA
from replicate.augment.strategy import Kind

# In an order that stays, since a mix is drawn from in this order: new ones go to the end of a group.
STRATEGIES: dict[str, Kind] = {
    "unk": Kind(unk.build, "spans of characters become the unk token", "-u", 0.25),
    "truncate": Kind(truncate.build, "spans of characters are deleted", "-t", 0.25),
    "pos_replace": Kind(
        pos_replace.build, "words become others of the same part of speech", "-r", 0.25, reads_words=True
    ),
    "w2v_replace": Kind(
        w2v_replace.build,
        "words become near neighbours in --vectors",
        "-w",
        0.25,
        reads_words=True,
        needs="vectors",
        # Where a stage trains the vectors itself.
        packages=("gensim",),
    ),
    "ernie_replace": Kind(
        ernie_replace.build, "words are filled in again by --model", "-e", 0.25, reads_words=True, needs="model"
    ),
    "word_unk": Kind(words.build_unk, "words become [UNK]", reads_words=True),
    "word_pos": Kind(words.build_pos, "like pos_replace, but fewer words", reads_words=True),
    "n_sampling": Kind(words.build_n_sampling, "a fragment of the words is kept", reads_words=True),
    **NLPCDA,
}


def packages_of(mix: Mapping[str, float]) -> set[str]:
    """Packages that decide what the strategies of a mix give, beside those that decide everything."""
    used = (STRATEGIES[name].packages for name, weight in mix.items() if weight and name in STRATEGIES)
    return {package for packages in used for package in packages}
