"""How REPORT.md opens: whether the first table holds, its claims at a glance, and the contents."""

from __future__ import annotations

import re
from collections.abc import Sequence

from replicate.common.markdown import Anchors, anchor, interval, number, plural, sentence, table_of, tally
from replicate.findings.evidence import Material
from replicate.findings.rows import ClaimResult, judge_claims, judge_row
from replicate.report.pictures.picture import Block
from replicate.report.sections.advice import advice
from replicate.tables.profile import Profile
from replicate.tables.table import Claim, ResultsTable

CLAIMS, PRINTED_F1 = "What the source claims", "What the printed F1 is"


def claims_under(profile: Profile) -> str:
    """The heading of the claims' verdicts under a profile that is not compared with the source's values."""
    return f"What the claims come to under `{profile.id}`"


def section_answer(material: Material) -> list[str]:
    """The title, whether the first table holds, its claims in one table, and what to do in another."""
    table = material.tables[0]
    return [
        "# Does the published table hold?",
        f"Does the table of *{table.title}* hold when it is run again with several seeds? {_answer(material, table)}",
        _besides(material, table),
        *_glance(material, table),
        *advice(material),
    ]


def _answer(material: Material, table: ResultsTable) -> str:
    """The verdicts in a paragraph, with what has not been run."""
    published = [row for row in table.rows if row.published]
    profiles = material.comparable(table)
    judged = [
        (row, profile, judge_row(table, material.result(row, profile))) for row in published for profile in profiles
    ]
    counted = tally(verdict.status for _, _, verdict in judged)
    run = [verdict for _, _, verdict in judged if verdict.status != "not-run"]
    names = " or ".join(f"`{profile.id}`" for profile in profiles) or "a comparable profile"
    if not run:
        rows = plural(len(published), "published row")
        answer = f"**Not known yet: it has not been run.** None of its {rows} has a record under {names}."
        if any(profile.device == "gpu" for profile in profiles):
            answer += " It takes a CUDA GPU; `tox -e replicate` runs it there and writes this page again."
        return answer
    if any(verdict.status in ("higher", "lower") for verdict in run):
        return f"**No, not all of it.** Of its {len(judged)} comparisons under {names}: {counted}."
    if all(verdict.status == "replicated" for _, _, verdict in judged):
        return f"**Yes.** Each of its {len(published)} published rows is replicated under {names}."
    return f"**Not settled.** Of its {len(judged)} comparisons under {names}: {counted}."


def _besides(material: Material, table: ResultsTable) -> str:
    """What the other profiles' records are not, and what the printed F1 is."""
    comparable, told = material.comparable(table), []
    for profile in material.profiles:
        own = sum(record.profile == profile.id for record in material.records)
        if own and profile not in comparable:
            told.append(f"`{profile.id}` ({plural(own, 'record')})")
    words = []
    if told:
        what = "answers another question and replicates" if len(told) == 1 else "answer other questions and replicate"
        words.append(f"{' and '.join(told)} {what} nothing.")
    if table.dataset.positive_class and any(row.counts and row.counts.tp is not None for row in table.rows):
        words.append(
            f"The F1 that the source prints is that of one class, {table.dataset.positive_class}, "
            f"[not of the task](#{anchor(PRINTED_F1)})."
        )
    return " ".join(words)


def _glance(material: Material, table: ResultsTable) -> list[str]:
    """Each claim with the published difference in accuracy and what each profile on the same data shows."""
    comparable = material.comparable(table)
    columns = [
        (profile, judge_claims(table, material.records, profile.id))
        for profile in material.profiles
        if material.same_data(table, profile)
    ]
    columns = [one for one in columns if one[0] in comparable or any(result.comparisons for result in one[1])]
    if not table.claims or not columns:
        return []
    lines = []
    for at, claim in enumerate(table.claims):
        lines.append([claim.text, _published(table, claim), *(shown_claim(results[at]) for _, results in columns)])
    head = ["claim", "published, accuracy", *(_named(profile, comparable) for profile, _ in columns)]
    return [
        "What the source claims, with the difference in accuracy (interval) and the verdict on all the claim's "
        f"metrics; [the reasons](#{anchor(CLAIMS)}) stand below:",
        table_of(head, lines),
        *(
            f"`{profile.id}` tests the claims on the same data: {sentence(profile.reason)} "
            f"[Its verdicts in full](#{anchor(claims_under(profile))})."
            for profile, _ in columns
            if profile not in comparable
        ),
    ]


def _named(profile: Profile, comparable: Sequence[Profile]) -> str:
    return f"`{profile.id}`" if profile in comparable else f"`{profile.id}`, another net"


def _published(table: ResultsTable, claim: Claim) -> str:
    a, b = (table.row(row).published.get("accuracy") for row in (claim.row, claim.against))
    return f"{a.value - b.value:+.4f}, one seed" if a and b else ""


def shown_claim(result: ClaimResult) -> str:
    """The verdict on a claim, with the difference in accuracy where there is one."""
    words = f"**{result.verdict.status}**"
    found = result.comparisons.get("accuracy")
    if found is None:
        return words
    bounds = f" ({interval(found.ci)})" if interval(found.ci) else ""
    return f"{words}: {number(found.difference, '+.4f')}{bounds}, {plural(found.n, 'pair')}"


def contents(blocks: Sequence[Block]) -> str:
    """A list of the second-level headings, each with its third-level ones behind it, as links.

    What is called like a part before it is left out: its own second-level heading leads there.
    """
    anchors = Anchors()
    lines: list[list[str]] = []
    for block in blocks:
        found = re.match(r"(#{1,6}) (.+)", block) if isinstance(block, str) else None
        if not found:
            continue
        link = f"[{found[2]}](#{anchors.of(found[2])})"
        if found[1] == "##":
            lines.append([link])
        elif found[1] == "###" and lines and link.endswith(f"(#{anchor(found[2])})"):
            lines[-1].append(link)
    return "\n".join(f"- {head}{': ' if parts else ''}{' · '.join(parts)}" for head, *parts in lines)
