"""`replicate doctor`: what this machine has and lacks for a profile, and the command that mends each lack."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from replicate.commands.flags import add_json, add_profile
from replicate.common.cores import cores
from replicate.common.errors import UserError
from replicate.common.homes import paddlenlp_home
from replicate.common.paths import ROOT
from replicate.corpus import generated, kuake, load_dataset
from replicate.corpus.unlabelled import UNLABELLED, unlabelled_lines
from replicate.nets import upstream
from replicate.tables.profile import Profile, load_profile

LOCKS = ROOT / "requirements"
PYTHONS = ((3, 10), (3, 12))
# The PyPI wheel holds kernels for sm_61, 70, 75, 80 and 86, each good for later minor versions, and no PTX.
CAPABILITIES = ((6, 1), (8, 9))
HOSTING = "https://bj.bcebos.com/paddlenlp"
SHOWN = 5

_BUILDS = {"paddlepaddle": "cpu", "paddlepaddle-gpu": "gpu"}
_ENVIRONMENTS = {"cpu": "smoke", "gpu": "replicate"}
_PROBE = """
import json, sys
from replicate.nets import upstream
upstream.prepare()
import paddle
cuda = paddle.is_compiled_with_cuda()
found = {"version": paddle.__version__, "cuda": cuda, "devices": []}
found["strided"] = paddle.get_flags("FLAGS_use_stride_kernel")["FLAGS_use_stride_kernel"]
for index in range(paddle.device.cuda.device_count() if cuda else 0):
    device = paddle.device.cuda.get_device_properties(index)
    found["devices"].append({"name": device.name, "capability": [device.major, device.minor]})
print(json.dumps(found), flush=True)
if "gpu" in sys.argv:
    paddle.set_device("gpu")
    x = paddle.ones([1, 4, 8, 8])
    y = paddle.nn.Conv2D(4, 4, 3)(x).sum() + paddle.matmul(x, x).sum()
    y.backward()
    float(y)
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `ok` where the profile can run with it, else `fix` says what mends it."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def doctor(profile: Profile) -> list[Check]:
    """Every check of the profile; it can run where all are ok. Takes seconds: Paddle is asked in another process."""
    installed = installed_packages()
    return [
        check_python(sys.version_info[:3]),
        check_packages(installed, profile.device),
        check_cpu(),
        check_device(profile.device, probe(profile.device)),
        check_weights(profile.model),
        check_data(profile.dataset),
        check_unlabelled(profile.unlabelled),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate doctor`."""
    add_profile(parser, "what should be able to run")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate doctor`: what a profile needs and finds; 0 where it can run, else 1."""
    profile = load_profile(args.profile)
    checks = doctor(profile)
    able = all(check.ok for check in checks)
    if args.json:
        print(json.dumps([vars(check) for check in checks], ensure_ascii=False, indent=1))
    else:
        print(describe(checks))
        print(f"{profile.id} {'can' if able else 'can not'} run here")
    return int(not able)


def describe(checks: Sequence[Check]) -> str:
    """The checks as lines of text, each failed one followed by what mends it."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{'ok' if check.ok else 'FAIL':4}  {check.name:{width}}  {check.detail}")
        if check.fix:
            lines.append(f"{'':4}  {'':{width}}  mend: {check.fix}")
    return "\n".join(lines)


def check_python(version: tuple[int, ...]) -> Check:
    """Python is one that the locks are made for."""
    ok = PYTHONS[0] <= version[:2] <= PYTHONS[1]
    detail = f"{'.'.join(map(str, version))} on {platform.platform()}"
    first, last = (f"{major}.{minor}" for major, minor in PYTHONS)
    return Check("python", ok, detail, "" if ok else f"make the environment with Python {first} to {last}")


