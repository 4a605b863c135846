"""`ernie_replace`: what is masked, what a mask may become, and how often the net is asked."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import stats

from replicate.augment import STRATEGIES, augment_texts
from replicate.augment.draws import generator
from replicate.augment.lac import Tagger
from replicate.augment.masked_model import TOP, Choices, Ids, MaskedModel
from replicate.augment.strategy import RATE, Context, Line, Lookup
from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.nets.folder import WEIGHTS
from tests.tiny import write_masked_model

CORPUS = ("感冒怎么治疗", "头痛吃什么药好", "湿疹会传染给孩子吗", "aids 怎么预防", "CT检查多少钱😄")
WORDS = (("感冒", "n"), ("怎么", "r"), ("治疗", "v"), (" ", "w"), ("aids", "nz"), ("吃", "v"), ("药", "n"))
LINE = Line("".join(word for word, _ in WORDS), WORDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model with random weights in a folder such as `pretrain` writes."""
    made = tmp_path_factory.mktemp("masked")
    write_masked_model(made, CORPUS)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> MaskedModel:
    """The net of that folder."""
    return MaskedModel(folder)


@pytest.fixture
def asked(model: MaskedModel, monkeypatch: pytest.MonkeyPatch) -> list[list[Ids]]:
    """What the net is asked, one list a question."""
    questions: list[list[Ids]] = []
    fill = model.fill

    def spy(lines: Sequence[Ids]) -> dict[Ids, tuple[Choices, ...]]:
        questions.append(list(lines))
        return fill(lines)

    monkeypatch.setattr(model, "fill", spy)
    return questions


def copies_of(line: Line, model: MaskedModel, count: int) -> list[str]:
    """Copies of a line, each by another generator."""
    change = STRATEGIES["ernie_replace"].build(Context([line], "?", None, model))
    for _ in range(2):
        copies = [change(line, generator(1, index)) for index in range(count)]
        for lookup in {copy for copy in copies if isinstance(copy, Lookup)}:
            lookup.resolve()
    return [str(copy) for copy in copies]


