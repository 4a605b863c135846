"""The doctor finds what is missing, says it plainly, and names what mends it."""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.version import Version

from replicate.commands import doctor
from replicate.commands.checks import room, sources
from replicate.commands.checks.check import Check
from replicate.commands.checks.device import Probe, check_device, lock_for, probe
from replicate.common.errors import UserError
from replicate.corpus import kuake
from replicate.corpus.unlabelled import UNLABELLED
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.nets.named import Named
from replicate.nets.upstream import TF32
from replicate.tables.profile import load_profile
from tests.command_line import ran
from tests.made_up import NANO, make_cache
from tests.tiny import Made

LOCKED = {"numpy": "1.26.4", "tqdm": "4.66.5", "paddlepaddle": "2.6.2"}
UNREACHABLE = "http://127.0.0.1:9/"


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """A folder with a lock of three packages, and one that no machine wants."""
    text = "".join(f"{name}=={version} \\\n    --hash=sha256:00\n    # via x\n" for name, version in LOCKED.items())
    for name in ("cpu", "gpu"):
        (tmp_path / f"{name}.txt").write_text(text + "pywin32==1 ; sys_platform == 'no-such'\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without PaddleNLP's hosting and with an empty cache; gives the cache's folder."""
    status_of = sources.status_of
    monkeypatch.setattr(sources, "status_of", lambda _: status_of(UNREACHABLE))
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path))
    monkeypatch.delenv(kuake.VARIABLE, raising=False)
    return tmp_path


@pytest.mark.parametrize(("version", "ok"), [((3, 9), False), ((3, 10), True), ((3, 12), True), ((3, 13), False)])
def test_python_is_one_of_the_locked(version: tuple[int, int], ok: bool) -> None:
    """3.10 to 3.12 pass, the neighbours don't."""
    check = doctor.check_python(version)
    assert check.ok is ok
    assert bool(check.fix) is not ok


@pytest.mark.parametrize(
    ("name", "paddle"), [("cpu", "2.6.2"), ("gpu", "2.6.2"), ("cpu-paddle3", "3.1.1"), ("gpu-cu12", None)]
)
def test_committed_locks_are_complete(name: str, paddle: str | None) -> None:
    """Each pins one build of Paddle, but for the one that isn't on PyPI, and what the project is known to need."""
    pins = doctor.read_lock(doctor.LOCKS / f"{name}.txt")
    assert [pins[one] for one in ("paddlepaddle", "paddlepaddle-gpu") if one in pins] == [paddle] * (paddle is not None)
    assert (pins["paddlenlp"], pins["paddleslim"], pins["lac"]) == ("2.8.1", "2.6.0", "2.1.2")
    assert Version(pins["numpy"]) < Version("2")
    assert Version(pins["setuptools"]) < Version("81")
    assert [one for one in pins if one.startswith("nvidia-cudnn-cu")] == {
        "gpu": ["nvidia-cudnn-cu11"],
        "gpu-cu12": ["nvidia-cudnn-cu12"],
    }.get(name, [])


def test_locks_differ_in_paddle_and_its_runtime_alone() -> None:
    """Whatever else decides a result is of the same version in all of them."""
    locks = [doctor.read_lock(doctor.LOCKS / f"{name}.txt") for name in ("cpu", "gpu", "cpu-paddle3", "gpu-cu12")]
    # What Paddle 2 reads Python with, and what Paddle 3 needs; a friend of Paddle's may need what it doesn't name.
    assert locks[0].keys() ^ locks[2].keys() == {"astor", "networkx"}
    shared = set.intersection(*map(set, locks))
    assert {"decorator", "numpy", "paddlenlp", "paddleslim", "lac", "onnx", "paddle2onnx"} <= shared
    assert [name for name in sorted(shared) if len({lock[name] for lock in locks}) > 1] == []


def test_marker_decides_what_the_lock_wants() -> None:
    """`tomli` is wanted on Python 3.10 only."""
    assert ("tomli" in doctor.read_lock(doctor.LOCKS / "cpu.txt")) == (sys.version_info < (3, 11))


