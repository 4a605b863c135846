"""Operations that a stage can't do without, the machine's rate of matrix products, and shares of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from replicate.common.errors import UserError
from replicate.findings.inference import InferenceFinding, timing_finding
from replicate.findings.limits import near_limits
from replicate.nets import upstream
from replicate.records.timing import Curve, Limit, Step, StepRace
from replicate.records.timing_file import read_timing, write_timing
from replicate.report.pictures.picture import Picture
from replicate.report.sections.growth import growth
from replicate.report.sections.inference import section_inference
from replicate.report.sections.limits import limits
from replicate.tables.profile import load_profile
from replicate.timing import products
from replicate.timing.goals import SHAPE, SMALL_SHAPE, goals
from replicate.timing.limit import rate_of, share_of
from replicate.timing.operations import Encoder, Product, head, trained
from replicate.timing.products import LEAST, MOST, probes
from replicate.timing.random_net import SHAPES
from replicate.timing.subject import shape_name
from replicate.timing.summary import rows_of, step_rows
from tests.shown import lines, words
from tests.synthetic_timing import example, race

NET = {"hidden_size": 8, "num_hidden_layers": 3, "intermediate_size": 20}
BASE = Encoder.of(SHAPES["base"])
LIMITS = (
    Limit("products paddle fp32", "paddle", "fp32", 10**9),
    Limit("products onnxruntime fp32", "onnxruntime", "fp32", 10**9),
    Limit("products onnxruntime int8", "onnxruntime", "int8", 10**9),
)
RATES = {"products paddle fp32": 0.02, "products onnxruntime fp32": 0.01, "products onnxruntime int8": 0.0025}


def counted(encoder: Encoder, batch: int, length: int, answered: int) -> int:
    """The operations, product by product, of an encoder whose last layer answers for so many tokens."""
    total = 0
    for layer in range(encoder.layers):
        rows = batch * (answered if layer == encoder.layers - 1 else length)
        maps = [(batch * length, encoder.hidden, encoder.inner)] * 2 + [(rows, encoder.hidden, encoder.inner)]
        maps += [(rows, encoder.inner, encoder.hidden), (rows, encoder.hidden, encoder.neurons)]
        maps += [(rows, encoder.neurons, encoder.hidden), (rows, encoder.inner, length), (rows, length, encoder.inner)]
        total += sum(Product(*one).operations for one in maps)
    return total


@pytest.mark.parametrize("width", ["1", "1/2"])
@pytest.mark.parametrize(("batch", "length", "answered"), [(1, 1, 1), (2, 5, 1), (3, 7, 4), (2, 5, 5)])
def test_operations_are_those_of_the_products(width: str, batch: int, length: int, answered: int) -> None:
    """The sum of all matrix products, of which the last layer has only what is asked of it."""
    encoder = Encoder.of(NET, Fraction(width))
    assert encoder.forward(batch, length, answered) == counted(encoder, batch, length, answered)
    assert encoder.forward(batch, length) == counted(encoder, batch, length, length)


def test_a_step_takes_three_forwards() -> None:
    """The gradients of a map take two products, each as large as its own."""
    forward, both = (BASE.products(8, 32, backward) for backward in (False, True))
    assert sum(one.operations for one in both) == trained(sum(one.operations for one in forward))
    assert set(both[len(forward) :]) == {Product(256, 768, 768), Product(768, 256, 768)} | {
        Product(256, 3072, 768),
        Product(768, 256, 3072),
        Product(256, 768, 3072),
        Product(3072, 256, 768),
    }


def test_classifier_of_base_in_known_numbers() -> None:
    """7 % of Base's operations are what the last layer computes for tokens but [CLS]."""
    assert BASE.forward(32, 32) == 175_154_135_040
    assert BASE.forward(32, 32, answered=1) / BASE.forward(32, 32) == pytest.approx(0.93, abs=0.003)
    assert head(32, 768, 11) == 2 * 32 * (768 * 768 + 768 * 11)


