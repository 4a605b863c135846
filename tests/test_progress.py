"""Progress is a bar on a terminal, plain lines elsewhere, and nothing when quiet."""

from __future__ import annotations

import io

import pytest

from replicate import progress
from replicate.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def run(shown: Progress, steps: int = 6) -> None:
    """A stage of some steps."""
    shown.start(steps)
    for step in range(1, steps + 1):
        shown.step(step, loss=1 / step)
    shown.close()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_writes_nothing(stream: io.StringIO) -> None:
    """Not even on a terminal."""
    run(Progress("augment · seed 2", quiet=True, stream=stream))
    assert stream.getvalue() == ""


def test_lines_say_row_step_loss_and_time_left() -> None:
    """Every so many steps one line with the label, the step of all, the loss and the seconds left."""
    stream = io.StringIO()
    run(Progress("augment · seed 2", stream=stream, every=3))
    assert stream.getvalue().splitlines() == [
        "augment · seed 2 step 3/6 loss 0.3333 0 s left",
        "augment · seed 2 step 6/6 loss 0.1667 0 s left",
    ]


def test_short_stage_writes_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `every` a line comes after some seconds; a log of thousands of steps stays short."""
    stream = io.StringIO()
    run(Progress("base", stream=stream))
    assert stream.getvalue() == ""
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    run(Progress("base", stream=stream))
    assert len(stream.getvalue().splitlines()) == 6


def test_terminal_gets_a_bar() -> None:
    """On a terminal a bar shows label and count, and is gone at the end."""
    stream = Terminal()
    shown = Progress("prune-1-2 · seed 1", stream=stream)
    shown.start(4)
    shown.step(2, loss=0.5)
    shown.step(4, loss=0.25)
    shown.close()
    text = stream.getvalue()
    assert "prune-1-2 · seed 1" in text
    assert "/4" in text
    assert text.endswith("\r")
    shown.close()
