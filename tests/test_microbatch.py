"""The queue in front of a model: who is taken, what goes together, and that nobody is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import pytest

from replicate.common.errors import UserError
from replicate.inference.predict import Prediction
from replicate.serving.microbatch import Closed, Full, Microbatcher, TooMany

SECONDS = 20


class Echo:
    """Labels every text with itself, two at a time from the shortest on; only when the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.calls: list[list[str]] = []
        self.threads: set[int] = set()

    def batches(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Prediction]]]:
        """As a model does; `bad` makes it fail."""
        self.threads.add(threading.get_ident())
        self.calls.append(list(texts))
        self.entered.set()
        assert self.gate.wait(SECONDS)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), 2):
            if any(texts[index] == "bad" for index in order[start : start + 2]):
                raise ValueError("bad text")
            yield [(index, Prediction(texts[index], texts[index], 1.0)) for index in order[start : start + 2]]


def made(capacity: int = 8, max_batch: int = 4, max_wait: float = 0.0, **more: object) -> Microbatcher[Echo]:
    """A batcher around an `Echo`."""
    return Microbatcher(Echo, max_batch, max_wait, capacity, **more)  # type: ignore[arg-type]


def labels(future: Future[list[Prediction]]) -> list[str | None]:
    """What a request was answered."""
    return [one.label for one in future.result(SECONDS)]


def test_requests_are_answered_in_the_order_of_their_texts() -> None:
    """Texts of several requests share batches, and each request gets its own back in order."""
    sizes: list[int] = []
    batcher = made(on_batch=sizes.append)
    model = batcher.start()
    model.gate.clear()
    first = batcher.submit(["one"])
    assert model.entered.wait(SECONDS)
    waiting = [batcher.submit(["long text", "a"]), batcher.submit(["bb"]), batcher.submit([])]
    model.gate.set()
    assert [labels(one) for one in (first, *waiting)] == [["one"], ["long text", "a"], ["bb"], []]
    assert model.calls == [["one"], ["long text", "a", "bb"]]
    assert batcher.close(SECONDS) == 0
    assert sizes == [1, 2, 1]
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads


def test_texts_wait_for_others_for_a_while() -> None:
    """With time to wait, requests that come apart are computed together as soon as a batch is full."""
    batcher = made(max_batch=3, max_wait=SECONDS)
    model = batcher.start()
    futures = [batcher.submit([text]) for text in ("a", "b", "c")]
    assert [labels(one) for one in futures] == [["a"], ["b"], ["c"]]
    assert model.calls == [["a", "b", "c"]]
    assert batcher.close(SECONDS) == 0


def test_a_full_queue_waits_for_nobody() -> None:
    """Where the queue is smaller than a batch, it is answered when it is full."""
    batcher = made(capacity=2, max_batch=32, max_wait=SECONDS)
    batcher.start()
    futures = [batcher.submit([text]) for text in ("a", "b")]
    assert [labels(one) for one in futures] == [["a"], ["b"]]
    assert batcher.close(SECONDS) == 0


def test_room_is_counted_in_unanswered_texts() -> None:
    """What has no room now is refused as full, what never will have as too many; answers make room."""
    batcher = made(capacity=3)
    model = batcher.start()
    model.gate.clear()
    first = batcher.submit(["a", "b"])
    assert model.entered.wait(SECONDS)
    assert batcher.pending == 2
    with pytest.raises(Full):
        batcher.submit(["c", "d"])
    with pytest.raises(TooMany):
        batcher.submit(["c", "d", "e", "f"])
    second = batcher.submit(["c"])
    model.gate.set()
    assert (labels(first), labels(second)) == (["a", "b"], ["c"])
    assert labels(batcher.submit(["d", "e", "f"])) == ["d", "e", "f"]
    assert batcher.pending == 0
    assert batcher.close(SECONDS) == 0


def test_closing_answers_what_was_taken() -> None:
    """Whatever waits when it is closed is answered; nothing new is taken."""
    batcher = made(max_wait=SECONDS)
    batcher.start()
    taken = [batcher.submit([text]) for text in ("a", "b")]
    assert batcher.close(SECONDS) == 0
    assert [labels(one) for one in taken] == [["a"], ["b"]]
    with pytest.raises(Closed):
        batcher.submit(["c"])


def test_closing_waits_no_longer_than_it_is_told() -> None:
    """A model that hangs keeps nobody: the texts without an answer are counted."""
    batcher = made()
    model = batcher.start()
    model.gate.clear()
    future = batcher.submit(["a", "b"])
    assert batcher.close(0.01) == 2
    model.gate.set()
    assert labels(future) == ["a", "b"]