def test_share_is_of_the_fastest_products_in_the_same_rounds() -> None:
    """Each round's rate over that round's rate of the fastest library; another precision has another limit."""
    one = race(32, {"dygraph fp32 1": 2.0, "onnxruntime int8 1": 0.5})
    seconds = {
        name: tuple(value * factor for factor in (0.98, 0.99, 1, 1, 1, 1.01, 1.02)) for name, value in RATES.items()
    }
    one = replace(one, limits=LIMITS, limit_seconds=seconds)
    found = rate_of(one, "fp32")
    assert found
    assert found.limit.library == "onnxruntime"
    assert found.rate == pytest.approx(1e11)
    assert rate_of(one, "bf16") is None
    share = share_of(one, "dygraph fp32 1", 10**11, "fp32")
    assert share
    assert [share.ratio.low, share.ratio.median, share.ratio.high] == pytest.approx([0.5] * 3)
    whole = replace(one, contestants=tuple(replace(each, operations=10**11) for each in one.contestants))
    assert [row["of the limit"][0] for row in rows_of(whole)] == [0.5, 0.5]
    assert [row["of the limit"] for row in rows_of(one)] == [None, None]
    assert all("of the limit" not in row for row in rows_of(race(32, {"dygraph fp32 1": 2.0})))


def steps() -> StepRace:
    """Two steps, one of which reaches half of the limit."""
    contestants = tuple(Step(name, name, "3 x 8", "1", 10**9, "") for name in ("finetune", "prune"))
    return StepRace(
        shape="3 x 8",
        batch=8,
        length=32,
        rounds=2,
        warmups=1,
        pause=0.25,
        contestants=contestants,
        seconds={"finetune": (0.02, 0.02), "prune": (0.1, 0.1)},
        limits=LIMITS[:2],
        limit_seconds={name: (RATES[name],) * 2 for name in list(RATES)[:2]},
    )


def test_steps_are_rows_and_stay_in_their_record(tmp_path: Path) -> None:
    """A race of steps is written and read back, and each step has its share."""
    record = example(race(32, {"dygraph fp32 1": 2.0}), steps=(steps(),))
    assert read_timing(write_timing(record, tmp_path)) == record
    assert [(row["step"], row["ms"], row["of the limit"][0]) for row in step_rows(steps())] == [
        ("finetune", 20.0, 0.5),
        ("prune", 100.0, 0.1),
    ]
    whole = steps()
    twice = (*whole.contestants, whole.contestants[0])
    for broken, complaint in (
        (replace(whole, limits=(), limit_seconds={}), "limits: are for texts of one length"),
        (replace(whole, length=0), "limits: are for texts of one length"),
        (replace(whole, length=-1), "length: negative"),
        (replace(whole, contestants=(), seconds={}), "contestants: none"),
        (replace(whole, limit_seconds={}), "limit_seconds: not those of the limits"),
        (replace(whole, limits=(*whole.limits, LIMITS[0])), "limits: a label stands twice"),
        (replace(whole, contestants=twice), "contestants: a label stands twice"),
        (replace(whole, seconds={}), "seconds: not those of the contestants"),
    ):
        with pytest.raises(UserError, match=rf"steps\[0\]\.{complaint}"):
            write_timing(replace(record, steps=(broken,)), tmp_path)


def test_goals_of_training_are_judged_from_its_steps() -> None:
    """A share of the limit for Base, a ratio to PyTorch's step where it took part; the report tells why one missed."""
    peer = Step("finetune pytorch", "finetune", SHAPE, "1", 10**9, "PyTorch 2")
    base = replace(steps(), shape=SHAPE)
    base = replace(base, contestants=(*base.contestants, peer), seconds={**base.seconds, peer.label: (0.03, 0.03)})
    record = example(steps=(base, steps()), datasets=(), services=())
    found = {(one.goal.id, one.batch, one.length, one.words): one for one in goals(record)}
    share, ratio, absent = found.values()
    assert list(found) == [
        ("finetune-base", 8, 32, "finetune over products onnxruntime fp32"),
        ("finetune-pytorch", 8, 32, "finetune over finetune pytorch"),
        ("finetune-pytorch", 8, 32, "no finetune pytorch"),
    ]
    assert [one.status for one in found.values()] == ["missed", "reached", "not measured"]
    assert [round(one.found.median, 3) for one in (share, ratio) if one.found] == [0.5, 1.5]
    assert (share.why, ratio.why, absent.why) == (share.goal.why, "", "")
    assert {one.status for one in goals(replace(record, threads=1))} == {"not measured"}
    blocks = section_inference(InferenceFinding((), (timing_finding(record),), near_limits([record])))
    assert [one.cells["why it is missed"] for one in lines(blocks, "why it is missed")] == [share.goal.why, ""]
    assert "training step, PyTorch 2" in [one.cells["stage"] for one in lines(blocks, "stage")]