def test_unpinned_line_is_refused(tmp_path: Path) -> None:
    """A lock line without == is an error with its line number."""
    (tmp_path / "cpu.txt").write_text("# x\nnumpy>=1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"cpu\.txt:2: numpy is not pinned"):
        doctor.read_lock(tmp_path / "cpu.txt")


def test_packages_as_locked_pass(locks: Path) -> None:
    """Equal versions pass, other installed packages are nobody's business, a local label is the same release."""
    check = doctor.check_packages({**LOCKED, "tqdm": "4.66.5+local", "left-pad": "1"}, "cpu", locks)
    assert (check.name, check.ok, check.fix) == ("packages", True, "")
    assert re.findall(r"\d+|\w+\.txt", check.detail) == ["3", "cpu.txt"]


def test_packages_that_differ_or_lack_are_named(locks: Path) -> None:
    """A missing and a different package are named with both versions, and the command makes the environment again."""
    check = doctor.check_packages({"numpy": "2.0", "paddlepaddle": "2.6.2"}, "cpu", locks)
    assert not check.ok
    found = re.findall(r"(\w+) ([\d.]+) \(here ([^)]+)\)", check.detail)
    assert found == [("numpy", "1.26.4", "2.0"), ("tqdm", "4.66.5", "none")]
    assert check.detail.startswith("cpu.txt ")
    assert check.fix.split() == ["tox", "run", "-r", "-e", "smoke", "--notest"]


def test_installed_paddle_decides_the_lock(locks: Path) -> None:
    """With the CUDA build the CUDA lock counts, even for a CPU profile; without any, the profile's device decides."""
    assert "gpu.txt" in doctor.check_packages({"paddlepaddle-gpu": "2.6.2"}, "cpu", locks).detail
    assert "gpu.txt" in doctor.check_packages({}, "gpu", locks).detail
    for name, lock in (("paddlepaddle", "cpu-paddle3.txt"), ("paddlepaddle-gpu", "gpu-cu12.txt")):
        check = doctor.check_packages({name: "3.1.1"}, "cpu", doctor.LOCKS)
        assert check.detail.startswith(f"{lock} wants ")
        assert f"{name} " not in check.detail
    assert "cpu.txt" in doctor.check_packages({}, "cpu", locks).detail


def test_both_builds_of_paddle_are_refused(locks: Path) -> None:
    """Two packages in one folder are broken whatever their versions are."""
    check = doctor.check_packages({**LOCKED, "paddlepaddle-gpu": "2.6.2"}, "gpu", locks)
    assert not check.ok
    assert "both Paddle builds" in check.detail


def test_absent_lock_is_a_failed_check(tmp_path: Path) -> None:
    """Without the lock nothing can be compared, and that is said."""
    check = doctor.check_packages(LOCKED, "cpu", tmp_path)
    assert not check.ok
    assert "cpu.txt" in check.detail


def test_cpu_says_what_slows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and flags that the user set stay, and are remarked on; they stop nothing."""
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    monkeypatch.setenv("FLAGS_use_stride_kernel", "1")
    check = doctor.check_cpu()
    assert check.ok
    assert "OMP_NUM_THREADS=999" in check.detail
    assert "half the speed" in check.detail


def test_paddle_answers_from_its_own_process() -> None:
    """The real Paddle is probed without being imported here; its stride kernels are off."""
    before = "paddle" in sys.modules
    found = probe("cpu")
    assert ("paddle" in sys.modules) == before
    assert (found.version, found.strided, found.error) == (version("paddlepaddle"), False, "")
    check = check_device("cpu", found)
    assert check.ok
    assert version("paddlepaddle") in check.detail


def test_paddle_that_does_not_import_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A broken Paddle is a failed check with the error's last line, not a traceback."""
    error = ImportError("libcudart.so.11.0: cannot open")
    (tmp_path / "paddle.py").write_text(f"raise {error!r}", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = check_device("cpu", probe("cpu"))
    assert not check.ok
    assert f"ImportError: {error}" in check.detail


@pytest.mark.parametrize(
    ("name", "capability", "ok"),
    [
        ("Tesla P100", (6, 0), False),
        ("Tesla P40", (6, 1), True),
        ("Tesla V100", (7, 0), True),
        ("L4", (8, 9), True),
        ("H200", (9, 0), False),
        ("B200", (10, 0), False),
    ],
)
def test_compute_capability_decides(name: str, capability: tuple[int, int], ok: bool) -> None:
    """6.1 to 8.9 can run; for what can't the environment that may is named."""
    check = check_device("gpu", Probe(version="2.6.2", cuda="11.8", devices=((name, capability),)))
    assert check.ok is ok
    assert name in check.detail
    assert "kernels for 6.1, 7.0, 7.5, 8.0, 8.6" in check.detail
    assert ("none for it" in check.detail) is not ok
    assert ("replicate-cu12" in check.fix) == (capability == (9, 0))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Probe(version="2.6.2"), "CPU build: can't use a GPU; NVIDIA's driver sees no GPU here"),
        (Probe(version="2.6.2", cuda="11.8", fault="CUDA_ERROR_NO_DEVICE"), "sees no GPU here (CUDA_ERROR_NO_DEVICE)"),
        (Probe(version="2.6.2", cuda="11.8", devices=(("T4", (7, 5)),), error="no libcudnn.so.8"), "no libcudnn.so.8"),
    ],
)
def test_gpu_that_can_not_be_used_is_explained(found: Probe, words: str) -> None:
    """The wrong build, no device, and a device that fails in use are three different stories, each with a way out."""
    check = check_device("gpu", found)
    assert not check.ok
    assert words in check.detail
    assert check.fix


