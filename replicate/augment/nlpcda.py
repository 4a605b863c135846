"""The strategies of the package nlpcda, run by the package itself with its own rates, but with our draws.

It prints, seeds and uses Python's global generator, adds words to jieba's global dictionary and reads jieba's cache,
from a folder that all users can write to, with `marshal`, which trusts every byte. None of that happens here: each tool
gets a dictionary of its own, made from jieba's words, and draws from the line's generator. The package is imported when
a strategy of it is first built.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from replicate.augment.strategy import Context, Kind, Line, Lookup, Strategy
from replicate.common.errors import UserError

# LAC's tags of names: persons, places, organisations, times, works and other proper names.
ENTITIES = frozenset({"PER", "LOC", "ORG", "TIME", "nw", "nz"})
BAIDU = ("REPLICATE_BAIDU_APPID", "REPLICATE_BAIDU_KEY")
SIMBERT = "REPLICATE_SIMBERT"
# Longer texts the package answers with a complaint in the place of a translation.
_TRANSLATABLE = 4891
_SECONDS = 60


class _Draws:
    """What the package asks of the module `random`, answered from a line's generator alike on every Python."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.used = False

    def random(self) -> float:
        self.used = True
        return self._random.random()

    def randint(self, low: int, high: int) -> int:
        return low + int(self.random() * (high - low + 1))

    def seed(self, _: object) -> None:
        """The line's generator has its seed."""


class _Entries(list[str]):
    """A list that is searched as fast as a set."""

    def __init__(self, entries: Iterable[str]) -> None:
        super().__init__(entries)
        self._known = frozenset(self)

    def __contains__(self, entry: object) -> bool:
        return entry in self._known


def _changer(name: str) -> Callable[[Context], Strategy]:
    def build(context: Context) -> Strategy:
        tool = _tool(name)
        # Texts that hold nothing to change, so that no draw was made: nlpcda and the engine would try 1,600 times.
        hopeless: set[str] = set()

        def change(line: Line, random: Random) -> str:
            if line.text in hopeless:
                return line.text
            tool.random = draws = _Draws(random)
            _, *changed = tool.replace(line.text)
            if not (changed or draws.used):
                hopeless.add(line.text)
            return changed[0] if changed else line.text

        return change

    return build


def _build_ner(context: Context) -> Strategy:
    """Replace every entity by one that has the same tag in this data set, by frequency; entities are LAC's words."""
    entities = [(word, tag) for line in context.lines for word, tag in line.words if tag in ENTITIES]
    # The package can't draw from a single one, nor read what breaks its format.
    entities = [(word, tag) for word, tag in entities if not set(word) & set("\t\r\n")]
    counts = Counter(tag for _, tag in entities)
    tags = sorted(tag for tag, count in counts.items() if count > 1)
    module = _package("nlpcda.tools.Ner")
    with tempfile.TemporaryDirectory() as folder, _replaced(module, random=_Draws(Random(0))):
        Path(folder, "entities.txt").write_text(_bio(entities), encoding="utf-8")
        tool = module.Ner(folder, ignore_tag_list=["O"], data_augument_tag_list=tags, augument_size=1)

    def ner(line: Line, random: Random) -> str:
        if "\t" in line.text or "\n" in line.text:
            return line.text
        with _replaced(module, random=_Draws(random), open=lambda *_, **__: io.StringIO(_bio(line.words))):
            sentences, _ = tool.augment("")
        return "".join(sentences[0]) if sentences else line.text

    return ner


def _bio(words: Iterable[tuple[str, str]]) -> str:
    """Words with tags as a BIO file: a character and its tag on each line."""
    return "".join(
        f"{char}\t{('B-' if place == 0 else 'I-') + tag if tag in ENTITIES else 'O'}\n"
        for word, tag in words
        for place, char in enumerate(word)
    )


def _build_translate(context: Context) -> Strategy:
    """Translate each text into English and back by Baidu's service, which is sent it unencrypted; nothing is drawn."""
    appid, key = (os.environ.get(name, "") for name in BAIDU)
    if not (appid and key):
        what = "translate needs a network and a key of Baidu's translation service"
        raise UserError(what, hint=f"give the key in {BAIDU[0]} and {BAIDU[1]}")
    module = _package("nlpcda.tools.Translate")
    requests = SimpleNamespace(get=partial(module.requests.get, timeout=_SECONDS))

    def translated(text: str, source: str, target: str) -> str:
        try:
            with _replaced(module, requests=requests, random=_Draws(Random(0))):
                return " ".join(module.baidu_translate(text, appid, key, t_from=source, t_to=target).split())
        # The package stumbles over an answer without a translation.
        except (OSError, LookupError, ValueError, AttributeError, TypeError) as error:
            raise UserError(
                f"translate got no translation from Baidu ({type(error).__name__})",
                hint=f"check the network, {BAIDU[0]} and {BAIDU[1]}",
            ) from error

    def there_and_back(text: str) -> str:
        english = translated(text, "zh", "en") if text.strip() else ""
        short = english and max(len(text), len(english)) <= _TRANSLATABLE
        return translated(english, "en", "zh") if short else text

    translations = Lookup[str, str](lambda texts: {text: there_and_back(text) for text in texts})

    def translate(line: Line, random: Random) -> str | Lookup[str, str]:
        found = translations.get(line.text)
        return translations if found is None else found

    return translate


