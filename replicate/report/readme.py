"""The table of results in the READMEs: between two marks, from the same records as REPORT.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.markdown import spread, table_of
from replicate.findings.evidence import Material
from replicate.findings.rows import judge_row

BEGIN, END = "<!-- results: written by `replicate report` -->", "<!-- end of results -->"
# What is said around the figures, by README.
WORDS: Mapping[str, Mapping[str, str]] = {
    "README.md": {
        "row": "row",
        "published": "published accuracy",
        "verdict": "verdict",
        "other": "another net, not comparable",
        "nothing": "none",
        "not-run": "not-run",
    },
    "README.zh-CN.md": {
        "row": "行",
        "published": "文章公布的准确率",
        "verdict": "结论",
        "other": "另一个网络，不可比",
        "nothing": "无",
        "not-run": "not-run（未运行）",
    },
}


def results_table(material: Material, words: Mapping[str, str]) -> str:
    """The first table's rows: published accuracy, that of each comparable profile with its verdict, and the others'."""
    table = material.tables[0]
    comparable = material.comparable(table)
    others = [
        profile
        for profile in material.profiles
        if profile not in comparable
        and material.same_data(table, profile)
        and any(material.result(row, profile).records for row in table.rows)
    ]
    head = [words["row"], words["published"]]
    for profile in comparable:
        head += [f"`{profile.id}`", words["verdict"]]
    head += [f"`{profile.id}` ({words['other']})" for profile in others]
    lines = []
    for row in table.rows:
        accuracy = row.published.get("accuracy")
        if accuracy is None and not any(material.result(row, one).records for one in (*comparable, *others)):
            continue
        cells = [f"`{row.id}`", f"{accuracy.value:.4f}" if accuracy else words["nothing"]]
        for profile in (*comparable, *others):
            result = material.result(row, profile)
            missing = words["not-run"] if row.runs_under(profile.id) else ""
            cells.append(spread(*result.summary("accuracy")) if result.records else missing)
            if profile in comparable:
                cells.append(judge_row(table, result).status if row.published else "")
        lines.append(cells)
    return table_of(head, lines)


def with_results(material: Material, path: Path) -> str | None:
    """A README's text with the current table between its marks; None where there is no such file.

    Raises:
        UserError: it has no marks, or can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't be read: {error}", path=path) from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"lacks the lines {BEGIN} and {END}", path=path)
    return f"{before}{BEGIN}\n\n{results_table(material, WORDS[path.name])}\n\n{END}{after}"
