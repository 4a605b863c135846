"""Prose as spans: what `code`, **strong** and *emphasis* of our own text come to, for Markdown and HTML alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from replicate.report.blocks import Code, Link, Plain, Prose

_MARKS = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\*([^*\s](?:[^*]*[^*\s])?)\*", re.DOTALL)


@dataclass(frozen=True)
class Span:
    """A piece of prose: `text` and `code` have a text, others have spans inside; a link has a target too."""

    kind: Literal["text", "code", "strong", "emphasis", "link"]
    text: str = ""
    inside: tuple[Span, ...] = ()
    target: str = ""


def spans(prose: Prose) -> tuple[Span, ...]:
    """The spans of some prose, white space collapsed.

    Raises:
        ValueError: our own text has a mark without its other half.
    """
    if isinstance(prose, tuple):
        return tuple(span for part in prose for span in spans(part))
    if isinstance(prose, Link):
        return (Span("link", inside=spans(prose.words), target=prose.target),)
    if isinstance(prose, Plain | Code):
        return (Span("text" if isinstance(prose, Plain) else "code", _on_one_line(prose.text)),)
    return _own(_on_one_line(prose))


def plain(prose: Prose) -> str:
    """The letters alone."""
    return "".join(_letters(span) for span in spans(prose))


def _letters(span: Span) -> str:
    return span.text + "".join(map(_letters, span.inside))


def _on_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _own(text: str) -> tuple[Span, ...]:
    """Our own text, its marks read."""
    found: list[Span] = []
    at = 0
    for match in _MARKS.finditer(text):
        found += _rest(text[at : match.start()])
        code, strong, emphasis = match.groups()
        if code:
            found.append(Span("code", code))
        else:
            found.append(Span("strong" if strong else "emphasis", inside=_own(strong or emphasis)))
        at = match.end()
    return (*found, *_rest(text[at:]))


def _rest(text: str) -> list[Span]:
    if "`" in text or "**" in text:
        raise ValueError(f"a mark without its other half: {text!r}")
    return [Span("text", text)] if text else []
