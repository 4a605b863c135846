"""KUAKE-QIC: its files, their MD5 and what happens without them."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from replicate.common.errors import UserError
from replicate.corpus import kuake, load_dataset
from replicate.corpus.formats import Dataset


@pytest.fixture(scope="module")
def real() -> Dataset:
    """The real data, from the folder that the environment names."""
    if not os.environ.get(kuake.VARIABLE):
        pytest.skip(f"{kuake.VARIABLE} names no folder with KUAKE-QIC")
    return kuake.load()


def test_real_data_has_the_published_shape(real: Dataset) -> None:
    """6,931 training, 1,955 dev (676 of the article's positive class) and 1,994 test queries."""
    assert (len(real.train), len(real.dev), len(real.unlabelled)) == (6931, 1955, 1994)
    assert real.labels[1] == "治疗方案"
    assert real.dev.labels.count(1) == 676
    assert set(real.train.labels) == set(range(11))


def test_real_data_loads_by_name_and_offline(real: Dataset) -> None:
    """`kuake-qic` reads the named folder, where offline makes no difference."""
    assert load_dataset("kuake-qic", offline=True) == real


def test_generated_proportions_are_those_of_the_real_data(real: Dataset) -> None:
    """The counts that the generated corpus follows are the real training split's."""
    from replicate.corpus import generated

    counts = Counter(real.train.labels)
    assert tuple(counts[i] for i in range(11)) == generated._PROPORTIONS


def test_labels_and_md5_are_those_of_paddlenlp() -> None:
    """The installed PaddleNLP has the same label order, address and MD5 (read from its source, not imported)."""
    spec = importlib.util.find_spec("paddlenlp")
    assert spec is not None
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0], "datasets", "cblue.py").read_text(encoding="utf-8")
    (config,) = (
        value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "KUAKE-QIC"
    )
    strings = [node.value for node in ast.walk(config) if isinstance(node, ast.Constant)]
    assert set(kuake.MD5) <= set(strings)
    assert {kuake.URL, kuake.ARCHIVE_MD5, *kuake.MD5.values()} <= set(strings)
    (labels,) = (
        [element.value for element in node.elts if isinstance(element, ast.Constant)]
        for node in ast.walk(config)
        if isinstance(node, ast.List) and len(node.elts) == len(kuake.LABELS)
    )
    assert tuple(labels) == kuake.LABELS


def test_changed_file_is_refused(tmp_path: Path) -> None:
    """A file with another MD5 is a one-line error that names it and both sums."""
    for name in kuake.MD5:
        (tmp_path / name).write_text("[]", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        kuake.load(tmp_path)
    told, digest = str(caught.value), hashlib.md5(b"[]").hexdigest()
    assert told.startswith(f"{tmp_path / 'KUAKE-QIC_train.json'}: MD5 is {digest}")
    assert kuake.MD5["KUAKE-QIC_train.json"] in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A folder without the files is an error, not a reason to look elsewhere."""
    with pytest.raises(UserError, match=r"KUAKE-QIC_train\.json: can't be read"):
        kuake.load(tmp_path)


# Everything that Paddle's downloader does goes through these; port 9 discards, so no packet leaves the machine.
DEAD_PROXY = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}


def _load_elsewhere(tmp_path: Path, offline: bool) -> list[str]:
    """Load in a fresh process with an empty PaddleNLP cache; whether paddlenlp was imported, then the error."""
    code = f"""
import sys
from replicate.corpus import load_dataset
from replicate.common.errors import UserError
try:
    load_dataset("kuake-qic", offline={offline})
except UserError as error:
    print("paddlenlp" in sys.modules)
    print(error)
"""
    environment = {k: v for k, v in os.environ.items() if k != kuake.VARIABLE and k.lower() != "no_proxy"}
    environment |= {"PPNLP_HOME": str(tmp_path), **DEAD_PROXY}
    root = Path(__file__).resolve().parent.parent
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-2:]


def test_offline_never_asks_the_network(tmp_path: Path) -> None:
    """Offline and without the files, the error comes without PaddleNLP and leaves its cache untouched."""
    imported, error = _load_elsewhere(tmp_path, offline=True)
    assert imported == "False"
    assert "offline" in error
    assert f"; set {kuake.VARIABLE} " in error
    assert list(tmp_path.iterdir()) == []


def test_missing_network_is_one_line(tmp_path: Path) -> None:
    """The failure names the address and says what to do instead; nothing is left in the cache."""
    imported, error = _load_elsewhere(tmp_path, offline=False)
    assert imported == "False"
    assert error.startswith("KUAKE-QIC ")
    assert f"({kuake.URL}: " in error
    assert list(tmp_path.iterdir()) == []
    assert f"; set {kuake.VARIABLE} " in error
    assert all(name in error for name in kuake.MD5)


def test_paddlenlp_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: Dataset) -> None:
    """Files that PaddleNLP has fetched before serve offline, checked like any others."""
    source = Path(os.environ[kuake.VARIABLE])
    folder = tmp_path / "datasets" / "CBLUE" / "KUAKE-QIC"
    folder.mkdir(parents=True)
    for name in kuake.MD5:
        (folder / name).symlink_to((source / name).resolve())
    monkeypatch.delenv(kuake.VARIABLE)
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path))
    assert kuake.load(offline=True) == real