def test_a_failure_ends_its_requests_only() -> None:
    """A model that fails tells those it has not answered; the next request is served."""
    batcher = made()
    model = batcher.start()
    model.gate.clear()
    first = batcher.submit(["z"])
    assert model.entered.wait(SECONDS)
    answered, failed = batcher.submit(["a", "b"]), batcher.submit(["bad"])
    model.gate.set()
    assert labels(first) == ["z"]
    assert labels(answered) == ["a", "b"]
    with pytest.raises(ValueError, match="bad text"):
        failed.result(SECONDS)
    assert batcher.pending == 0
    assert labels(batcher.submit(["c"])) == ["c"]
    assert batcher.close(SECONDS) == 0


def test_a_request_that_was_given_up_makes_room() -> None:
    """One that is cancelled while it waits is not computed."""
    batcher = made(capacity=3)
    model = batcher.start()
    model.gate.clear()
    first = batcher.submit(["a"])
    assert model.entered.wait(SECONDS)
    given_up, second = batcher.submit(["b"]), batcher.submit(["c"])
    assert given_up.cancel()
    model.gate.set()
    assert (labels(first), labels(second)) == (["a"], ["c"])
    assert model.calls == [["a"], ["c"]]
    assert batcher.pending == 0
    assert batcher.close(SECONDS) == 0


def test_a_model_that_does_not_open() -> None:
    """What opening it raises comes out of `start`."""

    def fail() -> Echo:
        raise UserError("no such model folder")

    with pytest.raises(UserError, match="no such model folder"):
        Microbatcher(fail, 1, 0.0, 1).start()


def test_a_large_request_goes_in_parts() -> None:
    """One of many texts shares each batch with those who come meanwhile, and keeps none waiting for its end."""
    batcher = made(capacity=64)
    model = batcher.start()
    model.gate.clear()
    large = batcher.submit([f"{'x' * (20 - number)}" for number in range(20)])
    assert model.entered.wait(SECONDS)
    small = [batcher.submit(["a"]), batcher.submit(["b", "c"])]
    model.gate.set()
    assert [labels(one) for one in small] == [["a"], ["b", "c"]]
    assert labels(large) == ["x" * (20 - number) for number in range(20)]
    assert batcher.close(SECONDS) == 0
    # The shortest first, since texts of similar length go together; then in turn, one of each and a second.
    assert model.calls[0] == ["x", "xx", "xxx", "xxxx"]
    assert sorted(model.calls[1]) == ["a", "b", "xxxxx", "xxxxxx"]
    assert max(map(len, model.calls)) == 4
    assert sum(map(len, model.calls)) == 23


def test_every_large_request_has_its_turn() -> None:
    """Where more wait than a batch holds, who was served goes behind those who were not."""
    batcher = made(capacity=64)
    model = batcher.start()
    model.gate.clear()
    first = batcher.submit(["z"])
    assert model.entered.wait(SECONDS)
    others = [batcher.submit([f"{name}{number}" for number in range(2)]) for name in "abcdef"]
    model.gate.set()
    assert [labels(one) for one in (first, *others)] == [["z"], *([f"{name}0", f"{name}1"] for name in "abcdef")]
    assert model.calls[1:] == [["a0", "b0", "c0", "d0"], ["e0", "f0", "a1", "b1"], ["c1", "d1", "e1", "f1"]]
    assert batcher.close(SECONDS) == 0


def test_a_large_request_that_is_given_up_is_computed_no_further() -> None:
    """What was begun ends with its batch, and the room is free at once."""
    batcher = made(capacity=20)
    model = batcher.start()
    model.gate.clear()
    large = batcher.submit(["x"] * 20)
    assert model.entered.wait(SECONDS)
    with pytest.raises(Full):
        batcher.submit(["a"])
    assert large.cancel()
    assert batcher.pending == 0
    second = batcher.submit(["a"])
    model.gate.set()
    assert labels(second) == ["a"]
    assert model.calls == [["x"] * 4, ["a"]]
    assert batcher.close(SECONDS) == 0


def test_giving_up_while_it_waits_for_others_ends_nothing() -> None:
    """The only request that waits is given up; the next one is answered all the same."""
    batcher = made(max_wait=0.05)
    batcher.start()
    assert batcher.submit(["a"]).cancel()
    time.sleep(0.1)
    assert batcher.alive
    assert labels(batcher.submit(["b"])) == ["b"]
    assert batcher.close(SECONDS) == 0
    assert not batcher.alive


def test_a_text_that_fails_costs_nobody_else_an_answer() -> None:
    """Those whose texts were computed with it are computed again, without it."""
    batcher = made()
    model = batcher.start()
    model.gate.clear()
    first = batcher.submit(["z"])
    assert model.entered.wait(SECONDS)
    failed, answered = batcher.submit(["bad"]), batcher.submit(["good"])
    model.gate.set()
    assert labels(first) == ["z"]
    assert labels(answered) == ["good"]
    with pytest.raises(ValueError, match="bad text"):
        failed.result(SECONDS)
    assert batcher.close(SECONDS) == 0
