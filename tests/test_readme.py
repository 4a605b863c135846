"""What the READMEs, CONTRIBUTING.md and docs/ say is so: commands, names, paths and links are those of the code."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from configparser import RawConfigParser
from itertools import pairwise
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from replicate.commands.main import build_parser, main
from replicate.common.paths import EXPECTED, ROOT
from replicate.findings.compute import compare_all
from replicate.report.build import current_evidence
from replicate.runs.ask import selected
from replicate.tables.file import load_table, load_tables
from replicate.tables.profile import load_profile, profile_ids
from replicate.verdicts import error_rates
from replicate.verdicts.effects import ClaimStatus
from replicate.verdicts.published import Status

README = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
DOCS = ROOT / "docs"
STATISTICS = DOCS / "statistics.md"
GENERATED = DOCS / "report"
# What people write; CHANGELOG.md tells of the past, so its names may be gone.
PAGES = (
    README,
    CHINESE,
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in DOCS.rglob("*.md") if GENERATED not in page.parents),
)
# What is generated has links too.
LINKED = (*PAGES, ROOT / "CHANGELOG.md", ROOT / "REPORT.md", *sorted(GENERATED.rglob("*.md")))
LARGEST = 9 * 1024


def named(page: Path) -> str:
    """What a test's case of a page is called."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands() -> list[list[str]]:
    """Every command of the `sh` blocks, as words; what tox runs in turn stands as a command of its own."""
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    whole = [shlex.split(part) for line in lines for part in line.split("&&")]
    return whole + [inner for words in whole if words[0] == "tox" and (inner := behind_tox(words))]


def behind_tox(words: list[str]) -> list[str]:
    """What `tox … -- …` runs: a command (`exec`), or the environment's own pytest command with more options."""
    if "--" not in words:
        return []
    given = words[words.index("--") + 1 :]
    if words[1] == "exec":
        return given
    command = tox_ini().get(f"testenv:{environment(words)}", "commands")
    return [*shlex.split(re.sub(r"\{posargs[^}]*\}", "", command)), *given]


def environment(words: list[str]) -> str | None:
    """The environment that a tox command names."""
    return words[words.index("-e") + 1] if "-e" in words else None


def environments() -> set[str]:
    """The environments of tox, those without a section of their own too."""
    parser = tox_ini()
    sections = {name.removeprefix("testenv:") for name in parser.sections() if name.startswith("testenv:")}
    return sections | {name.strip() for name in parser.get("tox", "env_list").split(",")}


