"""The report on somebody's own data: all rows, nothing published to compare them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from replicate.common.markdown import number, plural, spread, table_of
from replicate.corpus.formats import Dataset
from replicate.findings.evidence import Material
from replicate.findings.rows import judge_claims
from replicate.records.run import Record
from replicate.report.pictures.picture import Block
from replicate.report.sections.advice import advice
from replicate.report.sections.answer import shown_claim
from replicate.report.sections.tables import rows_of
from replicate.scores.metrics import POSITIVE
from replicate.tables.profile import Profile
from replicate.tables.table import DatasetFacts, ResultsTable

REASON = "nothing is published of these data"


def own_material(
    tables: Mapping[str, ResultsTable], records: Sequence[Record], profiles: Mapping[str, Profile], dataset: Dataset
) -> Material:
    """What a report on own data is made of: the records of exactly these data, and tables without published values.

    Args:
        tables: by id.
        records: of the data's folder; those of another version of the data are left out.
        profiles: by id.
        dataset: the data.
    """
    digests = dataset.digests
    own = [one for one in records if all(one.digests.get(part) == digests[part] for part in ("train", "dev", "labels"))]
    known = {(table.id, row.id) for table in tables.values() for row in table.rows}
    own = [record for record in own if (record.table, record.row) in known and record.profile in profiles]
    positive = POSITIVE if len(dataset.labels) > POSITIVE else None
    facts = DatasetFacts(
        name=dataset.name,
        split="dev",
        examples=len(dataset.dev),
        positive_class=None if positive is None else dataset.labels[positive],
        positive_index=positive,
        positive_examples=None if positive is None else dataset.dev.labels.count(positive),
    )
    return Material(
        tuple(
            replace(
                table,
                # What a published table is called would be wrong for other data.
                title=table.id,
                neighbours=(),
                conclusions=(),
                tolerances={
                    metric: replace(one, reason=f"Taken over from {table.dataset.name}: {one.reason}")
                    for metric, one in table.tolerances.items()
                },
                dataset=facts,
                rows=tuple(replace(row, published={}, counts=None, provenance=None) for row in table.rows),
            )
            for table in sorted(tables.values(), key=lambda table: (not table.is_published, not table.claims, table.id))
        ),
        tuple(sorted(own, key=lambda record: (record.profile, record.table, record.row, record.seed))),
        tuple(
            replace(profile, comparable=False, reason=REASON, dataset=dataset.name)
            for profile in sorted(profiles.values(), key=lambda profile: profile.id)
            if any(record.profile == profile.id for record in own)
        ),
        ".",
    )


def section_own_answer(material: Material) -> list[Block]:
    """The title, which row is the best under each profile, what the claims come to, and what to do."""
    facts = material.tables[0].dataset
    blocks: list[Block] = [f"# The rows on `{facts.name}`"]
    f1 = ""
    if facts.positive_class:
        f1 = (
            f" F1 of class 1 is that of {facts.positive_class}, the second label, which counts as predicted where its "
            "probability is over one half, as in the article; macro-F1 is of all labels."
        )
    blocks.append(
        f"{plural(facts.examples, 'dev example')}, {plural(len(material.records), 'record')}. Every score is of the "
        f"dev set, which also chooses the step that is kept.{f1} Nothing here is compared with a published value."
    )
    for profile in material.profiles:
        results = [material.result(row, profile) for table in material.tables for row in table.rows]
        scored = sorted((one for one in results if one.scores), key=lambda one: one.summary("accuracy")[0])
        if not scored:
            blocks.append(f"Under `{profile.id}` no row gave a score.")
            continue
        best = scored[-1]
        words = f"Under `{profile.id}` the highest mean accuracy is that of {material.named(best)}: "
        words += f"**{spread(*best.summary('accuracy'))}** (macro-F1 {number(best.summary('macro_f1')[0])})"
        baseline = next((one for one in scored if one.row.recipe[-1].stage == "svm"), None)
        if baseline and baseline is not best:
            words += f"; the linear baseline {material.named(baseline)} has {spread(*baseline.summary('accuracy'))}"
        words += ". The highest of several means is partly luck: the differences below say what is told apart."
        blocks.append(words)
    return [*blocks, *_claims(material), *advice(material)]


def _claims(material: Material) -> list[str]:
    """What the first table's claims, made of other data, come to on these."""
    table = material.tables[0]
    judged = [judge_claims(table, material.records, profile.id) for profile in material.profiles]
    if not any(result.comparisons for results in judged for result in results):
        return []
    lines = [[claim.text, *(shown_claim(results[at]) for results in judged)] for at, claim in enumerate(table.claims)]
    return [
        "What the article claims of its rows on other data comes to on these, with the difference in accuracy "
        "(interval):",
        table_of(["claim", *(f"`{profile.id}`" for profile in material.profiles)], lines),
    ]


def section_own_rows(material: Material) -> list[Block]:
    """Every row that was run, by profile."""
    blocks: list[Block] = []
    for profile in material.profiles:
        blocks += [f"## `{profile.id}`", "Mean ± standard deviation (seeds)."]
        for table in material.tables:
            if any(material.result(row, profile).records for row in table.rows):
                blocks += rows_of(material, table, profile)
    return blocks
