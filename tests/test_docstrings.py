"""The public API's docstrings: who can refuse what a user gave says when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicate.common.paths import ROOT

MODULES = sorted((ROOT / "replicate").rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Public functions of a module and public methods of its public classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def raised(function: ast.FunctionDef) -> set[str]:
    """Names of the exceptions that its own lines raise."""
    calls = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise)]
    names = [call.func if isinstance(call, ast.Call) else call for call in calls]
    return {name.id for name in names if isinstance(name, ast.Name)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_who_raises_says_when(path: Path) -> None:
    """A UserError is in the docstring; only a command needs none, whose errors are lines on standard error."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in functions(tree):
        command = function.args.args and function.args.args[0].arg == "args"
        if "UserError" in raised(function) and not command:
            assert "UserError" in (ast.get_docstring(function) or ""), function.name
