"""nlpcda's strategies through the real package: our draws, its silence, its rates, and what it lacks."""

from __future__ import annotations

import marshal
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats

from replicate.augment import STRATEGIES, augment_texts
from replicate.augment import nlpcda as ours
from replicate.augment.draws import generator
from replicate.augment.strategy import Context, Line, Lookup
from replicate.common.errors import UserError

TEXT = "阿里巴巴的员工头痛发烧3天应该怎么治疗才好得快呢"


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run store, in which nothing is kept."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATE_STORE", str(folder))
        ours._tool.cache_clear()
        yield folder
    ours._tool.cache_clear()


def copies_of(name: str, text: str, count: int, words: tuple[tuple[str, str], ...] = ()) -> Counter[str]:
    """Copies of a line, each by another generator."""
    line = Line(text, words)
    change = STRATEGIES[name].build(Context([line], "?"))
    return Counter(str(change(line, generator(2, index))) for index in range(count))


def test_package_is_imported_only_when_asked_for() -> None:
    """Neither the registry nor a mix without nlpcda imports it."""
    program = (
        "import sys\nfrom replicate.augment import augment_texts\naugment_texts(['药好'], {'unk': 1}, seed=0)\n"
        "sys.exit(bool({'nlpcda', 'jieba', 'requests'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_package_leaves_no_trace(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It prints nothing, moves no global generator, and writes no file."""
    random.seed(5)
    before = random.getstate()
    first = {name: copies_of(name, TEXT, 20, ((TEXT[:4], "ORG"), (TEXT[4:], "n"))) for name in (*ours._TOOLS, "ner")}
    assert random.getstate() == before
    random.seed(6)
    assert first == {
        name: copies_of(name, TEXT, 20, ((TEXT[:4], "ORG"), (TEXT[4:], "n"))) for name in (*ours._TOOLS, "ner")
    }
    assert tuple(capfd.readouterr()) == ("", "")
    assert not any(store.rglob("*"))
    import jieba

    assert not jieba.dt.initialized
    assert ours._tool("delete").jieba.initialized
    assert ours._tool("delete").jieba is not ours._tool("synonym").jieba


def test_homophones_come_at_the_packages_rate() -> None:
    """Its own 5 % of the characters that have homophones change, to one of its list; others stay."""
    tool = ours._tool("homophone")
    sounds = tool.base_file_mapobj["是"]
    (copy,) = copies_of("homophone", "是" * 5000 + "。" * 50, 1)
    assert copy.endswith("。" * 50)
    changed = [char for char in copy[:5000] if char != "是"]
    assert set(changed) <= set(sounds)
    assert stats.binomtest(len(changed), 5000, 0.05 * (1 - 1 / len(sounds))).pvalue > 1e-4


@pytest.mark.parametrize("name", ["entity", "synonym", "swap", "equivalent", "delete"])
def test_each_changes_what_it_says(name: str) -> None:
    """Companies become companies, words their synonyms, digits other signs; swaps keep all characters."""
    copies = copies_of(name, TEXT, 200)
    assert len(copies) > 2
    tool = ours._tool(name)
    for copy in copies:
        if name == "swap":
            assert sorted(copy) == sorted(TEXT)
        if name == "equivalent":
            assert copy.replace(copy[copy.index("烧") + 1], "3") == TEXT
            assert copy[copy.index("烧") + 1] in {"3", *tool.base_file_mapobj["3"]}
        if name == "entity":
            assert copy == TEXT or any(copy == TEXT.replace("阿里巴巴", company) for company in tool.base_file_mapobj)
        if name == "delete":
            rest = iter(TEXT)
            assert all(char in rest for char in copy)
            assert len(copy) < len(TEXT)


def test_synonyms_are_the_packages() -> None:
    """A replaced word has its replacement in the package's list."""
    synonyms = set(ours._tool("synonym").base_file_mapobj["治疗"])
    assert {copy.removesuffix("高血压啊") for copy in copies_of("synonym", "治疗高血压啊", 300)} <= synonyms | {"治疗"}


def test_entities_are_exchanged_within_a_tag() -> None:
    """Every entity becomes one of the same tag in the data set, by frequency; a tag's only entity stays."""
    lines = [
        Line("张三去北京看李四", (("张三", "PER"), ("去", "v"), ("北京", "LOC"), ("看", "v"), ("李四", "PER"))),
        Line("王五病了", (("王五", "PER"), ("病", "v"), ("了", "xc"))),
    ]
    change = STRATEGIES["ner"].build(Context(lines, "?"))
    copies = Counter(str(change(lines[0], generator(0, index))) for index in range(3000))
    people = {"张三", "李四", "王五"}
    assert set(copies) == {f"{one}去北京看{other}" for one in people for other in people}
    assert stats.chisquare(list(copies.values())).pvalue > 1e-4


def test_hopeless_lines_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that holds nothing to change is given to the package once, not 20 times for each copy."""
    tool = ours._tool("equivalent")
    calls = []
    replace = tool.replace
    monkeypatch.setattr(tool, "replace", lambda text: calls.append(text) or replace(text))  # type: ignore[func-returns-value]
    assert augment_texts(["药好"], {"equivalent": 1}, 4, seed=0).texts == (("药好",) * 4,)
    assert calls == ["药好"]


def test_translation_needs_a_key_and_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, without a network and for a key that is refused: one line each."""
    for name in ours.BAIDU:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="needs a network and a key .* REPLICATE_BAIDU_APPID and REPLICATE_BAIDU_KEY"):
        augment_texts(["头痛"], {"translate": 1}, seed=0)
    for name in ours.BAIDU:
        monkeypatch.setenv(name, "secret")
    requests = ours._package("requests")

    def unreachable(*_: object, **__: object) -> None:
        raise requests.ConnectionError("http://…sign=secret")

    def refused(*_: object, **__: object) -> Any:
        return SimpleNamespace(json=lambda: {"error_code": "54001"})

    for get in (unreachable, refused):
        monkeypatch.setattr(requests, "get", get)
        with pytest.raises(UserError, match=r"no translation from Baidu \(.*Error\); check the network") as told:
            augment_texts(["头痛"], {"translate": 1}, seed=0)
        assert "secret" not in str(told.value)