def tox_ini() -> RawConfigParser:
    """The tox.ini of this checkout."""
    parser = RawConfigParser()
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def of(program: str) -> list[object]:
    """The commands of one program, each once and with an id that a person can read."""
    found = {shlex.join(words): words[1:] for words in commands() if words[0] == program}
    return [pytest.param(words, id=line) for line, words in found.items()]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_are_of_known_languages(page: Path) -> None:
    """A block is of a language that a test here looks at, or `text`; a script from elsewhere would draw a diagram."""
    languages = re.findall(r"^ *```(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(languages) <= {"console", "sh", "text", "toml"}


def test_what_starts_a_cluster_is_well_formed() -> None:
    """The script for Slurm is one that bash reads, and that for Kubernetes is YAML with the Ray of the extra."""
    found = {block.splitlines()[0]: block for block in blocks(DOCS / "sweeps.md", "text")}
    subprocess.run(["bash", "-n"], input=found["#!/bin/bash"], text=True, check=True)
    cluster, policy = pytest.importorskip("yaml").safe_load_all(found["apiVersion: ray.io/v1"])
    assert f"ray=={cluster['spec']['rayVersion']}" in (ROOT / "requirements" / "ray.in").read_text().splitlines()
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert {one["name"] for one in container["env"]} >= {"REPLICATE_STORE", "RAY_worker_niceness"}
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": cluster["metadata"]["name"]}


def test_every_command_is_checked() -> None:
    """The pages use no program that no test here looks at."""
    assert {words[0] for words in commands()} == {".", "export", "pytest", "python", "replicate", "tox"}


@pytest.mark.parametrize("words", of("replicate"))
def test_replicate_command_is_valid(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It parses and names a profile and rows that exist; one that only prints, or makes the example, also runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    if words == ["--help"]:
        with pytest.raises(SystemExit, match="^0$"):
            main(words)
        return
    args = vars(build_parser().parse_args(words))
    rows = args.get("rows", [])
    if profile := args.get("profile"):
        assert {row for _, row in selected(load_tables(), load_profile(profile), tuple(rows))} >= set(rows)
    if words[0] == "completion":
        pytest.importorskip("shtab")
    if words[0] in ("completion", "list", "show", "data") or args.get("dry_run"):
        assert main(words) == 0
        assert capsys.readouterr().out


@pytest.mark.parametrize("words", of("pytest"))
def test_pytest_command_selects_cases(words: list[str], tmp_path: Path) -> None:
    """Its options are known and its `-k` fits at least one case."""
    call = [sys.executable, "-m", "pytest", *words, "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, env=surroundings(tmp_path), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{'bench/test_rows.py' if words[0] == 'bench' else words[0]}::" in done.stdout


@pytest.mark.parametrize("words", of("tox"))
def test_tox_environment_exists(words: list[str]) -> None:
    """tox.ini has the environment that the command names; one without a name runs the tests."""
    name = environment(words)
    assert words == [] if name is None else name in environments()


@pytest.mark.parametrize("words", of("python"))
def test_python_module_exists(words: list[str]) -> None:
    """`python -m` names pip, or a module of this project that can be run."""
    assert words[0] == "-m"
    if words[1] != "pip":
        module = ROOT.joinpath(*words[1].split(".")).with_suffix(".py")
        assert '__name__ == "__main__"' in module.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", of("."))
def test_sourced_file_is_that_of_an_environment(words: list[str]) -> None:
    """What is sourced is the activation script of an environment of tox."""
    match = re.fullmatch(r"\.tox/(\w+)/bin/activate", words[0])
    assert match
    assert match[1] in environments()


def surroundings(folder: Path) -> dict[str, str]:
    """Variables for a command: `replicate` is this checkout's, the store is `folder`'s, and there is no GPU."""
    programs = folder / "bin"
    programs.mkdir()
    script = programs / "replicate"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m replicate "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "REPLICATE_STORE": str(folder / "store"),
        "CUDA_VISIBLE_DEVICES": "",
    }


def transcript(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a `console` block with the output that is printed below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")], ids=named)
def test_console_blocks_show_what_is_printed(page: Path, tmp_path: Path) -> None:
    """Every command of the `console` blocks prints what stands below it; `…` and a line `...` stand for anything."""
    variables = surroundings(tmp_path)
    for block in blocks(page, "console"):
        for command, expected in transcript(block):
            assert "--accept" not in command, "a test must not change measured/"
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env=variables,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            pattern = re.escape(expected).replace("…", ".*").replace(r"\.\.\." + "\\\n", "(?:.*\n)*")
            assert re.fullmatch(pattern, done.stdout), f"$ {command}\n{done.stdout}"


def test_both_languages_have_the_same_commands() -> None:
    """Blocks of commands and TOML are the same in both READMEs, in the same order."""
    languages = ("console", "sh", "toml")
    assert blocks(README, *languages) == blocks(CHINESE, *languages)


def test_example_row_loads(tmp_path: Path) -> None:
    """The examples of rows can be appended to the article's table as they stand."""
    table, stages = EXPECTED / "ernie3_kuake_qic.toml", ["augment", "finetune", "prune"]
    path, before = tmp_path / table.name, load_table(table)
    for block, more in zip(blocks(DOCS / "rows-and-tables.md", "toml"), ([], ["fuse"]), strict=True):
        path.write_text(f"{table.read_text(encoding='utf-8')}\n{block}", encoding="utf-8")
        after = load_table(path)
        assert after.rows[:-1] == before.rows
        assert [step.stage for step in after.chain(after.rows[-1].id)] == [*stages, *more]


@pytest.mark.parametrize("page", [README, CHINESE], ids=named)
def test_readme_is_short(page: Path) -> None:
    """A README answers; the rest is in docs/."""
    assert page.stat().st_size <= LARGEST


def test_what_the_readmes_say_of_claims() -> None:
    """The paragraph on the small net says what its records say; where this fails, both READMEs need another one."""
    evidence = current_evidence()
    compared = compare_all(evidence)
    told = {
        (profile, one.claim.id): one.verdict.status
        for table in ("ernie3_kuake_qic", "compression")
        for profile in ("small", "exploratory")
        for one in compared[table, profile].claims
    }
    held = ("augment-lowers", "prune-1-2-keeps", "prune-2-3-raises")
    without_leak = [f"{engine}-{width}-keeps" for engine in ("native", "cleared") for width in ("1-2", "2-3")]
    assert {told["small", name] for name in (*held, *without_leak)} == {"supported"}
    assert told["small", "prune-2-3-beats-base"] == told["small", "augment-lowers-one-rule"] == "undecided"
    # Pruning without the leak isn't shown to gain.
    planned = compared["compression", "small"].decided
    assert planned
    assert "above" not in {planned.verdicts[name].word for name in without_leak}
    assert told["exploratory", "leak-1-2-helps"] == told["exploratory", "leak-2-3-helps"] == "supported"
    assert not [record for record in evidence.records if record.profile == "paper"]


def inlines(page: Path) -> Iterator[tuple[Token, list[Token]]]:
    """Each paragraph, heading and cell of a page: the token that opens it and what is in it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    for before, token in pairwise(tokens):
        if token.type == "inline":
            yield before, token.children or []


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead."""
    found = [one.attrs.get("href", one.attrs.get("src")) for _, children in inlines(page) for one in children]
    return [str(link) for link in found if link]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them: one that comes again has a number."""
    found, times = set(), Counter[str]()
    for opening, children in inlines(page):
        if opening.type == "heading_open":
            text = "".join(one.content for one in children if one.type in ("text", "code_inline"))
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{anchor}-{times[anchor]}" if times[anchor] else anchor)
            times[anchor] += 1
    return found


@pytest.mark.parametrize("page", LINKED, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file or folder of the checkout, and every anchor a heading there."""
    dead = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_relative_to(ROOT) or not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


def test_every_page_is_linked_to() -> None:
    """From the README a reader reaches every page of docs/ that people write."""
    reached, todo = {README}, [README]
    while todo:
        page = todo.pop()
        names = (unquote(link).partition("#")[0] for link in links(page) if not re.match(r"[a-z]+:", link))
        for target in {(page.parent / name).resolve() for name in names if name.endswith(".md")} - reached:
            if target.exists():
                reached.add(target)
                todo.append(target)
    assert set(PAGES) <= reached


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_modules_exist(page: Path) -> None:
    """Every Python file and folder of code that a page names is in the package, among the tests or at the root."""
    text, folders = page.read_text(encoding="utf-8"), ("", "replicate", "tests")
    missing = []
    for name in re.findall(r"(?<![*\w./-])(?:\.\./)*((?:\w+/)*\w+\.py|(?:replicate|tests|bench)/(?:\w+/)*\w*)", text):
        if any((ROOT / folder / name).exists() for folder in folders):
            continue
        # A bare name may be that of any module of the package; data_aug.py is ERNIE's own script.
        if name != "data_aug.py" and ("/" in name or not any(ROOT.glob(f"replicate/**/{name}"))):
            missing.append(name)
    assert not missing


def test_rooms_are_in_their_order() -> None:
    """docs/architecture.md lists every room of the package, in the order that tests/test_layers.py holds."""
    section = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Rooms")[2].partition("\n## ")[0]
    rooms = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    assert sorted(rooms) == sorted(path.parent.name for path in ROOT.glob("replicate/*/__init__.py"))
    order = re.search(r"^ROOMS = (\(.*?\))$", (ROOT / "tests/test_layers.py").read_text(encoding="utf-8"), re.M | re.S)
    assert order
    assert tuple(rooms) == ast.literal_eval(order[1])


def test_profiles_are_all_there() -> None:
    """The table of profiles has each profile once."""
    text = (DOCS / "profiles.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `([\w-]+)` \|(?:[^|\n]*\|){4}$", text, re.MULTILINE)
    assert sorted(names) == sorted(profile_ids())


@pytest.mark.parametrize("page", [README, CHINESE, DOCS / "reading.md"], ids=named)
def test_verdicts_are_all_there(page: Path) -> None:
    """Every word of a verdict is explained."""
    text = page.read_text(encoding="utf-8")
    for word in (*get_args(Status), *get_args(ClaimStatus)):
        assert f"`{word}`" in text, word


def test_variables_are_those_of_the_code() -> None:
    """docs/offline.md names each `REPLICATE_` variable that the code reads, and no page one that nothing reads."""
    name = re.compile(r"\bREPLICATE_[A-Z_]+\b")

    def found(*paths: Path) -> set[str]:
        return {one for path in paths for one in name.findall(path.read_text(encoding="utf-8"))}

    read = found(*ROOT.glob("replicate/**/*.py"), ROOT / "conftest.py")
    assert found(DOCS / "offline.md") == read
    assert found(*PAGES) <= read | found(*ROOT.glob("tests/*.py"))


def test_statistics_page_has_the_tables_of_its_command() -> None:
    """Every heading, column and first cell that `python -m replicate.verdicts.error_rates` prints is on the page."""
    text = STATISTICS.read_text(encoding="utf-8")
    for line in error_rates.report(trials=40).splitlines():
        if line.startswith("###"):
            assert line in text.splitlines()
        elif line.startswith("| "):
            first = re.escape(line.split("|")[1].strip())
            assert re.search(rf"^\| {first} +\|", text, re.MULTILINE), line
