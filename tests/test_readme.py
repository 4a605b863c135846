"""What the READMEs and docs/statistics.md say is so: their commands, names and paths are those of the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import get_args

import pytest

from replicate.commands.main import build_parser, main
from replicate.common.paths import EXPECTED, ROOT
from replicate.report.readme import END
from replicate.runs.runner import selected
from replicate.tables.file import load_table, load_tables
from replicate.tables.profile import load_profile, profile_ids
from replicate.verdicts import error_rates
from replicate.verdicts.claims import ClaimStatus
from replicate.verdicts.published import Status

README = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
STATISTICS = ROOT / "docs" / "statistics.md"
PAGES = (README, CHINESE, STATISTICS)


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands() -> list[list[str]]:
    """Every command of the `sh` blocks, as words; what tox runs in turn stands as a command of its own."""
    lines = [line for page in (README, STATISTICS) for block in blocks(page, "sh") for line in block.splitlines()]
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
    return [*re.sub(r"\{posargs[^}]*\}", "", command).split(), *given]


def environment(words: list[str]) -> str | None:
    """The environment that a tox command names."""
    return words[words.index("-e") + 1] if "-e" in words else None


def tox_ini() -> RawConfigParser:
    """The tox.ini of this checkout."""
    parser = RawConfigParser()
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def of(program: str) -> list[object]:
    """The commands of one program, each once and with an id that a person can read."""
    found = {shlex.join(words): words[1:] for words in commands() if words[0] == program}
    return [pytest.param(words, id=line) for line, words in found.items()]


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
    assert "bench/test_rows.py::" in done.stdout


@pytest.mark.parametrize("words", of("tox"))
def test_tox_environment_exists(words: list[str]) -> None:
    """tox.ini has the environment that the command names; one without a name runs the tests."""
    name = environment(words)
    assert words == [] if name is None else tox_ini().has_section(f"testenv:{name}")


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
    assert tox_ini().has_section(f"testenv:{match[1]}")


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


def test_console_blocks_show_what_is_printed(tmp_path: Path) -> None:
    """Every command of the `console` blocks prints what stands below it; `…` and a line `...` stand for anything."""
    variables = surroundings(tmp_path)
    for block in blocks(README, "console"):
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
    """The README's row can be appended to the article's table as it stands."""
    table = EXPECTED / "ernie3_kuake_qic.toml"
    (block,) = blocks(README, "toml")
    path = tmp_path / table.name
    path.write_text(f"{table.read_text(encoding='utf-8')}\n{block}", encoding="utf-8")
    before, after = load_table(table), load_table(path)
    assert after.rows[:-1] == before.rows
    assert [step.stage for step in after.chain(after.rows[-1].id)] == ["augment", "finetune", "prune"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file or folder of the checkout, and every anchor a heading there."""
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_exist(page: Path) -> None:
    """Every Python file that a page names is in the package, among the tests or at the root."""
    for name in re.findall(r"(?<![*\w/])(?:replicate/|tests/)?([a-z_]+\.py)\b", page.read_text(encoding="utf-8")):
        if name != "data_aug.py":  # ERNIE's own script
            found = [*(ROOT / "replicate").rglob(name), *(ROOT / "tests").glob(name), *ROOT.glob(name)]
            assert found, name


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.name)
def test_profiles_and_verdicts_are_all_there(page: Path) -> None:
    """The table of profiles has each profile once, and every word of a verdict is explained."""
    text = page.read_text(encoding="utf-8")
    # The table of results before has as many columns.
    names = re.findall(r"^\| `(\w+)` \|(?:[^|\n]*\|){4}$", text.partition(END)[2], re.MULTILINE)
    assert sorted(names) == sorted(profile_ids())
    for word in (*get_args(Status), *get_args(ClaimStatus)):
        assert f"`{word}`" in text, word


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.name)
def test_variables_are_those_of_the_code(page: Path) -> None:
    """The README names each `REPLICATE_` variable that the code reads, and no other."""
    name = re.compile(r"\bREPLICATE_[A-Z_]+\b")
    sources = (*ROOT.glob("replicate/**/*.py"), ROOT / "conftest.py")
    read = {found for path in sources for found in name.findall(path.read_text(encoding="utf-8"))}
    assert set(name.findall(page.read_text(encoding="utf-8"))) == read


def test_statistics_page_has_the_tables_of_its_command() -> None:
    """Every heading, column and first cell that `python -m replicate.verdicts.error_rates` prints is on the page."""
    text = STATISTICS.read_text(encoding="utf-8")
    for line in error_rates.report(trials=40).splitlines():
        if line.startswith("###"):
            assert line in text.splitlines()
        elif line.startswith("| "):
            first = re.escape(line.split("|")[1].strip())
            assert re.search(rf"^\| {first} +\|", text, re.MULTILINE), line
