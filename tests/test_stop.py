"""SIGINT and SIGTERM: the step is finished, the state is kept, one line says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from replicate.commands.main import main
from replicate.common.errors import Stopped, UserError
from replicate.common.files import resumable_folder
from replicate.common.paths import ROOT
from replicate.common.progress import Progress
from replicate.common.work import CHECKPOINT
from replicate.corpus.formats import write_dataset
from replicate.corpus.generated import generate
from replicate.training.checkpoint import Checkpoint
from tests.tiny import PROFILE, Made

# A shell's background job ignores SIGINT, and so would what it starts.
HEEDS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from replicate.commands.main import main
"""


def names(folder: Path) -> set[str]:
    """What a folder holds."""
    return {path.name for path in folder.iterdir()}


def end_early(target: Path, files: tuple[str, ...], error: BaseException) -> None:
    """Write some files of a folder, then end with an error."""
    with resumable_folder(target) as folder:
        for name in files:
            (folder / name).write_text("x", encoding="utf-8")
        raise error


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_command_goes_on(
    number: signal.Signals, code: int, data_folder: Path, pretrained: Made, tmp_path: Path
) -> None:
    """The same command, given again, ends with the bytes of one that nobody stopped, and leaves nothing beside them."""
    words = ["finetune", "--dataset_dir", str(data_folder), "--model_name", str(pretrained.folder), "--epochs", "4"]
    words += ["--batch_size", "8", "--max_seq_length", "48", "--logging_steps", "1", "--save_dir"]
    stopped, whole = tmp_path / "a 模型", tmp_path / "whole"
    command = [sys.executable, "-c", HEEDS + "sys.exit(main(sys.argv[1:]))", *words, str(stopped)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr
    while "step 30/" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (code, "")
    last = err.splitlines()[-1]
    assert last == f"replicate: {Stopped(number, saved=True)}"
    assert "Traceback" not in err
    assert not stopped.exists()
    assert names(tmp_path / f".{stopped.name}.partial") == {CHECKPOINT}
    again = subprocess.run([*command], capture_output=True, text=True, check=True, env=environment)
    assert f"going on from {tmp_path / f'.{stopped.name}.partial'}" in again.stderr
    assert "step 30/" not in again.stderr
    assert names(tmp_path) == {stopped.name}
    assert main([*words, str(whole)]) == 0
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == {
        path.name: path.read_bytes() for path in stopped.iterdir()
    }


# Where the model goes comes last; of each, what is stopped in its third step, and whether it goes on from there.
TRAININGS = {
    "pretrain --corpus {data}/data.txt --config {profile} --passes 20 --save_dir": True,
    "prune --params_dir {model} --dataset_dir {data} --width_mult 1/2 --num_train_epochs 4 --engine native "
    "--output_dir": True,
    "distill --teacher {model} --dataset_dir {data} --student cnn --copies 0 --epochs 4 --output_dir": True,
    # PaddleNLP's own loop: it begins again.
    "prune --params_dir {model} --dataset_dir {data} --width_mult 1/2 --num_train_epochs 4 --output_dir": False,
}


@pytest.fixture
def _signals() -> Iterator[None]:
    """A shell's background job ignores SIGINT; these tests don't, and put everything back."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)
    yield
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("line", TRAININGS, ids=["pretrain", "native", "distill", "paddlenlp"])
def test_every_training_command_stops(
    line: str,
    number: signal.Signals,
    code: int,
    finetuned: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line and the signal's code; the same command then ends with the bytes of one that nobody stopped."""
    (tmp_path / "tiny.toml").write_text(PROFILE, encoding="utf-8")
    write_dataset(generate(examples_train=60, examples_dev=20, unlabelled=40), tmp_path / "data")
    places = {"data": tmp_path / "data", "profile": tmp_path / "tiny.toml", "model": finetuned.folder}
    words = line.format(**places).split()
    (tmp_path / "one").mkdir()
    after_step, step = Checkpoint.after_step, Progress.step

    def stopping(self: Checkpoint, state: Callable[[], Mapping[str, Any]]) -> None:
        if state()["step"] == 3:
            os.kill(os.getpid(), number)
        after_step(self, state)

    def stopping_too(self: Progress, at: int, **values: float) -> None:
        step(self, at, **values)
        if at == 3:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        if TRAININGS[line]:
            patched.setattr(Checkpoint, "after_step", stopping)
        else:
            patched.setattr(Progress, "step", stopping_too)
        assert main([*words, str(tmp_path / "one" / "new")]) == code
    told = capsys.readouterr().err
    assert told == f"replicate: {Stopped(number, saved=True if TRAININGS[line] else None)}\n"
    left = [path.name for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert left == [CHECKPOINT] * TRAININGS[line]
    for name in ("one", "two"):
        assert main([*words, str(tmp_path / name / "new")]) == 0
    assert ("going on from" in capsys.readouterr().err) == TRAININGS[line]
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    # The static graph of PaddleNLP's pruning is named by a counter of the process.
    assert set(one) == set(two)
    assert [str(name) for name in one if one[name] != two[name] and name.suffix not in (".pdmodel", ".pdiparams")] == []


@pytest.mark.parametrize("before", ["", "upstream.quiet(), "])
def test_stop_outside_training(before: str) -> None:
    """A command that trains nothing stops at once, with the same line and codes and no traceback.

    Paddle and PaddleNLP, when they are imported on the way, leave the signals alone.
    """
    code = HEEDS + "import os\nfrom replicate.nets import upstream\nfrom replicate.report import build as report\n"
    stop = f"({before}os.kill(os.getpid(), int(sys.argv[1])))"
    code += f"report.check = lambda: {stop}\nsys.exit(main(['report', '--check']))"
    for number in (signal.SIGTERM, signal.SIGINT):
        done = subprocess.run(
            [sys.executable, "-c", code, str(int(number))], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == 128 + number
        assert done.stderr == f"replicate: {Stopped(number)}\n"


def test_folder_of_a_stopped_training(tmp_path: Path) -> None:
    """Only the checkpoint stays, the next call finds it, and a finished folder holds none."""
    target = tmp_path / "deep" / "model"
    with pytest.raises(Stopped):
        end_early(target, ("half", CHECKPOINT), Stopped(signal.SIGTERM, saved=True))
    assert names(target.parent) == {".model.partial"}
    with resumable_folder(target) as folder:
        assert names(folder) == {CHECKPOINT}
        (folder / "whole").write_text("x", encoding="utf-8")
        assert not target.exists()
    assert names(target) == {"whole"}
    assert names(target.parent) == {"model"}
    assert target.stat().st_mode & 0o055


@pytest.mark.parametrize("error", [ValueError("bug"), UserError("bad"), KeyboardInterrupt()])
def test_failure_without_a_checkpoint_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    """An error or an interrupt leaves neither the target nor a half of it."""
    with pytest.raises(type(error)):
        end_early(tmp_path / "model", ("file",), error)
    assert names(tmp_path) == set()


def test_two_writers_of_one_folder(tmp_path: Path) -> None:
    """The second one is refused in words; the first is not disturbed."""
    with resumable_folder(tmp_path / "model") as folder:
        (folder / "file").write_text("x", encoding="utf-8")
        with (
            pytest.raises(UserError, match="another process is writing it; wait"),
            resumable_folder(tmp_path / "model"),
        ):
            pass
    assert names(tmp_path / "model") == {"file"}


def test_lock_of_a_dead_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process left, its lock file and half a folder, is in nobody's way; `.` is a target too."""
    (tmp_path / "model").mkdir()
    program = "import os, signal, sys; from pathlib import Path; from replicate.common.files import resumable_folder\n"
    program += "with resumable_folder(Path(sys.argv[1])) as folder:\n"
    program += "    (folder / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    died = subprocess.run([sys.executable, "-c", program, str(tmp_path / "model")], check=False)
    assert died.returncode == -signal.SIGKILL
    assert names(tmp_path) == {"model", ".model.lock", ".model.partial"}
    assert names(tmp_path / ".model.partial") == {"half"}
    monkeypatch.chdir(tmp_path / "model")
    with resumable_folder(Path(".")) as folder:
        (folder / "file").write_text("x", encoding="utf-8")
    assert names(tmp_path) == {"model"}
    assert names(tmp_path / "model") == {"file"}
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path, words in ((tmp_path / "file", "already exists"), (tmp_path / "file" / "a", "can't be written")):
        with pytest.raises(UserError, match=words), resumable_folder(path):
            pass