def test_fifteen_percent_of_the_words_are_masked(model: MaskedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """15 % of the words become masks, all of a line at once, one a character."""
    keys: list[Ids] = []
    monkeypatch.setattr(Lookup, "get", lambda _, key: keys.append(key))
    words = (("治疗", "v"), ("药", "n")) * 20
    line = Line("".join(word for word, _ in words), words)
    change = STRATEGIES["ernie_replace"].build(Context([line], "?", None, model))
    for index in range(500):
        change(line, generator(5, index))
    masked = np.array(keys).reshape(len(keys), 20, 3) == model.mask
    assert (masked[:, :, 0] == masked[:, :, 1]).all()
    # Lines without a mask ask nothing.
    assert stats.binomtest(int(masked[:, :, 1:].sum()), 500 * 40, RATE).pvalue > 1e-4


def test_masks_become_single_characters(model: MaskedModel) -> None:
    """A copy has as many characters, no special token and no piece of a word; white space stays."""
    copies = copies_of(LINE, model, 400)
    assert {len(copy) for copy in copies} == {len(LINE.text)}
    assert {copy[6] for copy in copies} == {" "}
    allowed = {char for text in CORPUS for char in text.lower() if not char.isspace()}
    drawn = {new for copy in copies for old, new in zip(LINE.text, copy, strict=True) if old != new}
    assert len(drawn) > 5
    assert drawn <= allowed


def test_draws_follow_the_models_own_probabilities(model: MaskedModel) -> None:
    """A masked character is drawn from the five likeliest by their probabilities, found here from all logits."""
    import paddle

    cls, sep = model._tokenizer.cls_token_id, model._tokenizer.sep_token_id
    with paddle.no_grad():
        logits = model._network(paddle.to_tensor([[cls, model.mask, sep]])).numpy()[0, 1].astype(np.float64)
    by_token = {token: logits[index] for token, index in model._tokenizer.vocab.token_to_idx.items() if len(token) == 1}
    likeliest = sorted(by_token, key=lambda token: -by_token[token])[:TOP]
    shares = np.exp([by_token[token] for token in likeliest])
    line = Line("ê", (("ê", "n"),))
    drawn = Counter(copies_of(line, model, 20_000))
    kept = drawn.pop("ê")
    assert stats.binomtest(20_000 - kept, 20_000, RATE).pvalue > 1e-4
    assert set(drawn) == set(likeliest)
    observed = np.array([drawn[token] for token in likeliest])
    assert stats.chisquare(observed, shares / shares.sum() * observed.sum()).pvalue > 1e-4


def test_choices_depend_on_no_order(model: MaskedModel) -> None:
    """The same lines in any order have the same choices, bit for bit."""
    lines = [(model.mask, *model.pieces(text)[:length]) for text in CORPUS for length in range(6)] * 20
    assert model.fill(lines) == model.fill(lines[::-1])


def test_net_is_asked_once_for_all_lines(model: MaskedModel, asked: list[list[Ids]]) -> None:
    """Without repairs one question serves all copies; repairs need few more."""
    tagger = Tagger()
    texts = [f"{text}{other}" for text in CORPUS for other in CORPUS]
    augmented = augment_texts(texts, {"ernie_replace": 1}, 4, seed=0, lac=tagger, model=model, article=True)
    assert len(asked) == 1
    asked.clear()
    repaired = augment_texts(texts, {"ernie_replace": 1}, 4, seed=0, lac=tagger, model=model)
    assert len(asked) < 6
    assert repaired.summary.unchanged < augmented.summary.unchanged


def test_words_beyond_the_nets_positions_stay(model: MaskedModel) -> None:
    """Of a text longer than the net reads the rest is kept as it is."""
    line = Line("药" * 400, (("药", "n"),) * 400)
    copies = copies_of(line, model, 50)
    assert {copy[model.room :] for copy in copies} == {"药" * (400 - model.room)}
    assert len({copy[: model.room] for copy in copies}) > 40


def test_command_reads_a_model(folder: Path, tmp_path: Path) -> None:
    """`-e` with `--model` refills words in two files with one net; without `-e` it has its default beside others."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.txt").write_text("".join(f"{text}\t1\n" for text in CORPUS), encoding="utf-8")
    line = ["augment", str(tmp_path / "in"), str(tmp_path / "out"), "--model", str(folder)]
    line += "-u 0 -t 0 -r 0 -e 1 -n 2".split()
    assert main(line) == 0
    copies = [(tmp_path / "out" / f"{name}_aug.txt").read_text(encoding="utf-8") for name in ("a", "b")]
    assert copies[0] == copies[1]
    assert copies[0].count("\n") == 3 * len(CORPUS)
    assert main([*line, *"-u 0 -t 0 -r 0 -n 2".split()]) == 0
    assert (tmp_path / "out" / "a_aug.txt").read_text(encoding="utf-8") == copies[0]


def test_text_that_reads_like_a_mask_is_none(model: MaskedModel) -> None:
    """`[MASK]` in a text is an unknown word."""
    assert model.mask not in model.pieces("[MASK]")


def test_classifier_is_no_language_model(folder: Path, tmp_path: Path) -> None:
    """A folder without the head is refused, and so is a folder that isn't there and a name that can't be had."""
    headless = tmp_path / "headless"
    shutil.copytree(folder, headless)
    save_file({k: v for k, v in load_file(folder / WEIGHTS).items() if not k.startswith("cls.")}, headless / WEIGHTS)
    for source, words in (
        (headless, "cls.predictions.* is missing"),
        (tmp_path / "none", "no such model folder"),
        ("no-such-ernie", "no model 'no-such-ernie'"),
    ):
        with pytest.raises(UserError, match=words) as refused:
            augment_texts(CORPUS, {"ernie_replace": 1}, seed=0, model=source)
        assert "\n" not in str(refused.value)
