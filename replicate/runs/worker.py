"""A process that makes one stage after another for a driver: `python -m replicate.runs.worker`.

It is told in lines of JSON on standard input whom it works for and then what to make, and answers in lines on standard
output. What stages print goes to the log that comes with each of them. Where the driver ends, so does this process: it
finishes a step of training, keeps its checkpoint and goes.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.homes import give_homes
from replicate.common.progress import Progress
from replicate.common.stops import SEEN, stop
from replicate.corpus import load_dataset
from replicate.corpus.formats import read_lines
from replicate.records.facts import now
from replicate.runs.executor import Refused, failure
from replicate.runs.lock_test import lock_fault
from replicate.runs.messages import Message, profile_from, stage_from
from replicate.runs.plan import Stage
from replicate.runs.runner import Runner
from replicate.runs.sameness import facts_of
from replicate.runs.shipment import LINES
from replicate.runs.store import Store

# Seconds between two words on how far a stage is, and between two looks for what another node has made.
_OFTEN = 1.0
Answer = Callable[[Message], None]


def main() -> int:
    """Work until the driver says no more; 0, or 143 where it was stopped."""
    answer = _answering()
    give_homes()
    heard: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    threading.Thread(target=_listen, args=(heard,), daemon=True).start()
    try:
        hired = heard.get()
        if hired is None:
            return 0
        with _network(bool(hired["offline"])):
            _work(hired, heard, answer)
    except KeyboardInterrupt:
        return 128 + signal.SIGTERM
    return 0


def _work(hired: Message, heard: queue.SimpleQueue[Message | None], answer: Answer) -> None:
    Progress.curves = Path(hired["curves"]) if hired["curves"] else None
    try:
        runner = _runner(hired, answer)
        facts = facts_of(runner, hired["gpu"], hired["reads_text"])
        answer({"told": "ready", "facts": facts, "fault": lock_fault(hired["lock"])})
    except UserError as error:
        answer({"told": "ready", "facts": {}, "fault": str(error)})
        return
    while (message := heard.get()) is not None:
        answer({"told": "ended", "started": now(), **_made(runner, message, float(hired["patience"]))})
        if SEEN:
            return


def _runner(hired: Message, answer: Answer) -> Runner:
    runner = Runner(
        profile_from(hired["profile"]),
        Store(Path(hired["store"])),
        offline=bool(hired["offline"]),
        measured=Path(hired["measured"]),
        progress=lambda label: Telling(label, answer),
    )
    if hired.get("data"):
        # They came with it: this machine may have none, or others under the same name.
        folder = Path(hired["data"])
        lines = folder / LINES
        runner.dataset = load_dataset(str(folder))
        runner.unlabelled = read_lines(lines) if lines.stat().st_size else ()
    return runner


def _made(runner: Runner, message: Message, patience: float) -> dict[str, Any]:
    """What has become of a stage; what is printed meanwhile goes to its log."""
    log = runner.store.root / message["log"]
    try:
        _print_into(log, anew=bool(message["anew"]))
    except OSError as error:
        return {"status": "fault", "reason": str(UserError(f"can't be written: {error.strerror}", path=log))}
    try:
        stage = stage_from(message["stage"])
        _wait_for(stage, runner, patience)
        runner.make(stage, message["label"])
        return {"status": "made"}
    except Refused as error:
        return {"status": "refused", "reason": str(error)}
    except UserError as error:
        return {"status": "fault", "reason": str(error)}
    except KeyboardInterrupt as error:
        SEEN.append(signal.SIGTERM)
        return {"status": "stopped", "saved": bool(getattr(error, "saved", None))}
    except Exception as error:
        # A module that is stopped while it is imported may say that it can't be.
        if SEEN:
            return {"status": "stopped", "saved": False}
        traceback.print_exc()
        status, reason = failure(error)
        return {"status": status, "reason": reason}


def _print_into(path: Path, anew: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if anew else os.O_APPEND)
    log = os.open(path, flags, 0o666)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)


def _wait_for(stage: Stage, runner: Runner, patience: float) -> None:
    """A network file system may not show yet what another node has just made."""
    until = time.monotonic() + patience
    for parent in stage.parents():
        while time.monotonic() < until and runner.store.find(parent.name, parent.key) is None:
            time.sleep(_OFTEN)


class Telling(Progress):
    """Tells the driver of steps, beside what goes to the stage's log."""

    def __init__(self, label: str, answer: Answer) -> None:
        super().__init__(label)
        self._answer = answer
        self._steps, self._told = 0, 0.0

    def start(self, total: int) -> None:
        """A stage of `total` steps begins."""
        super().start(total)
        self._steps = total

    def step(self, step: int, **values: float) -> None:
        """Step number `step` is done."""
        super().step(step, **values)
        if time.monotonic() - self._told >= _OFTEN:
            self._told = time.monotonic()
            self._answer({"told": "step", "step": step, "of": self._steps})


def _answering() -> Answer:
    """What writes a message to the driver; whatever else is printed must not get there."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: Message) -> None:
        # Without a driver there is nobody to tell, and the reader of its messages says so too.
        try:
            print(json.dumps(message, ensure_ascii=False), file=answers, flush=True)
        except BrokenPipeError:
            os.kill(os.getpid(), signal.SIGTERM)

    return answer


def _listen(heard: queue.SimpleQueue[Message | None]) -> None:
    for line in sys.stdin:
        heard.put(json.loads(line))
    heard.put(None)
    os.kill(os.getpid(), signal.SIGTERM)


def _network(offline: bool) -> AbstractContextManager[None]:
    if not offline:
        return nullcontext()
    from replicate.corpus.fetch import no_network

    return no_network()


if __name__ == "__main__":
    code = main()
    # Paddle's way out takes seconds, and nothing of it is wanted.
    sys.stderr.flush()
    os._exit(code)
