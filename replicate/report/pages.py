"""Which findings stand on which page."""

from __future__ import annotations

from replicate.findings.apart import Apart
from replicate.findings.compute import Findings
from replicate.findings.own import OwnFindings
from replicate.report.blocks import Block, Heading, Items, Link, Page, Plain, Prose
from replicate.report.sections.advice import section_advice
from replicate.report.sections.answer import section_answer
from replicate.report.sections.apart import section_apart
from replicate.report.sections.augmentation import section_augmentation
from replicate.report.sections.compression import section_compression
from replicate.report.sections.inference import section_inference
from replicate.report.sections.method import section_method
from replicate.report.sections.own import section_own_answer
from replicate.report.sections.published import section_published
from replicate.report.sections.sure import section_sure

FRONT = "REPORT.md"
FOLDER = "docs/report"


def project_pages(findings: Findings) -> tuple[Page, ...]:
    """The pages of the project's own report, the front page first."""
    main, *others = findings.published
    pages = [
        page("article", "The article", Plain(main.table.title), section_published(main)),
        *(_apart(one) for one in findings.apart if one.same_data),
        page(
            "compression", "Compression", "What compression costs and buys", section_compression(findings.compression)
        ),
        page("inference", "Inference", "What pruning buys at inference", section_inference(findings.inference)),
        page("augmentation", "Augmentation", "Does augmentation help?", section_augmentation(findings.augmentation)),
        *(page(one.table.id, "Another table", Plain(one.table.title), section_published(one)) for one in others),
        *(_apart(one) for one in findings.apart if not one.same_data),
        page("method", "Method", "How it was measured", section_method(findings.method)),
    ]
    return _with_front(
        "Does the published table hold?",
        [
            *section_answer(findings.answer),
            *section_advice(findings.advice),
            *section_sure(findings.answer, findings.method),
        ],
        pages,
    )


def own_pages(findings: OwnFindings) -> tuple[Page, ...]:
    """The pages of a report on somebody's own data, the front page first."""
    pages = [
        *(_apart(one) for one in findings.apart),
        page(
            "compression", "Compression", "What compression costs and buys", section_compression(findings.compression)
        ),
        page("augmentation", "Augmentation", "Does augmentation help?", section_augmentation(findings.augmentation)),
        page("method", "Method", "How it was measured", section_method(findings.method)),
    ]
    title: Prose = ("The rows on “", Plain(findings.answer.facts.name), "”")
    front = [*section_own_answer(findings.answer), *section_advice(findings.advice)]
    return _with_front(title, front, pages)


def page(name: str, brief: str, title: Prose, blocks: list[Block]) -> Page:
    """A page behind the front page."""
    return Page(f"{FOLDER}/{name}.md", title, tuple(blocks), brief)


def _apart(finding: Apart) -> Page:
    name = finding.profile.id
    return page(name, name, f"`{name}`: not a replication", section_apart(finding))


def _with_front(title: Prose, blocks: list[Block], pages: list[Page]) -> tuple[Page, ...]:
    """The pages that say something, after a front page that lists them."""
    pages = [one for one in pages if one.blocks]
    listed = Items(tuple(_entry(one) for one in pages))
    contents = [Heading(2, "All pages", "pages"), listed]
    return (Page(FRONT, title, (*blocks, *contents), "Front page"), *pages)


def _entry(one: Page) -> Prose:
    """A page with its parts."""
    parts = [block for block in one.blocks if isinstance(block, Heading) and block.level == 2]
    found: list[Prose] = [Link(one.title, one.path)]
    for at, block in enumerate(parts):
        found += [" · " if at else ": ", Link(block.words, f"#{block.id}")]
    return tuple(found)