def test_translation_goes_there_and_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each distinct text is translated into English and back once, whatever the number of copies, with a time limit."""
    asked: list[tuple[str, str, str]] = []

    def get(_: str, query: dict[str, str], timeout: float) -> Any:
        asked.append((query["q"], query["from"], query["to"]))
        assert timeout > 0
        answer = {"头痛": "headache", "headache": "头很 痛"}[query["q"]]
        return SimpleNamespace(json=lambda: {"trans_result": [{"dst": answer}]})

    requests = ours._package("requests")

    monkeypatch.setattr(requests, "get", get)
    for name in ours.BAIDU:
        monkeypatch.setenv(name, "secret")
    augmented = augment_texts(["头痛", "头痛"], {"translate": 1}, 3, seed=0)
    assert augmented.texts == (("头很 痛",) * 3,) * 2
    assert asked == [("头痛", "zh", "en"), ("headache", "en", "zh")]
    assert isinstance(STRATEGIES["translate"].build(Context([], "?"))(Line("头痛"), generator(0, 0)), Lookup)


def test_simbert_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without its packages or its weights: one line each."""
    package = ours._package()
    monkeypatch.setattr(package, "no_simbert", True)
    with pytest.raises(UserError, match="simbert needs the packages bert4keras and tensorflow"):
        augment_texts(["头痛"], {"simbert": 1}, seed=0)
    monkeypatch.setattr(package, "no_simbert", False)
    monkeypatch.setenv(ours.SIMBERT, str(tmp_path))
    with pytest.raises(UserError, match="simbert needs its weights; name the folder .* in REPLICATE_SIMBERT"):
        augment_texts(["头痛"], {"simbert": 1}, seed=0)


def test_a_cache_that_somebody_else_left_is_not_read(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jieba reads one with `marshal`, from a folder that all can write to; none of them is even opened."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = [tmp_path / "jieba.cache", store / "jieba" / "jieba.cache"]
    for path in planted:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(marshal.dumps(({"阿里巴巴的员工": 10**9}, 10**9)))
        # jieba takes one that is newer than its own words.
        os.utime(path, (2**31, 2**31))
    ours._tool.cache_clear()
    ours._words.cache_clear()
    assert ours._tool("delete").jieba.lcut(TEXT)[:3] == ["阿里巴巴", "的", "员工"]
