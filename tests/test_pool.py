"""What becomes of stages whose workers, machines or code fail: a pool whose workers only say what they are told."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from replicate.common.errors import Spent, Stopped, UserError
from replicate.runs.artefact import Artefact
from replicate.runs.executor import Failed, Job, Made, NotRun, Outcome
from replicate.runs.messages import Message
from replicate.runs.plan import Stage
from replicate.runs.pool import Pool
from replicate.runs.runner import Runner
from replicate.runs.sameness import facts_of
from replicate.runs.store import Store
from replicate.runs.troubles import MOST_QUICK, Limits
from replicate.tables.profile import load_profile

MADE: Message = {"told": "ended", "status": "made", "started": "now"}
BROKEN: Message = {"told": "ended", "status": "error", "reason": "ZeroDivisionError: by hand", "started": "now"}
DIVERGED: Message = {"told": "ended", "status": "diverged", "reason": "the loss is nan", "started": "now"}
FULL: Message = {"told": "ended", "status": "fault", "reason": "no space left", "started": "now"}
GONE: Message = {"told": "gone", "reason": "killed by SIGKILL"}


def stage(name: str, *parents: Stage) -> Stage:
    """A stage of no kind."""
    identity = {"stage": name, "inputs": [one.key for one in parents]}
    return Stage(name, {}, {}, 1, {"parents": parents} if parents else {}, identity)


ROOT, ALONE = stage("root"), stage("alone")
LEAF = stage("leaf", ROOT)
MANY = [stage(f"one-{number}") for number in range(12)]


def jobs(*stages: Stage) -> list[Job]:
    """Of a row."""
    return [Job(one, "row · seed 1") for one in stages]


def only(name: str, message: Message) -> Callable[[str], Message]:
    """This comes of one stage, and the others are made."""
    return lambda one: message if one == name else MADE


class Puppet:
    """A worker that is where it is said to be."""

    def __init__(self, place: str) -> None:
        self.place, self.gpu = place, False
        self.sent: list[str] = []
        self.says: deque[Message] = deque()
        self.answer: Callable[[str], Message] = lambda name: MADE

    def send(self, message: Message) -> None:
        """Say what comes of it."""
        self.sent.append(message["stage"]["name"])
        self.says.append(self.answer(message["stage"]["name"]))

    def stop(self) -> None:
        """Say that it is gone."""
        self.says.append({"told": "gone", "reason": "exit code 143"})

    def kill(self) -> None:
        """It has said all."""


class Puppets:
    """One at a time on each machine, each of which answers as it is told to.

    Args:
        answers: what comes of a stage, by machine.
        facts: what the workers of a machine are, where that isn't what the driver is.
    """

    def __init__(self, answers: dict[str, Callable[[str], Message]], **facts: dict[str, str]) -> None:
        self.answers, self.facts = answers, facts
        self.own: dict[str, str] = {}
        self.here: list[Puppet] = []
        self.all: list[Puppet] = []
        self.out: set[str] = set()

    @property
    def places(self) -> frozenset[str]:
        """Those that are not shut out."""
        return frozenset(self.answers) - self.out

    @property
    def size(self) -> int:
        """One each."""
        return max(1, len(self.places))

    def hire(self, gpu: bool) -> Puppet | None:
        """On the first machine that has none."""
        free = sorted(self.places - {one.place for one in self.here})
        if not free:
            return None
        worker = Puppet(free[0])
        worker.answer = self.answers[free[0]]
        worker.says.append({"told": "ready", "facts": {**self.own, **self.facts.get(free[0], {})}, "fault": ""})
        self.here.append(worker)
        self.all.append(worker)
        return worker

    def hear(self, seconds: float) -> Iterator[tuple[Puppet, Message]]:
        """A word of each."""
        for worker in [*self.here]:
            if worker.says:
                message = worker.says.popleft()
                if message["told"] == "gone":
                    self.here.remove(worker)
                yield worker, message

    def give(self, worker: Any, stage: Stage) -> tuple[str, bool]:
        """They see everything."""
        return "", False

    def take(self, worker: Any, stage: Stage) -> Artefact:
        """Nobody looks into it."""
        return Artefact(Path(), {}, stage.key, 1.0, False)

    def take_log(self, worker: Any, log: str) -> None:
        """They write none."""

    def shut_out(self, place: str) -> None:
        """Nobody is hired there any more."""
        self.out.add(place)

    def close(self) -> None:
        """Nobody is here any more."""
        self.here.clear()

    def sent(self, place: str) -> list[str]:
        """What the workers of a machine were told to make."""
        return [name for one in self.all if one.place == place for name in one.sent]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """One that must not make anything itself."""

    def refuse(*_: object) -> None:
        raise AssertionError("the driver trains")

    monkeypatch.setattr(Runner, "make", refuse)
    return Runner(load_profile("smoke"), Store(tmp_path / "store"), quiet=True, offline=True)


def outcomes(runner: Runner, crew: Puppets, stages: list[Job], **limits: Any) -> dict[str, Outcome]:
    """By the stage's name."""
    crew.own = facts_of(runner, gpu=False, reads_text=False)
    with closing(Pool(runner, crew, Limits(**limits))) as pool:
        return {one.stage.name: one for one in pool.execute(stages)}


