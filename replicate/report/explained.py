"""Explanations as one HTML file that needs no network and no script: characters coloured by what they add."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from replicate.explain.explanation import Explanation
from replicate.explain.shades import SHADES, coloured
from replicate.report.html import WEB, policy

# Pieces of a text that its table names.
MOST = 8
_STYLE = """
.text { font-size: 1.35rem; line-height: 2; background: var(--card); border: 1px solid var(--rim); border-radius: 6px;
  padding: .5rem .8rem; max-width: none; white-space: pre-wrap; }
.text span { border-radius: 3px; padding: .1em 0; }
"""


def explained(rows: Sequence[Explanation], title: str, extra: Sequence[Sequence[str]] = ()) -> str:
    """The page.

    Args:
        rows: the explanations.
        title: of the page.
        extra: sentences below each of them.
    """
    style = (WEB / "report.css").read_text(encoding="utf-8") + _STYLE + _shades()
    parts = [_one(one, number, extra[number - 1] if extra else ()) for number, one in enumerate(rows, start=1)]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy(style))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>Blue speaks for the label, orange against it; the stronger, the more. A score says what the logit of the label loses
without the piece, the lead what its lead over the second label loses.</p>
{"".join(parts)}</main>
</body>
</html>
"""


def _one(one: Explanation, number: int, extra: Sequence[str]) -> str:
    heading = f"<h2>Text {number}"
    if not one.labels:
        return f"{heading}</h2>\n<p>There is nothing in it that the model could read.</p>\n"
    said = [f"{escape(label)} ({share:.2f})" for label, share in zip(one.labels, one.probabilities, strict=True)]
    spans = "".join(_part(part, tone) for part, tone in coloured(one))
    cut = "<p>The model read its beginning only.</p>\n" if one.pieces.truncated else ""
    more = "".join(f"<p>{escape(words)}</p>\n" for words in extra)
    second = f", rather than {said[1]}" if len(said) > 1 else ""
    return f'{heading}: {said[0]}{second}</h2>\n<p class="text">{spans}</p>\n{cut}{_table(one)}{more}'


def _part(text: str, tone: int | None) -> str:
    if tone is None:
        return f'<span class="quiet">{escape(text)}</span>' if text.strip() else escape(text)
    return f'<span class="{_name(tone)}">{escape(text)}</span>' if tone else escape(text)


def _table(one: Explanation) -> str:
    order = np.argsort(-np.abs(one.scores[:, 0]), kind="stable")[:MOST]
    lines = []
    for at in order.tolist():
        begin, end = one.pieces.spans[at]
        score, lead = one.scores[at]
        cells = (escape(one.pieces.text[begin:end]), str(begin + 1), f"{score:+.3f}", f"{lead:+.3f}")
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in ("piece", "place", "score", "lead over the second"))
    body = "\n".join(lines)
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="The pieces that weigh most">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n"
    )


def _name(tone: int) -> str:
    return f"{'for' if tone > 0 else 'against'}-{abs(tone)}"


def _shades() -> str:
    """A background for each shade, faint enough for the text on it in light and dark."""
    colours = {"for": "0, 114, 178", "against": "213, 94, 0"}
    return "\n".join(
        f".{name}-{tone} {{ background: rgba({colour}, {0.09 * tone:.2f}); }}"
        for name, colour in colours.items()
        for tone in range(1, SHADES + 1)
    )