def test_the_net_of_small_has_a_goal_of_its_own() -> None:
    """It is about the shape that the profile pretrains, and judges the share of its own step."""
    assert shape_name(load_profile("small").options["pretrain"]["architecture"]) == SMALL_SHAPE
    (share, _) = goals(example(steps=(replace(steps(), shape=SMALL_SHAPE),), datasets=(), services=()))
    assert (share.goal.id, share.goal.at_least) == ("finetune-small", 0.5)
    assert share.found
    assert round(share.found.median, 3) == 0.5


def test_goals_beside_paddlenlp_are_judged_from_texts(tmp_path: Path) -> None:
    """From a race on a data set's texts, which has no limit; what misses is told with its reason."""
    seconds = {"finetune": 1.0, "finetune example": 4.0, "prune": 1.0, "prune paddlenlp": 2.1, "prune parts": 0.9}
    seconds["prune paddlenlp by length"] = 1.3
    texts = replace(
        steps(),
        length=0,
        contestants=tuple(Step(label, label.partition(" ")[0], "3 x 8", "1", 0, "here") for label in seconds),
        seconds={label: (one,) * 7 for label, one in seconds.items()},
        rounds=7,
        limits=(),
        limit_seconds={},
    )
    record = example(steps=(texts,), datasets=(), services=())
    assert read_timing(write_timing(record, tmp_path)) == record
    found = {one.goal.id: one.status for one in goals(record)}
    assert found == {
        "finetune-example": "reached",
        "prune-paddlenlp": "reached",
        "prune-like-for-like": "missed",
        "prune-parts": "reached",
    }
    assert near_limits([record]) == ()
    blocks = section_inference(InferenceFinding((), (timing_finding(record),), ()))
    told = [(one.cells["batch × length"], one.cells["verdict"]) for one in lines(blocks, "why it is missed")]
    assert told == [("8 texts", status) for status in found.values()]
    assert [row["ms"] for row in step_rows(texts)][:2] == [1000.0, 4000.0]
    assert {row["GFLOP"] for row in step_rows(texts)} == {None}


def test_report_has_one_table_of_all_stages() -> None:
    """Steps, and of each precision our fastest whole net; an unstable one is marked, and without records it says so."""
    medians = {"dygraph fp32 1": 2.0, "onnxruntime fp32 1": 1.0, "onnxruntime fp32 1/2": 0.5, "onnxruntime int8 1": 0.4}
    medians |= {"pytorch fp32 1": 0.1, "openvino int8 1": 0.1}
    timed = race(32, medians)
    timed = replace(
        timed,
        contestants=tuple(replace(one, operations=10**10) for one in timed.contestants),
        limits=LIMITS,
        limit_seconds={name: (value,) * 7 for name, value in RATES.items()},
    )
    shaky = replace(steps(), seconds={"finetune": (0.02, 0.02), "prune": (0.1, 0.2)})
    found = near_limits([example(timed, steps=(shaky,)), example(race(32, medians))])
    assert [one.what for one in found] == [
        "training step",
        "pruning step",
        "inference, fp32 in onnxruntime",
        "inference, int8 in onnxruntime",
    ]
    assert [round(one.share.ratio.median, 4) for one in found] == [0.5, 0.075, 0.1, 0.0625]
    cells = [one.cells["share of the limit"] for one in lines(limits(found), "share of the limit")]
    assert cells[:2] == ["0.50 (0.50 to 0.50, 50%)", "0.07 (0.05 to 0.10, 50%), unstable"]
    assert "not-run" in words(limits(()))


def test_growth_is_one_picture_of_a_record(tmp_path: Path) -> None:
    """Curves are written and read back; three times the seconds for twice the classes are 1.5; damage is refused."""
    linear = Curve("audit", "lines", (1000, 10_000), (2.0, 20.0), (50.0, 60.0))
    record = example(curves=(linear, replace(linear, grows="classes", sizes=(2, 4), seconds=(1.0, 3.0))))
    path = write_timing(record, tmp_path)
    assert read_timing(path) == record
    first, *others = (one for one in growth(record) if isinstance(one, Picture))
    assert not others
    assert "audit, lines 1.00 at 10,000; audit, classes 1.50 at 4" in first.finding
    assert first.svg().startswith("<")
    assert [one.cells["seconds of the processor"] for one in lines(growth(record), "grows with")] == [
        "2.0, 20.0",
        "1.0, 3.0",
    ]
    assert growth(example()) == []
    value = json.loads(path.read_text(encoding="utf-8"))
    for key, found in (("sizes", [4, 2]), ("sizes", [2]), ("seconds", [1.0]), ("megabytes", [1.0, -1.0])):
        damaged = {**value, "curves": [{**value["curves"][0], key: found}]}
        path.write_text(json.dumps(damaged), encoding="utf-8")
        with pytest.raises(UserError, match=f"curves.0..{key}"):
            read_timing(path)
    # Schema 3 was there before curves were.
    del value["curves"]
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_timing(path) == replace(record, curves=())


