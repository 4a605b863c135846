"""What a person sees while a stage runs: nested bars on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO, TypeVar

from tqdm import tqdm

from replicate.common.errors import shown

LOG_SECONDS = 20.0
T = TypeVar("T")


def warn(lines: Iterable[str]) -> None:
    """Tells the user something beside the result, a line each."""
    for line in lines:
        print(f"replicate: {shown(' '.join(line.split()))}", file=sys.stderr, flush=True)


def watch(
    items: Sequence[T],
    label: Callable[[T], str],
    quiet: bool = False,
    stream: TextIO | None = None,
) -> Iterator[T]:
    """Goes through `items` under a bar of their own; where there is no terminal, a line tells of each that begins.

    Args:
        items: what is gone through, in order.
        label: of the item that runs now.
        quiet: show nothing.
        stream: where to write; standard error without it.
    """
    stream = stream or sys.stderr
    if quiet or not stream.isatty():
        for number, item in enumerate(items, start=1):
            if not quiet:
                print(f"{label(item)} ({number} of {len(items)})", file=stream, flush=True)
            yield item
        return
    with tqdm(total=len(items), file=stream, leave=False, dynamic_ncols=True) as bar:
        for item in items:
            bar.set_description(label(item))
            yield item
            bar.update()


class Progress:
    """Shows steps, loss and the time left of the stage that runs now.

    Args:
        label: what runs, e.g. `augment · seed 2 · finetune`.
        quiet: show nothing.
        stream: where to write.
        every: print a plain line every so many steps; 0 prints one every 20 seconds.
    """

    # Folder for VisualDL's logs of every stage, below it one for each part of a label; None writes none.
    curves: ClassVar[Path | None] = None

    def __init__(self, label: str = "", quiet: bool = False, stream: TextIO | None = None, every: int = 0) -> None:
        self.label = label
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.every = every
        self._bar: Any = None
        self._writer: Any = None
        self._total = self._shown = 0
        self._since = self._last = 0.0
        self._shown_values: dict[str, float] = {}

    def start(self, total: int) -> None:
        """A stage of `total` steps begins."""
        self.close()
        self._total, self._shown, self._shown_values = total, 0, {}
        self._since = self._last = time.monotonic()
        if self.curves is not None:
            self._writer = curve_writer(self.curves, self.label)
        if not self.quiet and self.stream.isatty():
            self._bar = tqdm(total=total, desc=self.label, file=self.stream, leave=False, dynamic_ncols=True)

    def step(self, step: int, **values: float) -> None:
        """Step number `step` is done; the latest `values` (loss, accuracy …) stand beside it."""
        self._shown_values |= values
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(tag=name, step=step, value=value)
        if self._bar is not None:
            if values:
                self._bar.set_postfix({key: f"{one:.4f}" for key, one in self._shown_values.items()}, refresh=False)
            self._bar.update(step - self._shown)
        elif not self.quiet and self._due(step):
            now = self._last = time.monotonic()
            left = (now - self._since) / max(step, 1) * (self._total - step)
            shown = " ".join(f"{key} {value:.4f}" for key, value in self._shown_values.items())
            print(f"{self.label} step {step}/{self._total} {shown} {left:.0f} s left", file=self.stream, flush=True)
        self._shown = step

    def _due(self, step: int) -> bool:
        return step % self.every == 0 if self.every else time.monotonic() - self._last >= LOG_SECONDS

    def close(self) -> None:
        """The stage is over."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def curve_writer(folder: Path, label: str) -> Any:
    """VisualDL's writer of scalars for one stage, in `folder/<part of the label>/<part>/…`."""
    from visualdl import LogWriter

    parts = [re.sub(r"[^\w.-]+", "-", part).strip("-") for part in label.split(" · ")]
    return LogWriter(logdir=str(folder.joinpath(*filter(None, parts))))