def _build_simbert(context: Context) -> Strategy:
    """Let SimBERT write a similar text; seeded as far as TensorFlow is."""
    package, folder = _package(), os.environ.get(SIMBERT, "")
    if package.no_simbert:
        raise UserError("simbert needs the packages bert4keras and tensorflow", hint="install them beside nlpcda")
    if not Path(folder, "bert_config.json").is_file():
        raise UserError("simbert needs its weights", hint=f"name the folder of a SimBERT checkpoint in {SIMBERT}")
    # The package sets this variable and needs a value for it.
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    with _quiet():
        tool = package.Simbert({"model_path": folder, "CUDA_VISIBLE_DEVICES": devices or "0"})
    if devices is None:
        del os.environ["CUDA_VISIBLE_DEVICES"]

    def simbert(line: Line, random: Random) -> str:
        before = np.random.get_state()
        np.random.seed(int(random.random() * 2**32))
        try:
            similar = tool.replace(line.text, create_num=1)
        finally:
            np.random.set_state(before)
        return " ".join(similar[0][0].split()) if similar else line.text

    return simbert


@cache
def _tool(name: str) -> Any:
    """One of the package's tools, which gives each text and one changed copy of it."""
    package, base = _package(), _package("nlpcda.tools.Basetool")
    # Each has its own dictionary, since they add words to it: how a text is cut must not depend on what ran before.
    dictionary = _dictionary() if name in _CUTTING else SimpleNamespace(load_userdict=lambda _: None)
    with _quiet(), _replaced(base, random=_Draws(Random(0)), t_jieba=dictionary):
        tool = getattr(package, _TOOLS[name])(create_num=2)
    if isinstance(tool.base_file_mapobj, list):
        tool.base_file_mapobj = _Entries(tool.base_file_mapobj)
    return tool


def _dictionary() -> Any:
    """jieba's words without a cache, which whoever shares its folder, a group's run store too, could plant."""
    dictionary = _package("jieba").Tokenizer()
    words, total = _words()
    dictionary.FREQ, dictionary.total, dictionary.initialized = dict(words), total, True
    return dictionary


@cache
def _words() -> tuple[Mapping[str, int], int]:
    """How often jieba has met each word and each beginning of one, and all words together."""
    tokenizer = _package("jieba").Tokenizer()
    found: tuple[Mapping[str, int], int] = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    return found


def _package(name: str = "nlpcda") -> ModuleType:
    with _quiet():
        return importlib.import_module(name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let the package print, log and warn unheard."""
    logger = logging.getLogger("jieba")
    disabled, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


@contextlib.contextmanager
def _replaced(module: ModuleType, **values: object) -> Iterator[None]:
    """Give globals of `module` other values for a while."""
    before = {name: value for name, value in vars(module).items() if name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        for name in values:
            del vars(module)[name]
        vars(module).update(before)


_TOOLS = {
    "entity": "Randomword",
    "synonym": "Similarword",
    "homophone": "Homophone",
    "delete": "RandomDeleteChar",
    "swap": "CharPositionExchange",
    "equivalent": "EquivalentChar",
}
# Those that cut a text into words.
_CUTTING = frozenset({"entity", "synonym", "delete"})
_KINDS = {
    "entity": Kind(_changer("entity"), "names of companies become other such names"),
    "synonym": Kind(_changer("synonym"), "words become synonyms"),
    "homophone": Kind(_changer("homophone"), "characters become others that sound alike"),
    "delete": Kind(_changer("delete"), "single characters are deleted, and the last word, as the package does"),
    "ner": Kind(_build_ner, "entities become others of the same tag in the data set", reads_words=True),
    "swap": Kind(_changer("swap"), "characters change places with neighbours"),
    "equivalent": Kind(_changer("equivalent"), "digits become other signs for the same number"),
    "translate": Kind(_build_translate, "translated into English and back, by Baidu's service"),
    "simbert": Kind(_build_simbert, "written anew by SimBERT"),
}
NLPCDA = {name: replace(kind, packages=("jieba", "nlpcda")) for name, kind in _KINDS.items()}
