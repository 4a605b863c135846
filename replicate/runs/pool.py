"""The engine that has others work: it hands out stages, the longest path first, and trains nothing itself."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from replicate.common.checks import kind_of_device
from replicate.common.errors import Spent, Stopped, UserError
from replicate.common.stops import signal_of
from replicate.records.facts import now
from replicate.runs.costs import expected, timings_of
from replicate.runs.crew import Crew, Seat
from replicate.runs.executor import Failed, Job, Made, NotRun, Outcome, first_failure, skipped
from replicate.runs.messages import Message, as_message
from replicate.runs.runner import Runner
from replicate.runs.sameness import GPU, TEXT, differences, facts_of
from replicate.runs.schedule import Board, work
from replicate.runs.status import Seen, Status
from replicate.runs.troubles import MOST_QUICK, QUICK, Limits, Troubles
from replicate.runs.view import View
from replicate.stages.registry import KINDS

# Seconds between two looks, and that a worker has to finish its step and save.
_EVERY = 1.0
_PATIENCE = 60.0


class Pool:
    """Runs stages on the workers of a crew; what failed once is not tried again by the same engine.

    Args:
        runner: whose stages they are.
        crew: the workers.
        limits: when to give up.
    """

    def __init__(self, runner: Runner, crew: Crew, limits: Limits) -> None:
        self._runner, self._crew, self._limits = runner, crew, limits
        self._seats: list[Seat] = []
        self._troubles = Troubles(limits.retries)
        self._refused = "no worker could be started"
        self._begun = time.monotonic()
        self._made = False
        self._gpu = ""

    def execute(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """One outcome for each job; see `Executor`."""
        seconds = expected((job.stage for job in jobs), timings_of(self._runner)).seconds
        board = Board(jobs, seconds)
        yield from self._without_workers(board)
        if not board.open:
            return
        view, status = View(self._runner.quiet), Status(self._runner.store.root)
        missing, size = board.open.values(), self._crew.size
        view.begin(len(missing), len(jobs), work(missing, seconds), board.left(size), size)
        try:
            while board.open:
                yield from self._hand_out(board)
                yield from self._heard(board, view)
                seen = self._seen(board, view.total)
                view.show(seen)
                status.write(seen)
                self._check_budget(board)
        except BaseException as error:
            saved = self._halt()
            if isinstance(error, KeyboardInterrupt) and not isinstance(error, Spent):
                # Ray makes a plain one of whatever the handler of a signal raises.
                raise Stopped(signal_of(error), saved) from None
            raise
        finally:
            view.end()
            status.end()

    def close(self) -> None:
        """Ends the workers; what one is at keeps its checkpoint."""
        with suppress(KeyboardInterrupt):
            if any(one.job for one in self._seats):
                self._halt()
        self._crew.close()
        self._seats.clear()

    def _without_workers(self, board: Board) -> Iterator[Outcome]:
        """The outcomes of stages that are there, have failed before, or descend from one that has."""
        for job in [*board.open.values()]:
            if job.stage.key not in board.begun and (outcome := self._known(board, job)):
                board.settle(job)
                yield outcome

    def _known(self, board: Board, job: Job) -> Outcome | None:
        if failed := self._troubles.own(job):
            return failed
        if not board.settled(job):
            return None
        if because := self._troubles.because(job):
            self._troubles.lost[job.stage.key] = because
            skipped(job)
            return NotRun(job.stage, because)
        artefact = self._runner.there(job.stage, job.label)
        return Made(job.stage, artefact) if artefact else None

    def _hand_out(self, board: Board) -> Iterator[Outcome]:
        """Give what may begin to those who have nothing to do, and hire where there are too few."""
        wanted: Counter[bool] = Counter()
        for job in board.ready():
            gpu = self._wants_gpu(job)
            idle = (one for one in self._seats if one.ready and one.job is None and one.worker.gpu == gpu)
            seat = next((one for one in idle if self._troubles.welcome(job, one.worker.place, self._crew.places)), None)
            if seat:
                yield from self._start(board, seat, job)
            else:
                wanted[gpu] += 1
        for gpu, count in wanted.items():
            coming = sum(not one.ready and one.worker.gpu == gpu for one in self._seats)
            for _ in range(count - coming):
                worker = self._crew.hire(gpu)
                if worker is None:
                    break
                self._seats.append(Seat(worker))
        if not self._seats:
            raise UserError(self._refused, hint="docs/sweeps.md says what workers need")

    def _wants_gpu(self, job: Job) -> bool:
        kind = KINDS.get(job.stage.name)
        if kind is None or kind_of_device(self._runner.profile.device) == "cpu":
            return False
        return kind.wants_device(kind.settings(job.stage.passed))

    def _start(self, board: Board, seat: Seat, job: Job) -> Iterator[Outcome]:
        board.begun.add(job.stage.key)
        seat.job, seat.since, seat.step, seat.steps = job, time.monotonic(), 0, 0
        fault, own = self._crew.give(seat.worker, job.stage)
        if fault:
            if own and not self._leave_out(seat.worker.place, fault):
                raise UserError(fault)
            yield from self._once_more(board, seat, job, fault)
            return
        first = not self._troubles.tries[job.stage.key]
        seat.worker.send({"stage": as_message(job.stage), "label": job.label, "log": _log(job), "anew": first})

    def _heard(self, board: Board, view: View) -> Iterator[Outcome]:
        """What comes of what workers say."""
        for worker, message in self._crew.hear(_EVERY):
            seat = next((one for one in self._seats if one.worker is worker), None)
            if seat is None:
                continue
            if message["told"] == "ready":
                self._welcome(seat, message)
            elif message["told"] == "step":
                seat.step, seat.steps = message["step"], message["of"]
            elif message["told"] == "gone":
                self._seats.remove(seat)
                yield from self._gone(board, seat, str(message["reason"]))
            elif seat.job:
                yield from self._ended(board, seat, seat.job, message, view)

    def _welcome(self, seat: Seat, message: Message) -> None:
        place, fault = seat.worker.place, str(message["fault"])
        if not fault:
            fault = "; ".join(differences(self._facts(message["facts"]), message["facts"]))
            fault = fault and f"it would train other nets, with {fault}"
        if not fault:
            seat.ready, self._troubles.unborn = True, 0
            return
        self._refused = f"{place} can't work: {fault}"
        self._dismiss(seat)
        if not self._leave_out(place, fault):
            raise UserError(self._refused)

    def _facts(self, theirs: Mapping[str, str]) -> dict[str, str]:
        """What a worker must have; of GPUs that is what the first one has, since a driver may have none."""
        mine = facts_of(self._runner, gpu=False, reads_text=TEXT in theirs)
        if GPU in theirs:
            self._gpu = mine[GPU] = self._gpu or theirs[GPU]
        return mine

    def _ended(self, board: Board, seat: Seat, job: Job, message: Message, view: View) -> Iterator[Outcome]:
        """A stage has ended where it ran."""
        status, place, reason = message["status"], seat.worker.place, str(message.get("reason", ""))
        if status == "stopped":
            # Somebody else has asked it to go; that it is gone comes next.
            seat.saved = bool(message["saved"])
        elif status == "made":
            artefact = self._crew.take(seat.worker, job.stage)
            if artefact is None:
                yield from self._once_more(board, seat, job, "what it made has not arrived")
                return
            self._made = True
            self._troubles.went_well(place)
            view.made(job, seat.seconds)
            self._free(board, seat)
            board.settle(job)
            yield Made(job.stage, artefact)
        elif status == "fault" and self._leave_out(place, reason):
            self._free(board, seat)
        elif status == "fault" or (status == "refused" and not self._made):
            raise UserError(reason)
        elif status == "error" and seat.seconds < QUICK and self._troubles.elsewhere(job, place, self._crew.places):
            _tell(job, f"{reason}; tried again on another machine than {place}")
            self._count(place, seat.seconds)
            self._free(board, seat)
        else:
            self._troubles.went_well(place)
            diverged = status == "diverged"
            _tell(job, reason if diverged else f"{reason}; log in {self._log_there(seat, job)}")
            self._free(board, seat)
            failed = Failed(job.stage, "diverged" if diverged else "error", reason, str(message["started"]))
            yield from self._lose(board, job, failed)

    def _gone(self, board: Board, seat: Seat, reason: str) -> Iterator[Outcome]:
        """A worker has ended."""
        place = seat.worker.place
        if seat.job:
            yield from self._once_more(board, seat, seat.job, reason)
        elif not seat.ready:
            self._refused = f"a worker on {place} ended before it had begun ({reason})"
            self._troubles.unborn += 1
            if self._troubles.unborn >= MOST_QUICK and not self._leave_out(place, self._refused):
                raise UserError(self._refused)

    def _once_more(self, board: Board, seat: Seat, job: Job, reason: str) -> Iterator[Outcome]:
        """A stage is tried again, from its checkpoint, unless that was too often."""
        seconds = seat.seconds
        self._free(board, seat)
        self._count(seat.worker.place, seconds)
        if self._troubles.ended(job):
            _tell(job, f"its worker ended ({reason}); tried again from its checkpoint")
            return
        reason = f"its worker ended {self._troubles.tries[job.stage.key]} times ({reason})"
        _tell(job, f"{reason}; log in {self._log_there(seat, job)}")
        yield from self._lose(board, job, Failed(job.stage, "error", reason, now()))

    def _log_there(self, seat: Seat, job: Job) -> Path:
        self._crew.take_log(seat.worker, _log(job))
        return self._runner.store.root / _log(job)

    def _free(self, board: Board, seat: Seat) -> None:
        if seat.job:
            board.begun.discard(seat.job.stage.key)
        seat.job = None
        if seat in self._seats and seat.worker.place not in self._crew.places:
            # Its machine has been left out meanwhile.
            self._dismiss(seat)

    def _dismiss(self, seat: Seat) -> None:
        self._seats.remove(seat)
        seat.worker.stop()

    def _lose(self, board: Board, job: Job, failed: Failed) -> Iterator[Outcome]:
        """A failure, and what can't be had because of it."""
        self._troubles.lost[job.stage.key] = failed
        board.settle(job)
        yield failed
        if self._limits.fail_fast:
            raise first_failure(job, failed)
        yield from self._without_workers(board)

    def _count(self, place: str, seconds: float) -> None:
        if self._troubles.too_many(place, seconds):
            self._leave_out(place, f"{MOST_QUICK} stages in a row failed there at once")

    def _leave_out(self, place: str, why: str) -> bool:
        """Give a machine nothing more; False where there is no other."""
        if not self._crew.places - {place}:
            return False
        if place in self._crew.places:
            print(f"replicate: {place} is left out: {why}", file=sys.stderr, flush=True)
            self._crew.shut_out(place)
        for seat in [one for one in self._seats if one.worker.place == place and one.job is None]:
            self._dismiss(seat)
        return True

    def _check_budget(self, board: Board) -> None:
        if self._limits.budget is not None and time.monotonic() - self._begun > self._limits.budget and board.open:
            left = f"{len(board.open)} stage{'s' * (len(board.open) > 1)}"
            raise Spent(f"the budget is spent with {left} left; the same command goes on from there")

    def _seen(self, board: Board, total: int) -> Seen:
        busy = [(one, one.job) for one in self._seats if one.job]
        spent = {job.stage.key: seat.seconds for seat, job in busy}
        running = [
            {
                "stage": f"{job.label} · {job.stage.name}",
                "step": seat.step,
                "of": seat.steps,
                "seconds": round(seat.seconds),
                "place": seat.worker.place,
            }
            for seat, job in busy
        ]
        failed = len({one.stage.key for one in self._troubles.lost.values()})
        left = board.left(self._crew.size, spent)
        return Seen(self._runner.profile.id, total, len(board.open), failed, left, running)

    def _halt(self) -> bool:
        """Have every worker keep what it has, and end; whether any of them has a checkpoint."""
        busy = {id(one.worker): one for one in self._seats if one.job}
        waiting = set(busy)
        try:
            for seat in self._seats:
                seat.worker.stop()
            until = time.monotonic() + _PATIENCE
            while waiting and time.monotonic() < until:
                for worker, message in self._crew.hear(_EVERY):
                    if message["told"] == "gone":
                        waiting.discard(id(worker))
                    elif message["told"] == "ended" and id(worker) in busy:
                        # What was made meanwhile is not begun again either.
                        busy[id(worker)].saved = message["status"] == "made" or bool(message.get("saved"))
        finally:
            # Also where a second signal has come: then nobody is waited for.
            for seat in self._seats:
                seat.worker.kill()
            self._seats.clear()
        return any(one.saved for one in busy.values())


def _tell(job: Job, what: str) -> None:
    print(f"{job.label} · {job.stage.name}: {what}", file=sys.stderr, flush=True)


def _log(job: Job) -> str:
    """Where what a stage prints goes, below the store's folder."""
    return f"logs/{job.stage.name}-{job.stage.key}.log"