def test_a_failure_costs_what_descends_from_it(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception and a divergence are on record as such and not tried again; what is beside them is made."""
    for message, status in ((BROKEN, "error"), (DIVERGED, "diverged")):
        crew = Puppets({"here": only("root", message)})
        found = outcomes(runner, crew, jobs(ROOT, LEAF, ALONE))
        failed = found["root"]
        assert isinstance(failed, Failed)
        assert (failed.status, failed.reason) == (status, message["reason"])
        assert found["leaf"] == NotRun(LEAF, failed)
        assert isinstance(found["alone"], Made)
        assert crew.sent("here").count("root") == 1
        assert "row · seed 1 · leaf: skipped (parent failed)" in capsys.readouterr().err


def test_retries_end_and_the_driver_does_not_train(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """A stage whose worker dies each time is an error after its tries; the others go on in new workers."""
    crew = Puppets({"here": only("root", GONE)})
    found = outcomes(runner, crew, jobs(ROOT, LEAF, ALONE), retries=2)
    failed = found["root"]
    assert isinstance(failed, Failed)
    assert failed.reason == "its worker ended 3 times (killed by SIGKILL)"
    assert isinstance(found["alone"], Made)
    assert crew.sent("here").count("root") == 3
    told = capsys.readouterr().err
    assert told.count("tried again from its checkpoint") == 2
    assert f"log in {runner.store.root / 'logs'}" in told


def test_a_machine_on_which_workers_die_at_once_is_left_out(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """After three in a row it gets nothing more, and the other one makes everything."""
    crew = Puppets({"bad": lambda name: GONE, "good": lambda name: MADE})
    found = outcomes(runner, crew, jobs(*MANY), retries=9)
    assert all(isinstance(one, Made) for one in found.values())
    assert len(crew.sent("bad")) == MOST_QUICK
    assert {*crew.sent("good")} == {one.name for one in MANY}
    assert "bad is left out: 3 stages in a row failed there at once\n" in capsys.readouterr().err


def test_what_fails_at_once_is_tried_on_another_machine(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the first machine is at fault it is made there; where the stage is, it fails there too, for good."""
    crew = Puppets({"a-bad": lambda name: BROKEN, "good": lambda name: MADE})
    assert isinstance(outcomes(runner, crew, jobs(ROOT))["root"], Made)
    assert "ZeroDivisionError: by hand; tried again on another machine than a-bad" in capsys.readouterr().err
    crew = Puppets({"one": lambda name: BROKEN, "other": lambda name: BROKEN})
    assert isinstance(outcomes(runner, crew, jobs(ROOT))["root"], Failed)
    assert (crew.sent("one"), crew.sent("other")) == (["root"], ["root"])


def test_a_full_machine_is_left_out(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """What it was at is made on another one; without another, all ends in its line."""
    crew = Puppets({"full": lambda name: FULL, "good": lambda name: MADE})
    assert isinstance(outcomes(runner, crew, jobs(ROOT))["root"], Made)
    assert capsys.readouterr().err == "replicate: full is left out: no space left\n"
    with pytest.raises(UserError, match="no space left"):
        outcomes(runner, Puppets({"full": lambda name: FULL}), jobs(ROOT))


@pytest.mark.parametrize(
    ("name", "value"), [("threads", "7"), ("processor", "Another"), ("code", "0"), ("numpy", "9.9"), ("data", "0")]
)
def test_a_machine_that_would_train_other_nets_gets_nothing(
    name: str, value: str, runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named with what it has otherwise, in one line; without another machine that ends it before anything ran."""
    crew = Puppets({"a-other": lambda _: MADE, "good": lambda _: MADE}, **{"a-other": {name: value}})
    assert isinstance(outcomes(runner, crew, jobs(ROOT))["root"], Made)
    assert crew.sent("a-other") == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"replicate: a-other is left out: it would train other nets, with {name} {value}, not ")
    alone = Puppets({"other": lambda _: MADE}, other={name: value})
    with pytest.raises(UserError, match=f"other can't work: it would train other nets, with {name} {value}, not "):
        outcomes(runner, alone, jobs(ROOT))
    assert alone.sent("other") == []


def test_the_first_failure_may_end_it(runner: Runner) -> None:
    """Its outcome comes before that."""
    crew = Puppets({"here": only("root", BROKEN)})
    crew.own = facts_of(runner, gpu=False, reads_text=False)
    with closing(Pool(runner, crew, Limits(fail_fast=True))) as pool:
        running = pool.execute(jobs(ROOT, LEAF))
        assert isinstance(next(running), Failed)
        with pytest.raises(UserError, match="--fail-fast ends here"):
            next(running)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stopped(signal.SIGTERM)], ids=["plain", "ours"])
def test_a_stop_is_told_as_the_signal_that_came(
    error: KeyboardInterrupt, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Ray has made a plain interrupt of it; what was saved is said."""
    monkeypatch.setattr("replicate.common.stops.SEEN", [signal.SIGTERM])

    def interrupted(name: str) -> Message:
        raise error

    with pytest.raises(Stopped, match="^stopped by SIGTERM; the same command begins this stage again$") as caught:
        outcomes(runner, Puppets({"here": interrupted}), jobs(ROOT))
    assert caught.value.code == 128 + signal.SIGTERM


def test_a_budget_that_is_spent(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how much is left; nothing of it is a failure."""
    with pytest.raises(Spent, match="the budget is spent with 1 stage left"):
        outcomes(runner, Puppets({"here": lambda name: {"told": "step", "step": 1, "of": 9}}), jobs(ROOT), budget=0.0)
    assert capsys.readouterr().err == ""