@pytest.mark.parametrize(
    ("capability", "environment"), [((7, 0), "replicate"), ((9, 0), "replicate-cu12"), ((6, 0), ""), ((12, 0), "")]
)
def test_environment_is_the_gpus_whatever_is_installed(capability: tuple[int, int], environment: str) -> None:
    """With a CPU build, or with none that can be imported, the driver's GPU says what to install; some have none."""
    found = Probe(version="2.6.2", driver=12040, release="550.54.15", devices=(("GPU", capability),))
    check = check_device("gpu", found)
    assert "driver 550.54.15 for CUDA 12.4" in check.detail
    assert f"GPU (compute capability {capability[0]}.{capability[1]})" in check.detail
    assert check.fix == f"tox -e {environment}" if environment else "docs/gpu.md" in check.fix
    check = check_device("gpu", replace(found, version="", error="ImportError: no"))
    assert check.fix == f"tox run -r -e {environment or 'replicate'} --notest"
    check = doctor.check_packages({}, lock_for("gpu", found))
    assert check.fix == f"tox run -r -e {environment or 'replicate'} --notest"


def test_weights_that_are_not_there_are_named(offline: Path) -> None:
    """What is missing, the folder, both addresses with what they answered, and what lies there instead."""
    folder = offline / "models" / NANO
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    check = sources.check_weights(NANO)
    assert not check.ok
    one = Named(NANO)
    assert [each for each in (*one.addresses, str(folder), "model.safetensors") if each not in check.detail] == []
    assert check.detail.count("no answer") == 2
    assert str(folder) in check.fix


@pytest.mark.parametrize(("code", "ok"), [(200, True), (403, False), (404, False), (503, False)])
def test_status_is_told(code: int, ok: bool) -> None:
    """A server that answers is not yet one that has the file."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert sources.status_of(f"http://127.0.0.1:{server.server_port}/x") == (ok, f"HTTP {code}")


@pytest.mark.usefixtures("offline")
def test_weights_are_loaded_as_a_run_loads_them() -> None:
    """A sound cache passes with its digest, which is that of records; what fails in the run fails here."""
    one = make_cache()
    check = sources.check_weights(NANO)
    assert check.ok, check.detail
    digest = digest_of(weights_of(load_classifier(NANO, ("a", "b")).network.base_model))
    assert digest[:16] in check.detail
    one.weights.write_bytes(one.weights.read_bytes()[:-1000])
    check = sources.check_weights(NANO)
    assert not check.ok
    assert check.detail.startswith(f"{one.weights}: ")


def test_weights_of_a_folder_or_of_nothing(tmp_path: Path, pretrained: Made) -> None:
    """A profile that pretrains needs none; a folder needs a net that loads."""
    assert sources.check_weights(None).ok
    (tmp_path / "model.safetensors").touch()
    assert not sources.check_weights(str(tmp_path)).ok
    assert sources.check_weights(str(pretrained.folder)).ok


@pytest.mark.parametrize("home", ["file/home", "/proc/replicate"])
def test_cache_must_be_writable(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PaddleNLP's folders can't be made: told before the run dies of it; elsewhere they are made."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / home))
    check = room.check_cache((NANO,))
    assert not check.ok
    assert "PPNLP_HOME" in check.fix
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "new"))
    assert room.check_cache((NANO,)).ok


def test_disk_must_hold_every_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free and what the store already holds, against what the profile's seeds need."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "none" / "yet"))
    paper = load_profile("paper")

    def free(gib: float) -> Check:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=gib * room.GIB))
        return room.check_disk(paper)

    needed = room.SEED_GIB * len(paper.seeds) + room.CHECKPOINT_GIB
    assert free(needed).ok
    assert not free(needed - 1).ok
    assert "REPLICATE_STORE" in free(1).fix
    few = replace(paper, seeds=paper.seeds[:1])
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=(needed - 1) * room.GIB))
    assert room.check_disk(few).ok


@pytest.mark.parametrize(("cuda", "ok"), [(10020, False), (11000, True), (12040, True), (0, True)])
def test_driver_must_know_the_builds_cuda(cuda: int, ok: bool) -> None:
    """A driver of an older major version is told as such, not as an error of Paddle's."""
    check = check_device("gpu", Probe(version="2.6.2", cuda="11.8", driver=cuda, devices=(("T4", (7, 5)),)))
    assert check.ok is ok
    assert ("driver for CUDA 10.2" in check.detail) is not ok


