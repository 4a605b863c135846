"""Which findings stand on which page."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.findings.apart import Apart
from replicate.findings.augmentation import AugmentationFinding
from replicate.findings.clean import CleanFinding
from replicate.findings.compression import CompressionFinding
from replicate.findings.compute import Findings
from replicate.findings.fewshot import FewShot
from replicate.findings.fusion import FusionFinding
from replicate.findings.looked_at import LookedAtFinding
from replicate.findings.method import Method
from replicate.findings.own import OwnFindings
from replicate.findings.own_data import OwnAudit
from replicate.findings.published import Published
from replicate.report.blocks import Block, Heading, Items, Link, Page, Plain, Prose
from replicate.report.sections.advice import section_advice
from replicate.report.sections.answer import section_answer
from replicate.report.sections.apart import section_apart
from replicate.report.sections.audit import section_own_audit
from replicate.report.sections.augmentation import section_augmentation
from replicate.report.sections.clean import contested_sentence, section_clean
from replicate.report.sections.compression import section_compression
from replicate.report.sections.fewshot import section_fewshot
from replicate.report.sections.fusion import section_fusion
from replicate.report.sections.inference import section_inference
from replicate.report.sections.looked_at import section_looked_at
from replicate.report.sections.method import section_method
from replicate.report.sections.own import section_own_answer
from replicate.report.sections.published import section_published
from replicate.report.sections.sure import section_sure
from replicate.report.words import quoted, reason

FRONT = "REPORT.md"
FOLDER = "docs/report"
# A page, and what the front page says of it.
Entry = tuple[Page, Prose]
_PRINTED = "every published figure with its verdict, and what the printed totals alone can show."


def project_pages(
    findings: Findings, clean: CleanFinding | None = None, looked_at: Sequence[LookedAtFinding] = ()
) -> tuple[Page, ...]:
    """The pages of the project's own report, the front page first.

    Args:
        findings: what the records say.
        clean: what is known of the data.
        looked_at: what explanations say.
    """
    main, *others = findings.published
    front = [
        *section_answer(findings.answer),
        *section_advice(findings.advice, findings.answer, clean),
        *section_sure(findings.answer, findings.method, contested_sentence(clean, main.table) if clean else ""),
    ]
    return _with_front(
        "Does the table hold?",
        front,
        [
            (_published(main, "article", "Article"), _PRINTED),
            *(_apart(one, "not a replication") for one in findings.apart if one.same_data),
            _compression(findings.compression),
            (
                page("inference", "Inference", "What pruning buys at inference", section_inference(findings.inference)),
                "how fast every net is in every runtime and precision, machine by machine.",
            ),
            _fusion(findings.fusion),
            _augmentation(findings.augmentation),
            _fewshot(findings.fewshot),
            *_explained(looked_at),
            *_clean(clean),
            *((_published(one, one.table.id, _brief(one.table.id)), _PRINTED) for one in others),
            *(_apart(one, "not a replication") for one in findings.apart if not one.same_data),
            _method(findings.method),
        ],
    )


def own_pages(findings: OwnFindings) -> tuple[Page, ...]:
    """The pages of a report on somebody's own data, the front page first."""
    return _with_front(
        ("The rows on ", quoted(findings.answer.facts.name)),
        [*section_own_answer(findings.answer), *section_advice(findings.advice)],
        [
            *(_apart(one, "every row that was run") for one in findings.apart),
            _compression(findings.compression),
            _augmentation(findings.augmentation),
            *_own_audit(findings.audit),
            _method(findings.method),
        ],
    )


def page(name: str, brief: str, title: Prose, blocks: list[Block]) -> Page:
    """A page behind the front page."""
    return Page(f"{FOLDER}/{name}.md", title, tuple(blocks), brief)


def _published(finding: Published, name: str, brief: str) -> Page:
    return page(name, brief, Plain(finding.table.title), section_published(finding))


def _apart(finding: Apart, what: str) -> Entry:
    name = finding.profile.id
    return page(name, _brief(name), f"`{name}`: {what}", section_apart(finding)), reason(finding.profile.question)


def _compression(finding: CompressionFinding) -> Entry:
    blocks = section_compression(finding)
    about = "pruned and distilled nets beside the ones that they were made from: accuracy, size and speed."
    return page("compression", "Compression", "What compression costs and buys", blocks), about


def _fusion(finding: FusionFinding) -> Entry:
    about = "ensembles, soups and students of ensembles beside one net: accuracy, speed, and which answers are sure."
    return page("fusion", "Fusion", "What fusion buys", section_fusion(finding)), about


def _augmentation(finding: AugmentationFinding) -> Entry:
    blocks = section_augmentation(finding)
    return page("augmentation", "Augmentation", "Does augmentation help?", blocks), "each way beside its controls."


def _fewshot(findings: Sequence[FewShot]) -> Entry:
    about = "accuracy from 8 lines of each class to all of them, by every method, and whether choosing lines pays."
    return page("few-shot", "Few labels", "How many labels do I need?", section_fewshot(findings)), about


def _explained(findings: Sequence[LookedAtFinding]) -> list[Entry]:
    about = "are explanations faithful, and do pruned and distilled nets look where their parents look?"
    blocks = section_looked_at(findings)
    return [(page("explanations", "Explanations", "What the models look at", blocks), about)]


def _clean(finding: CleanFinding | None) -> list[Entry]:
    if finding is None:
        return []
    about = "what an audit finds, and each row's score without the dev lines that nearly all records contradict."
    return [(page("data", "Data", "How clean is the data?", section_clean(finding)), about)]


def _own_audit(finding: OwnAudit | None) -> list[Entry]:
    if finding is None:
        return []
    about = "what an audit finds: labels in doubt, contradictions, leaks, repetitions and classes, as numbers."
    return [(page("data", "Data", "How clean is the data?", section_own_audit(finding)), about)]


def _method(finding: Method) -> Entry:
    about = "commits, machines, versions, commands, durations, and every record."
    return page("method", "Method", "How it was measured", section_method(finding)), about


def _brief(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _with_front(title: Prose, blocks: list[Block], entries: list[Entry]) -> tuple[Page, ...]:
    """The pages that say something, after a front page that lists them."""
    entries = [(one, about) for one, about in entries if one.blocks]
    listed = Items(tuple((Link(one.title, one.path), ": ", about) for one, about in entries))
    contents = (Heading(2, "All pages", "pages"), listed)
    return (Page(FRONT, title, (*blocks, *contents), "Front page"), *(one for one, _ in entries))
