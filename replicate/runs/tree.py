"""A plan as something to look at: a tree of text, or Graphviz."""

from __future__ import annotations

import json
from collections.abc import Callable

from replicate.runs.plan import Stage


def tree(last: Stage, told: Callable[[Stage], str]) -> list[str]:
    """The plan as lines: the last stage first, below it what it starts from, by port.

    Args:
        last: the stage that everything leads to.
        told: what a line says of a stage. One that stands further up already is only named again.
    """
    lines: list[str] = []
    seen: set[str] = set()
    # A stack in place of recursion: a plan may be thousands deep.
    waiting: list[tuple[Stage | str, str, str, str]] = [(last, "", "", "")]
    while waiting:
        source, port, branch, below = waiting.pop()
        named = f"{branch}{port}: " if port else branch
        if isinstance(source, str):
            lines.append(f"{named}{source}")
            continue
        if source.key in seen:
            lines.append(f"{named}{source.name}, as above")
            continue
        seen.add(source.key)
        lines.append(f"{named}{told(source)}")
        parts = [(one, name) for name, taken in source.sources.items() for one in taken]
        ends = [("├─ ", "│  ")] * (len(parts) - 1) + [("└─ ", "   ")]
        waiting += [
            (one, name, below + mark, below + rest)
            for (one, name), (mark, rest) in reversed([*zip(parts, ends, strict=False)])
        ]
    return lines


def settings_told(stage: Stage) -> str:
    """A stage with the settings that profile and row say."""
    said = ", ".join(_settings(stage))
    return f"{stage.name} ({said})" if said else stage.name


def _settings(stage: Stage) -> list[str]:
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in stage.passed.items()]


def dot(last: Stage, title: str) -> str:
    """The plan as Graphviz text: stages with their settings, an arrow to each from what it starts from."""
    lines = [f"digraph {_quoted(title)} {{", "  rankdir = LR;", "  node [shape = box];"]
    names: dict[str, str] = {}

    def name_of(source: Stage | str) -> str:
        key = source.key if isinstance(source, Stage) else source
        if key not in names:
            names[key] = f"n{len(names)}"
            label = "\n".join([source.name, *_settings(source)]) if isinstance(source, Stage) else source
            lines.append(f"  {names[key]} [label = {_quoted(label)}];")
        return names[key]

    for stage in last.chain():
        target = name_of(stage)
        for port, taken in stage.sources.items():
            lines += [f"  {name_of(one)} -> {target} [label = {_quoted(port)}];" for one in taken]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
