"""The pretrained nets that rows descend from, and what is known of the code that made them."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.findings.origins import UNKNOWN, Origin
from replicate.report.blocks import Block, Items, Plain, Prose, Text
from replicate.report.words import plural


def section_origins(origins: Sequence[Origin]) -> list[Block]:
    """Every net by its digest; nothing where no record tells of one."""
    told = [one for one in origins if one.digest]
    if not told:
        return []
    nets = "One pretrained net" if len(told) == 1 else f"{len(told)} pretrained nets"
    return [Text(f"{nets}, by the digest of the weights:"), Items(tuple(map(net_facts, told)))]


def net_facts(one: Origin) -> Prose:
    """A net by its digest, how many records descend from it, and which code made it."""
    words: list[Prose] = [f"`{one.name}`, {plural(one.records, 'record')}: pretrained by "]
    if one.commit == UNKNOWN:
        words.append("**code of unknown origin**")
    else:
        words += ["code of commit ", Plain(one.commit[:12])]
    if one.dirty:
        words.append(", **with changes that no commit holds**")
    if one.unclean:
        words.append(f"; {plural(one.unclean, 'record')} made by such code too")
    return (*words, ".")