def installed_packages() -> dict[str, str]:
    """Version of every installed distribution by its normalised name."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        # The first on the path is the one that is imported; setuptools carries others at its end.
        if name := one.metadata["Name"]:
            found.setdefault(str(canonicalize_name(name)), one.version)
    return found


def read_lock(path: Path) -> dict[str, str]:
    """Version by normalised name of what the lock wants on this Python and platform.

    Raises:
        UserError: the file is missing or holds a line that pins nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror}", path=path, hint="tox -e lock") from error
    pins: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not re.match(r"[A-Za-z0-9]", line):  # hashes, comments
            continue
        requirement = Requirement(line.rstrip("\\ "))
        exact = re.fullmatch(r"==([^,*]+)", str(requirement.specifier))
        if not exact:
            raise UserError(f"{requirement.name} is not pinned", path=path, line=number, hint="tox -e lock")
        if requirement.marker is None or requirement.marker.evaluate():
            pins[canonicalize_name(requirement.name)] = exact[1]
    return pins


def check_packages(installed: Mapping[str, str], device: str, locks: Path = LOCKS) -> Check:
    """Every locked package is installed in its locked version; the installed Paddle says which lock."""
    builds = [build for name, build in _BUILDS.items() if name in installed]
    build = builds[0] if len(builds) == 1 else device
    mend = f"tox run -r -e {_ENVIRONMENTS[build]} --notest"
    if len(builds) > 1:
        return Check("packages", False, "both Paddle builds are installed, and they fill the same folder", mend)
    lock = locks / f"{build}.txt"
    try:
        pins = read_lock(lock)
    except UserError as error:
        return Check("packages", False, str(error), "install from a checkout that has requirements/")
    wrong = [
        f"{name} {version} (here {installed.get(name, 'none')})"
        for name, version in pins.items()
        if _release(installed.get(name, "")) != version
    ]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        return Check("packages", False, f"{lock.name} wants {', '.join(wrong[:SHOWN])}{more}", mend)
    return Check("packages", True, f"all {len(pins)} as in {lock.name}")


def _release(version: str) -> str:
    # A local label such as +cu118 names another build of the same release.
    return version.partition("+")[0]


def check_cpu() -> Check:
    """Cores, and the variables that decide Paddle's speed; nothing here stops a run."""
    try:
        upstream.prepare()
    except RuntimeError as error:
        return Check("cpu", False, str(error), "run `replicate doctor` as a command of its own")
    threads, strides = os.environ["OMP_NUM_THREADS"], os.environ["FLAGS_use_stride_kernel"]
    detail = f"{cores()} cores, OMP_NUM_THREADS={threads}, FLAGS_use_stride_kernel={strides}"
    notes = []
    if threads != str(cores()):
        notes.append("other than one thread a core")
    if strides.lower() not in ("0", "false"):
        notes.append("stride kernels are on: half the speed")
    return Check("cpu", True, detail + "".join(f" ({note})" for note in notes))


@dataclass(frozen=True)
class Probe:
    """What Paddle said in a process of its own; `error` is the last line of what it died of."""

    version: str = ""
    cuda: bool = False
    strided: bool = False
    devices: tuple[tuple[str, tuple[int, int]], ...] = ()
    error: str = ""


def probe(device: str, seconds: float = 300) -> Probe:
    """Import Paddle in another process, list its CUDA devices, and use the first one where `device` is "gpu"."""
    command = [sys.executable, "-W", "ignore", "-c", _PROBE, device]
    # The package may be a checkout that only this process's path names.
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, env=variables)
    except subprocess.TimeoutExpired:
        return Probe(error=f"no answer in {seconds:.0f} seconds")
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith('{"version"'):
            found = json.loads(line)
            found["devices"] = tuple((each["name"], tuple(each["capability"])) for each in found["devices"])
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        found["error"] = lines[-1] if lines else f"exit code {done.returncode}"
    return Probe(**found)


