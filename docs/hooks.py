"""What MkDocs lacks for this project: pages and links outside docs/, and headings' anchors as GitHub makes them.

Pages are read on GitHub as often as in the site, so their links are those of the checkout: `../expected/x.toml`. In the
site, the Markdown files at the root become pages; any other file that a page links to is copied to `files/`, and of a
folder a page lists what is in it. A link to what is not in the checkout stays as it is, and MkDocs reports it.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Link, Navigation
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = "docs"
# Files at the root that are pages; the first one is the site's front page.
PAGES = ("README.md", "README.zh-CN.md", "REPORT.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
COPIES = "files"
# A browser would offer to save these instead of showing them.
_SHOWN = (".html", ".json", ".md", ".png", ".svg", ".txt")
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The report's pages go into the navigation, and anchors are made by `Anchors`."""
    pages = ["REPORT.md", *(f"report/{path.name}" for path in sorted((ROOT / DOCS / "report").glob("*.md")))]
    assert config.nav
    config.nav.insert(1, {"The report": pages})
    config.mdx_configs["toc"]["slugify"] = _anchors
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages at the root, and what pages link to outside docs/."""
    for name in PAGES:
        files.append(File.generated(config, name, content=_read(name)))
    wanted = {
        target for file in files.documentation_pages() for _, target in _outside(file.src_uri, file.content_string)
    }
    while wanted:
        path = wanted.pop()
        if (ROOT / path).is_dir():
            text = _listing(path)
            new = File.generated(config, _copied(path), content=text)
            # The files below it, but no folders: those have a page only where one is linked to.
            wanted |= {target for _, target in _outside(new.src_uri, text) if (ROOT / target).is_file()}
        else:
            new = File.generated(config, _copied(path), abs_src_path=str(ROOT / path))
        if files.get_file_from_path(new.src_uri) is None:
            files.append(new)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links of the checkout into links of the site."""
    _anchors.restart()
    here = page.file.src_uri
    targets = dict(_outside(here, markdown))

    def changed(match: re.Match[str]) -> str:
        link = match[2]
        if link in targets:
            path = _copied(targets[link])
        elif (path := _within(here, link)) is None or files.get_file_from_path(path) is None:
            return match[0]
        return match[1] + posixpath.relpath(path, posixpath.dirname(here) or ".")

    parts = _CODE.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(changed, part) for number, part in enumerate(parts))


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Adds the reference, which reference.py writes beside the pages when they are built."""
    nav.items.append(Link("Reference of the code", "reference/replicate.html"))
    return nav


class Anchors:
    """Anchors of one page's headings, as GitHub makes them; a heading that comes again gets a number."""

    def __init__(self) -> None:
        """Starts the first page."""
        self.restart()

    def restart(self) -> None:
        """Forgets the page before."""
        self._seen: Counter[str] = Counter()

    def __call__(self, heading: str, separator: str) -> str:
        """The anchor of the next heading."""
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)
        self._seen[anchor] += 1
        return anchor if self._seen[anchor] == 1 else f"{anchor}{separator}{self._seen[anchor] - 1}"


_anchors = Anchors()


def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _source(uri: str) -> str:
    """Where a page of the site lies in the checkout, or would lie."""
    return uri if uri in PAGES or uri.startswith(f"{COPIES}/") else f"{DOCS}/{uri}"


def _target(uri: str, link: str) -> str:
    """Where a page's link leads in the checkout."""
    if uri.startswith(f"{COPIES}/"):
        # A folder's listing: its links are those of the folder.
        folder = posixpath.dirname(uri)[len(COPIES) + 1 :]
    else:
        folder = posixpath.dirname(_source(uri))
    return posixpath.normpath(posixpath.join(folder, link))


def _within(uri: str, link: str) -> str | None:
    """The page or file of the site that a link leads to, if docs/ has it or it is a page at the root."""
    target = _target(uri, link)
    if target in PAGES:
        return target
    if target == f"{DOCS}/report":
        return "REPORT.md"
    return target[len(DOCS) + 1 :] if target.startswith(f"{DOCS}/") else None


def _outside(uri: str, text: str) -> Iterator[tuple[str, str]]:
    """Each link of a page that leads to something else of the checkout, with its path there."""
    for part in _CODE.split(text)[::2]:
        for match in _LINK.finditer(part):
            if _within(uri, match[2]) is None:
                target = _target(uri, match[2])
                if not target.startswith("..") and (ROOT / target).exists():
                    yield match[2], target


def _copied(path: str) -> str:
    """Where the site has a file or folder of the checkout."""
    if (ROOT / path).is_dir():
        return f"{COPIES}/{path}/index.md"
    return f"{COPIES}/{path}" + ("" if path.endswith(_SHOWN) else ".txt")


def _listing(folder: str) -> str:
    """A page of the files in a folder."""
    paths = sorted(path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    names = [path.relative_to(ROOT / folder).as_posix() for path in paths]
    return f"# {folder}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
