"""The table of promises: every test that it names is there, the same ones in both languages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from replicate.common.paths import ROOT

PAGES = {"docs/promises.md": "# What we promise", "docs/promises.zh-CN.md": "# 我们的承诺"}
ROW = re.compile(r"^\| (.+) \| `((?:tests|bench)/\w+\.py)::(\w+)` \|$", re.MULTILINE)


def promises(page: str) -> list[tuple[str, str, str]]:
    """Promise, file and test of each row of the table."""
    text = (ROOT / page).read_text(encoding="utf-8")
    section = text.partition(PAGES[page])[2].partition("\n## ")[0]
    assert section
    return ROW.findall(section)


def functions(path: Path) -> set[str]:
    """Names of a file's tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("page", PAGES)
def test_named_tests_exist(page: str) -> None:
    """No promise without its test; no row that isn't one."""
    found = promises(page)
    section = (ROOT / page).read_text(encoding="utf-8").partition(PAGES[page])[2].partition("\n## ")[0]
    assert len(found) == len(re.findall(r"^\|", section, re.MULTILINE)) - 2 > 10
    for _, file, test in found:
        assert test in functions(ROOT / file), f"{file}::{test}"


def test_both_languages_promise_the_same() -> None:
    """The same tests in the same order."""
    one, two = ([row[1:] for row in promises(page)] for page in PAGES)
    assert one == two
