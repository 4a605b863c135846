"""Progress is nested bars on a terminal, plain lines elsewhere, nothing when quiet, and curves where asked."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from replicate.common import progress
from replicate.common.progress import Progress, watch


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


def nested(stream: io.StringIO, quiet: bool = False) -> list[str]:
    """Two rows with two seeds each and a stage of two steps in each of them; what was gone through."""
    seen = []
    runs = [(row, seed) for row in ("base", "augment") for seed in (1, 2)]
    for row, seed in watch(runs, lambda one: f"{one[0]} · seed {one[1]}", quiet, stream):
        run(Progress(f"{row} · seed {seed} · finetune", quiet, stream), steps=2)
        seen.append(f"{row} {seed}")
    return seen


EVERY = ["base 1", "base 2", "augment 1", "augment 2"]


def test_bars_nest_on_a_terminal() -> None:
    """A run of a row and its stage have a bar each, the stage's on the line below; both are gone at the end."""
    stream = Terminal()
    assert nested(stream) == EVERY
    text = stream.getvalue()
    for label in ("base · seed 1:", "augment · seed 2:", "augment · seed 2 · finetune:"):
        assert label in text
    # tqdm goes a line down to draw the inner of two bars.
    assert "\n" in text
    assert text.endswith("\r")


def test_a_log_has_one_line_a_run() -> None:
    """Where there is no terminal, each run is told when it begins; quiet tells nothing."""
    stream = io.StringIO()
    assert nested(stream) == EVERY
    lines = stream.getvalue().splitlines()
    runs = ("base · seed 1", "base · seed 2", "augment · seed 1", "augment · seed 2")
    assert lines == [f"{label} ({number} of 4)" for number, label in enumerate(runs, start=1)]
    for quiet in (io.StringIO(), Terminal()):
        assert nested(quiet, quiet=True) == EVERY
        assert quiet.getvalue() == ""


def test_curves_for_visualdl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value that a stage tells is in VisualDL's log of that stage, and can be read back."""
    visualdl = pytest.importorskip("visualdl")
    monkeypatch.setattr(Progress, "curves", tmp_path)
    run(Progress("augment · seed 2 · finetune", quiet=True), steps=4)
    (log,) = (tmp_path / "augment" / "seed-2" / "finetune").glob("*.log")
    reader = visualdl.LogReader(file_path=str(log))
    found = reader.get_data("scalar", "loss")
    assert [(one.id, round(one.value, 4)) for one in found] == [(1, 1.0), (2, 0.5), (3, 0.3333), (4, 0.25)]


def test_no_curves_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written by default."""
    monkeypatch.chdir(tmp_path)
    run(Progress("augment", quiet=True))
    assert list(tmp_path.iterdir()) == []
