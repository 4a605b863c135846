"""The plan of the house: rooms import downwards only, modules never in a circle, and each room states its rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from replicate.training.checkpoint import COMPUTES

PACKAGE = Path(__file__).resolve().parents[1] / "replicate"
# From the ground up: a room may import those before it, and itself.
ROOMS = (
    "common",
    "corpus",
    "scores",
    "verdicts",
    "nets",
    "training",
    "records",
    "augment",
    "inference",
    "explain",
    "audit",
    "serving",
    "timing",
    "stages",
    "tables",
    "runs",
    "findings",
    "report",
    "commands",
)
MOST_LINES = 350


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> Iterator[str]:
    """The modules of the package that a module imports, wherever in it; a type-only import is an import too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE.name:
            assert node.level == 0, f"{path}: a relative import"
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in known)


def arrows() -> dict[str, set[str]]:
    """Each module with those that it imports, itself left out."""
    found = modules()
    return {name: set(imports(path, set(found))) - {name} for name, path in found.items()}


def room(module: str) -> str:
    """The room that a module stands in; empty for the package's own."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else ""


def test_rooms_are_known() -> None:
    """Every folder with code is a room, and every room says its rule."""
    there = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert there == set(ROOMS)
    for name in ROOMS:
        rule = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8")))
        assert rule, f"replicate/{name}/__init__.py states no rule"


def test_imports_go_downwards() -> None:
    """No room imports one above it."""
    up = [
        f"{module} imports {other}"
        for module, others in arrows().items()
        for other in others
        if room(module) and room(other) and ROOMS.index(room(other)) > ROOMS.index(room(module))
    ]
    assert not up, "\n".join(sorted(up))


def test_no_circles() -> None:
    """No module needs, by whatever way, one that needs it."""
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_test_module_imports_another() -> None:
    """What two of them need has a module of its own, so that either can change or go alone."""
    found = []
    for path in sorted(path for folder in ("tests", "bench") for path in (PACKAGE.parent / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                names = [f"{origin}{one.name}" for one in node.names]
                found += [f"{path.name} imports {name}" for name in names if re.match(r"(tests|bench)\.test_", name)]
    assert not found, "\n".join(found)


def test_what_stages_import_is_what_computes() -> None:
    """The rooms that a checkpoint's code digest covers are those that a stage can import, by whatever way."""
    every = arrows()
    reached, todo = set[str](), [name for name in every if room(name) == "stages"]
    while todo:
        if (name := todo.pop()) not in reached:
            reached.add(name)
            todo += every[name]
    assert {room(name) for name in reached} - {""} == set(COMPUTES)


@pytest.mark.parametrize("name", sorted(modules()))
def test_modules_are_short(name: str) -> None:
    """A module that outgrows this holds more than one noun."""
    assert len(modules()[name].read_text(encoding="utf-8").splitlines()) <= MOST_LINES
