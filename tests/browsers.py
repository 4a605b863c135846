"""Pages in a browser: wide and narrow windows, what a page must not do, and what axe-core finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

# Each with its window and its colours.
WINDOWS = {
    "wide": ({"width": 1300, "height": 900}, "light"),
    "narrow": ({"width": 390, "height": 800}, "dark"),
}


@contextmanager
def opened_page(browser: Any, address: str, window: str) -> Iterator[Any]:
    """A page in one of the windows; a complaint of the browser or a request to anywhere fails at the end."""
    viewport, scheme = WINDOWS[window]
    context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
    page, complaints = context.new_page(), []
    # A busy machine takes its time to lay out so many tables.
    context.set_default_timeout(120_000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url[:5] not in ("file:", "data:") else None)
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    assert complaints == []


def axe() -> str:
    """The script of axe-core; a page takes it in a context that bypasses its policy."""
    return resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def serious(found: Any) -> list[str]:
    """What of axe-core's findings is serious or critical, with the first element that it is about."""
    return [
        f"{one['id']}: {one['nodes'][0]['html']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