def test_other_builds_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a build that says nothing, or not this device, the step that was tried on it decides; one of Paddle 3 says."""
    found = Probe(version="3.1.1", cuda="12.6", driver=12060, devices=(("H100", (9, 0)),))
    assert check_device("gpu", found).ok
    assert not check_device("gpu", replace(found, error="no kernel image")).ok
    told = replace(found, kernels=(70, 75, 80, 86, 90))
    assert "kernels for 7.0, 7.5, 8.0, 8.6, 9.0" in check_device("gpu", told).detail
    newer = replace(told, devices=(("B200", (10, 0)),))
    assert check_device("gpu", newer).ok
    assert "none for it" in check_device("gpu", replace(newer, error="no kernel image")).detail


@pytest.mark.parametrize(
    ("capability", "value", "words"), [((7, 0), "1", "fp32"), ((8, 0), "0", "=0"), ((8, 0), "1", "TF32 where")]
)
def test_tf32_is_told(capability: tuple[int, int], value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Ampere on the line says whether products are in fp32."""
    monkeypatch.setenv(TF32, value)
    check = check_device("gpu", Probe(version="2.6.2", cuda="11.8", devices=(("GPU", capability),)))
    assert check.ok
    assert words in check.detail.rpartition("compute capability")[2]


@pytest.mark.usefixtures("offline")
def test_missing_data_is_named_with_the_variable() -> None:
    """Without data and network the check names the variable and the files."""
    check = sources.check_data("kuake-qic")
    assert not check.ok
    assert kuake.VARIABLE in check.fix
    assert "KUAKE-QIC_train.json" in check.fix


def test_data_with_another_md5_fails(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the right names and other bytes fail with both digests."""
    for name in kuake.MD5:
        (offline / name).write_text("[]", encoding="utf-8")
    monkeypatch.setenv(kuake.VARIABLE, str(offline))
    check = sources.check_data("kuake-qic")
    assert not check.ok
    assert kuake.MD5["KUAKE-QIC_train.json"] in check.detail


@pytest.mark.data
def test_real_data_passes() -> None:
    """The original files pass, with their number of examples."""
    if kuake.find() is None:
        pytest.skip(f"{kuake.VARIABLE} is not set")
    check = sources.check_data("kuake-qic")
    assert check.ok, check.detail
    assert check.detail.startswith("6931 + 1955 examples")


def test_generated_data_needs_nothing() -> None:
    """The embedded corpus is always there."""
    assert sources.check_data("generated").ok
    assert sources.check_unlabelled("generated").ok
    assert sources.check_unlabelled(None).ok


def test_unlabelled_text_must_be_named_and_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unset variable, a missing file and a good one."""
    monkeypatch.delenv(UNLABELLED, raising=False)
    unset = sources.check_unlabelled(UNLABELLED)
    assert not unset.ok
    assert UNLABELLED in unset.fix
    monkeypatch.setenv(UNLABELLED, str(tmp_path / "lines.txt"))
    assert not sources.check_unlabelled(UNLABELLED).ok
    (tmp_path / "lines.txt").write_text("药盒能晒太阳吗\n", encoding="utf-8")
    assert sources.check_unlabelled(UNLABELLED) == Check("unlabelled", True, "1 lines")


def test_description_puts_each_fix_under_its_check() -> None:
    """A failed check stands out and the next line says what mends it."""
    text = doctor.describe([Check("python", True, "3.11"), Check("data", False, "gone", "get it")])
    assert text.splitlines() == ["ok    python  3.11", "FAIL  data    gone", "              mend: get it"]


def test_exit_code_is_that_of_the_profile(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether `smoke` can run is the exit code, and the last line says it."""
    code = ran(doctor)
    text = capsys.readouterr().out
    assert code == ("FAIL" in text)
    last = text.splitlines()[-1].split()
    assert last == ["smoke", "can", *["not"] * code, "run", "here"]


def test_unknown_profile_is_refused() -> None:
    """A profile that does not exist is the user's error, named."""
    with pytest.raises(UserError, match=r"huge\.toml: no profile 'huge'"):
        ran(doctor, "--profile", "huge")
