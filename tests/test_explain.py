"""Explanations: the pieces of any text, figures that are known beforehand, every kind of model, command and service."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from replicate.commands.main import main
from replicate.corpus.formats import Dataset
from replicate.explain.evidence import Evidence, features_of
from replicate.explain.explanation import Explanation
from replicate.explain.faithfulness import alike, erased, faithfulness, spearman
from replicate.explain.gradients import Gradients
from replicate.explain.occlusion import Explainer, hidden
from replicate.explain.pieces import Pieces, pieces_of
from replicate.explain.shades import coloured
from replicate.inference.predict import Labeller
from replicate.inference.runtime import open_runtime
from replicate.nets.tokens import encode
from replicate.report.explained import explained
from replicate.serving.microbatch import Microbatcher
from replicate.serving.service import Facts, Metrics, create_app
from tests.load import service
from tests.tiny import Made

LENGTH = 48
AWKWARD = (
    "感冒吃什么药",
    "Hello世界 abc123",
    "a" * 40,
    "[UNK]药[MASK]",
    "😀好👍🏽",
    "  \u3000药 ",
    "ÀÉ café",
    "药" * 100,
    "一",
)


@pytest.fixture(scope="module")
def labeller(finetuned: Made) -> Labeller:
    """The tiny net."""
    return Labeller(open_runtime(finetuned.folder), LENGTH)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=80), st.sampled_from(AWKWARD)))
def test_pieces_of_any_text(labeller: Labeller, text: str) -> None:
    """The ids are those that the net is given when it predicts; places are inside the text, in order."""
    tokenizer = labeller.runtime.tokenizer
    found = pieces_of(tokenizer, text, LENGTH)
    (rows,), (cut,) = labeller.rows([text])
    assert found.ids.tolist() == rows.tolist() == encode(tokenizer, [text], LENGTH)[0].tolist()
    assert found.truncated is cut
    assert len(found.ids) == len(found) + 2
    ends = [place for span in found.spans for place in span]
    assert all(0 <= begin < end <= len(text) for begin, end in found.spans)
    assert [span[0] for span in found.spans] == sorted(span[0] for span in found.spans)
    assert not ends or max(ends) <= len(text)
    shown = Explanation(found, ("x",), (1.0,), np.ones((len(found), 2)), "occlusion")
    assert "".join(part for part, _ in coloured(shown)) == text


class Adder:
    """A model whose logit of class 0 is the sum of what its tokens are worth, and of class 1 the half of that."""

    def __init__(self, worth: dict[int, float]) -> None:
        self.worth = worth

    def __call__(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """As `Runtime.logits`."""
        total = np.vectorize(lambda one: self.worth.get(int(one), 0.0))(ids).sum(axis=1)
        return np.stack([total, total / 2], axis=1).astype(np.float32)


def test_occlusion_of_a_sum(labeller: Labeller) -> None:
    """Each piece gets exactly what it is worth, and half of that as the lead over the second label."""
    tokenizer = labeller.runtime.tokenizer
    pieces = pieces_of(tokenizer, "感冒吃药", LENGTH)
    worth = dict(zip(pieces.ids[1:-1].tolist(), (3.0, -1.0, 0.5, 2.0), strict=True))
    assert len(worth) == 4
    summing = replace(labeller, runtime=replace(labeller.runtime, logits=Adder(worth), labels=("x", "y")))
    found = Explainer(summing).explain("感冒吃药")
    assert found.labels == ("x", "y")
    assert found.scores[:, 0] == pytest.approx([3, -1, 0.5, 2], abs=1e-6)
    assert found.scores[:, 1] == pytest.approx([1.5, -0.5, 0.25, 1], abs=1e-6)
    figures, _ = faithfulness(Explainer(summing), ["感冒吃药"])
    assert figures.comprehensiveness > figures.floor[0]
    assert figures.sufficiency < figures.floor[1]
    # Whatever the order, with everything hidden nothing is left but half of each.
    one = erased(summing, found, [np.array([0, 3, 2, 1]), np.array([1, 2, 3, 0])], 0)
    assert one.shape == (2, 2)
    assert one[0, 0] > one[1, 0]


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.text(max_size=60), st.sampled_from(AWKWARD)))
def test_any_text(labeller: Labeller, text: str) -> None:
    """Each piece has two scores that are numbers, and a text without pieces has no label; a page shows every letter."""
    one = Explainer(labeller).explain(text)
    assert one.scores.shape == (len(one.pieces), 2)
    assert np.isfinite(one.scores).all()
    assert len(one.labels) == (2 if len(one.pieces) else 0)
    page = explained([one], "title")
    assert "<script" not in page
    if len(one.pieces):
        (shown,) = re.findall(r'<p class="text">(.*?)</p>', page, re.DOTALL)
        assert unescape(re.sub("<[^>]*>", "", shown)) == text


def test_frame_stays() -> None:
    """[CLS] and [SEP] are never hidden."""
    pieces = Pieces("ab", np.array([1, 7, 8, 2]), ((0, 1), (1, 2)))
    assert hidden(pieces, np.array([[True, True], [False, True]]), 9).tolist() == [[1, 9, 9, 2], [1, 7, 9, 2]]


def test_integrated_gradients_are_complete(finetuned: Made, dataset: Dataset, labeller: Labeller) -> None:
    """They add up to the logit's way from the baseline: at most 5 % are missing, as the median of 30 texts.

    Where the gradients of layer norms were wrong, more would be missing, with any number of steps.
    """
    method = Gradients(finetuned.folder)
    explainer, missing = Explainer(labeller, method, "ig"), []
    for text in dataset.dev.texts[:30]:
        one = explainer.explain(text)
        gap = method.gap(one.pieces, labeller.runtime.labels.index(one.labels[0]))
        missing.append(abs(one.scores[:, 0].sum() - gap) / max(abs(gap), 0.05))
    assert np.median(missing) <= 0.05


def test_gradients_leave_the_net_as_it_is(finetuned: Made) -> None:
    """Two calls give one answer, and no gradient stays behind."""
    method = Gradients(finetuned.folder, integrated=False)
    tokenizer = open_runtime(finetuned.folder).tokenizer
    pieces = pieces_of(tokenizer, "感冒吃什么药", LENGTH)
    first, second = method(pieces, 0, 1), method(pieces, 0, 1)
    assert np.array_equal(first, second)
    assert np.abs(first).max() > 0


def test_methods_agree(finetuned: Made, dataset: Dataset, labeller: Labeller) -> None:
    """Occlusion and integrated gradients look at the same pieces far more than chance would."""
    texts = dataset.dev.texts[:30]
    explained_ = [
        [explainer.explain(text) for text in texts]
        for explainer in (Explainer(labeller), Explainer(labeller, Gradients(finetuned.folder), "ig"))
    ]
    found = alike(*explained_)
    assert found.rank > 0.4
    assert found.top > 2 * found.by_chance
    assert found.same_label == 1


def test_faithful_beside_chance(dataset: Dataset, labeller: Labeller) -> None:
    """On a net that has learnt something, the highest pieces matter more than random ones."""
    figures, explained_ = faithfulness(Explainer(labeller), dataset.dev.texts[:30])
    assert figures.texts == len(explained_) == 30
    assert figures.comprehensiveness > 1.5 * figures.floor[0] > 0
    assert figures.sufficiency < figures.floor[1]


def test_alike_by_hand() -> None:
    """The same scores are the same; the reverse is the reverse; ties share a rank."""
    pieces = Pieces("abcde", np.arange(7), tuple((at, at + 1) for at in range(5)))
    up = Explanation(pieces, ("x",), (1.0,), np.arange(5.0)[:, None].repeat(2, axis=1), "occlusion")
    down = replace(up, scores=-up.scores, labels=("y",))
    assert vars(alike([up], [up])) == pytest.approx(
        {"rank": 1, "top": 1, "by_chance": 0.2, "same_label": 1, "texts": 1}
    )
    reverse = alike([up], [down])
    assert reverse.rank == pytest.approx(-1)
    assert (reverse.top, reverse.same_label) == (0, 0)
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0])) == pytest.approx(1)
    assert spearman(np.ones(3), np.arange(3.0)) == 0
    with pytest.raises(ValueError, match="other"):
        alike([up], [replace(up, pieces=replace(pieces, text="edcba"))])


@pytest.mark.parametrize("kind", ["dynamic", "student", "onnx", "paddle", "int8"])
def test_every_kind_of_model(kind: str, kinds: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The command explains with each, and texts without anything to read have no labels."""
    words = ["explain", str(kinds[kind]), "--max_seq_length", str(LENGTH), "--json"]
    assert main([*words, *(word for text in AWKWARD for word in ("--text", text)), "--text", " "]) == 0
    *found, empty = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["text"] for one in found] == list(AWKWARD)
    for one in found:
        assert len(one["labels"]) == 2
        assert all(one["text"][piece["begin"] : piece["end"]] == piece["text"] for piece in one["pieces"])
    assert (empty["labels"], empty["pieces"]) == ([], [])


