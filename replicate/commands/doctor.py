"""`replicate doctor`: what this machine has and lacks for a profile, and the command that mends each lack."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from replicate.commands.checks.check import Check
from replicate.commands.checks.device import ENVIRONMENTS, check_device, lock_for, probe
from replicate.commands.checks.room import check_cache, check_disk
from replicate.commands.checks.sources import check_data, check_unlabelled, check_weights
from replicate.commands.flags import add_json, add_profile
from replicate.common.cores import cores
from replicate.common.errors import UserError
from replicate.common.paths import ROOT
from replicate.corpus import OWN
from replicate.nets import upstream
from replicate.runs.ask import models_of
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile

LOCKS = ROOT / "requirements"
PYTHONS = ((3, 10), (3, 12))
SHOWN = 5

_BUILDS = {"paddlepaddle": "cpu", "paddlepaddle-gpu": "gpu"}
# The locks of a build by Paddle's major version, where it isn't 2.
_OF_PADDLE_3 = {"cpu": "cpu-paddle3", "gpu": "gpu-cu12"}
# From an index of its own, so that no lock holds it.
_APART = {"gpu-cu12": {"paddlepaddle-gpu": "3.1.1"}}


def doctor(profile: Profile) -> list[Check]:
    """Every check of the profile; it can run where all are ok. Takes seconds: Paddle is asked in another process."""
    installed = installed_packages()
    models = models_of(load_tables(), profile)
    found = probe(profile.device)
    return [
        check_python(sys.version_info[:3]),
        check_packages(installed, lock_for(profile.device, found)),
        check_cpu(),
        check_device(profile.device, found),
        check_cache(models),
        check_disk(profile),
        *map(check_weights, models or (None,)),
        check_data(profile.dataset),
        # Own data bring their own.
        check_unlabelled(None if profile.dataset == OWN else profile.unlabelled),
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


def check_packages(installed: Mapping[str, str], lock: str, locks: Path = LOCKS) -> Check:
    """Every package is installed in the locked version; an installed Paddle says which lock, else it is `lock`."""
    builds = [build for name, build in _BUILDS.items() if name in installed]
    build = builds[0] if len(builds) == 1 else lock
    if any(installed[name].startswith("3.") for name in _BUILDS if name in installed):
        build = _OF_PADDLE_3.get(build, build)
    mend = f"tox run -r -e {ENVIRONMENTS[build]} --notest"
    if len(builds) > 1:
        return Check("packages", False, "both Paddle builds are installed, and they fill the same folder", mend)
    path = locks / f"{build}.txt"
    try:
        pins = {**read_lock(path), **_APART.get(build, {})}
    except UserError as error:
        return Check("packages", False, str(error), "install from a checkout that has requirements/")
    wrong = [
        f"{name} {version} (here {installed.get(name, 'none')})"
        for name, version in pins.items()
        if _release(installed.get(name, "")) != version
    ]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        return Check("packages", False, f"{path.name} wants {', '.join(wrong[:SHOWN])}{more}", mend)
    return Check("packages", True, f"all {len(pins)} as in {path.name}")


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