def check_device(wanted: str, found: Probe) -> Check:
    """Paddle works on the device that the profile wants."""
    mend = "tox -e replicate"
    if not found.version:
        mend = f"tox run -r -e {_ENVIRONMENTS[wanted]} --notest"
        return Check("device", False, f"Paddle can't be imported: {found.error}", mend)
    detail = f"Paddle {found.version}, {'CUDA' if found.cuda else 'CPU'} build"
    if wanted == "cpu":
        return Check("device", True, f"{detail}, runs on the CPU")
    if not found.cuda:
        return Check("device", False, f"{detail}: can't use a GPU", mend)
    if not found.devices:
        fix = "install NVIDIA's driver, until `nvidia-smi` lists a device"
        return Check("device", False, f"{detail}: sees no CUDA device", fix)
    name, capability = found.devices[0]
    detail = f"{detail}, {name}, compute capability {capability[0]}.{capability[1]}"
    first, last = (f"{major}.{minor}" for major, minor in CAPABILITIES)
    if not CAPABILITIES[0] <= capability <= CAPABILITIES[1]:
        detail += f": the PyPI build of Paddle has kernels for {first} to {last} only"
        if capability[0] == 9:
            detail += ", so it can't run on Hopper (H100, H200)"
        fix = "use a P40, V100, T4, A10, A100, L4 or RTX 20 to 40; CUDA_VISIBLE_DEVICES chooses among several"
        return Check("device", False, detail, fix)
    if found.error:
        return Check("device", False, f"{detail}: fails with {found.error}", mend)
    return Check("device", True, detail)


def reachable(url: str = HOSTING, seconds: float = 5) -> bool:
    """Whether the server answers at all."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def check_weights(model: str | None) -> Check:
    """The model that the profile starts from is a folder, is in PaddleNLP's cache, or can be fetched."""
    if model is None:
        return Check("weights", True, "none needed: the profile pretrains its own")
    if Path(model).is_dir():
        found = (Path(model) / "model.safetensors").is_file()
        return Check("weights", found, model, "" if found else "name a folder that `replicate pretrain` wrote")
    cache = paddlenlp_home() / "models" / model
    kinds = {"weights": ("*.pdparams", "*.safetensors"), "vocabulary": ("*vocab*.txt",)}
    missing = [kind for kind, names in kinds.items() if not any(path for name in names for path in cache.glob(name))]
    if not missing:
        return Check("weights", True, f"{model} in {cache}")
    lack = f"{model}: no {' or '.join(missing)} in {cache}"
    if reachable():
        return Check("weights", True, f"{lack}; PaddleNLP will fetch them from {HOSTING}")
    fix = f"copy {cache} from a machine that has it"
    return Check("weights", False, f"{lack}, and {HOSTING} can't be reached", fix)


def check_data(name: str) -> Check:
    """The data set loads, with the right MD5 for KUAKE-QIC, or PaddleNLP can fetch it."""
    if name == generated.NAME:
        return Check("data", True, "generated by this package")
    if name == kuake.NAME and kuake.find() is None:
        lack = f"{name} is not on this machine"
        if reachable():
            return Check("data", True, f"{lack}; it will be fetched from {kuake.URL}")
        fix = f"export {kuake.VARIABLE}=FOLDER with {', '.join(kuake.MD5)}"
        return Check("data", False, f"{lack}, and {HOSTING} can't be reached", fix)
    try:
        data = load_dataset(name, offline=True)
    except UserError as error:
        fix = f"export {kuake.VARIABLE}=FOLDER with the original files" if name == kuake.NAME else "mend the file"
        return Check("data", False, str(error), fix)
    where = f"{kuake.find()}, MD5 as PaddleNLP states" if name == kuake.NAME else name
    return Check("data", True, f"{len(data.train)} + {len(data.dev)} examples in {where}")


def check_unlabelled(source: str | None) -> Check:
    """The text that the profile pretrains on can be read."""
    if source is None:
        return Check("unlabelled", True, "none needed: nothing is pretrained")
    if source == generated.NAME:
        return Check("unlabelled", True, "generated by this package")
    try:
        lines = unlabelled_lines(source)
    except UserError as error:
        return Check("unlabelled", False, str(error), f"export {UNLABELLED}=FILE with one text a line, in UTF-8")
    return Check("unlabelled", True, f"{len(lines)} lines")