def test_exports_say_what_the_net_says(kinds: dict[str, Path]) -> None:
    """The scores are the same but for the last digits."""
    found = [Explainer(Labeller(open_runtime(kinds[kind]), LENGTH)).explain(AWKWARD[0]) for kind in ("dynamic", "onnx")]
    assert found[0].labels == found[1].labels
    assert found[0].scores == pytest.approx(found[1].scores, abs=1e-3)


def test_int8_looks_where_the_net_looks(kinds: dict[str, Path], dataset: Dataset) -> None:
    """The graph in 8 bits gives the same labels, and scores in nearly the same order."""
    texts = dataset.dev.texts[:20]
    whole, small = (
        [Explainer(labeller).explain(text) for text in texts]
        for labeller in (Labeller(open_runtime(kinds[kind]), LENGTH) for kind in ("dynamic", "int8"))
    )
    found = alike(whole, small)
    assert found.same_label >= 0.9
    assert found.rank > 0.8
    assert found.top > 2 * found.by_chance


def test_gradients_of_students_and_not_of_exports(kinds: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Integrated gradients need a model folder, which a student's is."""
    words = ["--method", "ig", "--max_seq_length", str(LENGTH), "--text", "感冒吃什么药"]
    assert main(["explain", str(kinds["student"]), *words]) == 0
    assert main(["explain", str(kinds["onnx"]), *words]) == 2
    told = capsys.readouterr().err
    assert "occlusion" in told
    assert told.count("\n") == 1


def test_evidence(finetuned: Made, dataset: Dataset, labeller: Labeller) -> None:
    """A training text is nearest to itself, and the net gives those that are near to a text the label of the text."""
    train = dataset.train
    evidence = Evidence(labeller, features_of(finetuned.folder, labeller), train.texts)
    one = evidence.nearest(train.texts[7], 3)
    assert max(near.similarity for near in one) == pytest.approx(1, abs=1e-3)
    assert [near.similarity for near in one] == sorted((near.similarity for near in one), reverse=True)
    said = [one.label for one in labeller.label(train.texts)]
    same = [
        said[near.index] == one.label
        for one in labeller.label(dataset.dev.texts)
        for near in evidence.nearest(one.text, 3)
    ]
    assert np.mean(same) > 0.8


def test_command_with_everything(
    kinds: dict[str, Path], data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evidence, another model and a page, on standard output as text; no escape of a terminal in a pipe."""
    page = tmp_path / "why.html"
    words = ["explain", str(kinds["dynamic"]), "--max_seq_length", str(LENGTH), "--html", str(page)]
    words += ["--against", str(kinds["onnx"]), "--evidence", str(data_folder / "train.txt"), "--nearest", "2"]
    assert main([*words, "--text", "感冒吃什么药", "--text", "<b>头疼</b>&", "--text", ""]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert told.count("like line") == 4
    assert "rank correlation 1.00" in told
    html = page.read_text(encoding="utf-8")
    assert "<b>头" not in html
    assert "Content-Security-Policy" in html
    assert "<script" not in html


def test_page_of_any_text(labeller: Labeller) -> None:
    """Whatever the text holds, it is shown letter by letter."""
    rows = [Explainer(labeller).explain(text) for text in (*AWKWARD, "</p><script>x</script>")]
    html = explained(rows, "<title>")
    assert "<script" not in html
    assert html.count("<h2>") == len(rows)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["none", "--text", "x"], "no such model folder"),
        (["MODEL", "--text", "x", "--evidence", "none"], "no such file"),
        (["MODEL", "--text", "x", "--nearest", "0"], "nearest is 0"),
        (["MODEL", "--text", "x", "--max_seq_length", "2"], "max_seq_length is 2"),
        (["MODEL", "--text", "x", "--method", "lime"], "invalid choice"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], told: str, finetuned: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    try:
        code = main(["explain", *(str(finetuned.folder) if word == "MODEL" else word for word in words)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def url(finetuned: Made) -> Iterator[str]:
    """A service with room for two texts to explain."""
    options = f"--max_seq_length {LENGTH} --explain 2 --max_body 4096".split()
    with service(finetuned.folder, *options, OMP_NUM_THREADS="1") as running:
        yield running.url


def test_service_explains(url: str, labeller: Labeller) -> None:
    """As the command does, and beside predictions; the limits of /predict hold here too."""
    text = AWKWARD[0]
    found = httpx.post(f"{url}/explain", json={"texts": [text, " "]}).json()["explanations"]
    wanted = Explainer(labeller).explain(text).to_json()
    assert [one["text"] for one in found[0]["pieces"]] == [one["text"] for one in wanted["pieces"]]
    assert [one["score"] for one in found[0]["pieces"]] == pytest.approx(
        [one["score"] for one in wanted["pieces"]], abs=2e-3
    )
    assert found[1]["labels"] == []
    assert httpx.post(f"{url}/predict", json={"text": text}).status_code == 200
    assert httpx.post(f"{url}/explain", json={"texts": ["a"] * 3}).status_code == 413
    assert httpx.post(f"{url}/explain", content=b"x" * 5000).status_code == 413
    assert httpx.post(f"{url}/explain", json={"txt": "a"}).status_code == 422
    assert "/explain" in httpx.get(f"{url}/openapi.json").json()["paths"]
    assert 'replicate_explain_requests_total{status="413"} 2.0' in httpx.get(f"{url}/metrics").text


def test_a_full_queue_of_explanations_keeps_nobody_from_predicting(labeller: Labeller) -> None:
    """What waits to be explained has a queue of its own, which answers 503 when it is full."""
    slow = Microbatcher(lambda: Explainer(labeller), 2, 60.0, 2)
    quick = Microbatcher(lambda: labeller, 1, 0.0, 4)
    slow.start()
    quick.start()
    app = create_app(quick, Facts("digest", 2, "dygraph", "fp32", LENGTH), Metrics(), 4096, explaining=slow)

    async def use() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            waiting = asyncio.create_task(client.post("/explain", json={"text": "胃疼"}))
            while slow.pending < 1:
                await asyncio.sleep(0.001)
            refused = await client.post("/explain", json={"texts": ["头疼", "牙疼"]})
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert (await client.post("/predict", json={"text": "牙疼"})).status_code == 200
            assert (await client.post("/explain", json={"text": "头疼"})).status_code == 200
            assert (await waiting).status_code == 200
            assert (await client.get("/live")).status_code == 200

    try:
        asyncio.run(use())
    finally:
        assert slow.close(20) == 0
        assert quick.close(20) == 0
