"""The table of results in the READMEs: between two marks, from the same records as REPORT.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from replicate.common.errors import UserError
from replicate.findings.answer import Answer
from replicate.findings.rows import RowResult
from replicate.report.blocks import Line, Prose, Table
from replicate.report.markdown import table_text
from replicate.report.words import mean_sd

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
        "deterministic": "deterministic",
    },
    "README.zh-CN.md": {
        "row": "行",
        "published": "文章公布的准确率",
        "verdict": "结论",
        "other": "另一个网络，不可比",
        "nothing": "无",
        "not-run": "not-run（未运行）",
        "deterministic": "与种子无关",
    },
}


def results_table(answer: Answer, words: Mapping[str, str]) -> Table:
    """The main table's rows: published accuracy, that of each comparable profile with its verdict, and the others'."""
    comparable = answer.published.comparable
    shown = [one for one in answer.compared if one[0] in comparable or one[1].is_run]
    verdicts = {(row.id, profile.id): verdict.status for row, profile, verdict in answer.published.verdicts}
    # Comparable profiles stand first.
    shown.sort(key=lambda one: one[0] not in comparable)
    head: list[Prose] = [words["row"], words["published"]]
    for profile, _ in shown:
        head += (
            [f"`{profile.id}`", words["verdict"]] if profile in comparable else [f"`{profile.id}` ({words['other']})"]
        )
    lines = []
    for row in answer.table.rows:
        accuracy = row.published.get("accuracy")
        if accuracy is None and not any(compared.results[row.id].records for _, compared in shown):
            continue
        cells: list[Prose] = [f"`{row.id}`", f"{accuracy.value:.4f}" if accuracy else words["nothing"]]
        for profile, compared in shown:
            result = compared.results[row.id]
            missing = words["not-run"] if row.runs_under(profile.id) else ""
            cells.append(_score(result, words) if result.records else missing)
            if profile in comparable:
                cells.append(verdicts.get((row.id, profile.id), ""))
        lines.append(Line(tuple(cells)))
    return Table(tuple(head), tuple(lines))


def _score(result: RowResult, words: Mapping[str, str]) -> str:
    """A row's accuracy, and whether seeds change it at all."""
    mean, sd, n = result.summary("accuracy")
    return f"{mean:.4f}, {words['deterministic']} ({n})" if result.is_deterministic else mean_sd(mean, sd, n)


def with_results(answer: Answer, path: Path) -> str | None:
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
    return f"{before}{BEGIN}\n\n{table_text(results_table(answer, WORDS[path.name]))}\n\n{END}{after}"