def test_record_of_schema_2_is_read(tmp_path: Path) -> None:
    """It has no limits, no steps and no useful operations."""
    record = example(race(32, {"dygraph fp32 1": 2.0}))
    path = write_timing(record, tmp_path)
    value = json.loads(path.read_text(encoding="utf-8"))
    del value["steps"]
    for one in value["comparisons"]:
        del one["limits"], one["limit_seconds"]
    for one in (each for key in ("comparisons", "datasets", "services") for each in value[key]):
        for contestant in one["contestants"]:
            del contestant["operations"]
    path.write_text(json.dumps({**value, "schema": 2}), encoding="utf-8")
    assert read_timing(path) == record


class Counted:
    """Stands for what multiplies in a library, and counts the operations of what it is asked for."""

    def __init__(self) -> None:
        self.operations = 0

    def matmul(self, first: Any, second: Any) -> None:
        """As `paddle.matmul`."""
        m, k = first.shape
        self.operations += Product(m, k, second.shape[1]).operations

    def build(self, product: Product, threads: int) -> Callable[[], None]:
        """As a library's builder."""

        def once() -> None:
            self.operations += product.operations

        return once


def test_paddle_multiplies_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the probe asks Paddle for the operations that its limit states, for small shapes and large ones."""
    upstream.quiet()
    import paddle

    for shape, batch in ((Encoder.of(NET), 2), (BASE, 1)):
        for backward in (False, True):
            counted = Counted()
            one = probes(shape.products(batch, 4, backward), ("fp32",), 1)[0]
            assert one.limit.library == "paddle"
            with monkeypatch.context() as patched:
                patched.setattr(paddle, "matmul", counted.matmul)
                one.call()
            assert counted.operations == one.limit.operations


def test_calls_are_long_enough_for_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products come again until a call has so many operations, or so often; all of them each time."""
    counted = Counted()
    monkeypatch.setattr(products, "_LIBRARIES", {("any", "fp32"): counted.build})
    for shape, wanted in ((Encoder.of(NET), range(LEAST)), (BASE, range(LEAST, 2 * LEAST))):
        counted.operations = 0
        (one,) = probes(shape.products(1, 32), ("fp32",), 1)
        once = sum(product.operations for product in shape.products(1, 32))
        assert one.limit.operations in wanted
        assert one.limit.operations % once == 0
        assert one.limit.operations // once == MOST or one.limit.operations - once < LEAST
        one.call()
        assert counted.operations == one.limit.operations


def test_onednn_has_as_many_maps_as_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of maps between the two sizes, each with the operations of the product."""
    upstream.quiet()
    import paddle

    sizes: list[tuple[int, int]] = []
    linear = paddle.nn.Linear

    def told(*size: int) -> Any:
        sizes.append((size[0], size[1]))
        return linear(*size)

    monkeypatch.setattr(paddle.nn, "Linear", told)
    product = Product(3, 8, 20)
    found = {one.limit.library: one for one in probes([product], ("fp32",), 1)}["onednn"]
    once = sum(Product(product.m, k, n).operations for k, n in sizes)
    assert found.limit.operations == MOST * once
    found.call()


def test_every_library_of_this_machine_multiplies() -> None:
    """What is asked for takes part and runs, in the order of the libraries; the rest is left out."""
    made = probes(Encoder.of(NET).products(2, 4, backward=True), ("fp32", "int8"), 1)
    assert [(one.limit.library, one.limit.precision) for one in made] == [
        ("paddle", "fp32"),
        ("onednn", "fp32"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
    ]
    low = probes(BASE.products(1, 2)[:1], ("bf16",), 1)
    assert {one.limit.precision for one in low} <= {"bf16"}
    for one in (*made, *low):
        one.call()
