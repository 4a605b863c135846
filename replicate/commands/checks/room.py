"""Whether there is room for what a run writes: PaddleNLP's folders, and the store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence

from replicate.commands.checks.check import Check
from replicate.common.errors import UserError
from replicate.common.homes import paddlenlp_home
from replicate.common.paths import store_root
from replicate.nets import upstream
from replicate.nets.named import named
from replicate.tables.profile import Profile

GIB = 1 << 30
# Of the rows of a table with ERNIE 3.0 Base: what a seed leaves in the store, and a checkpoint beside it.
SEED_GIB, CHECKPOINT_GIB = 5, 2
# Of a net that a profile pretrains itself, all in all.
SMALL_GIB = 1


def check_cache(models: Sequence[str]) -> Check:
    """PaddleNLP can make its folders, and write into them where something has to be fetched."""
    home, fix = paddlenlp_home(), "set PPNLP_HOME to a folder that can be written"
    try:
        upstream.make_caches()
        if any(one.missing for one in map(named, models) if one):
            with tempfile.TemporaryFile(dir=home / "models"):
                return Check("cache", True, f"{home} can be written")
    except UserError as error:
        return Check("cache", False, str(error), fix)
    except OSError as error:
        return Check("cache", False, f"{home}: {error.strerror}, and weights have to be fetched into it", fix)
    return Check("cache", True, f"{home} has its folders")


def check_disk(profile: Profile) -> Check:
    """The store's disk has room for every seed of the profile, with what the store holds already."""
    root = store_root()
    free = shutil.disk_usage(next(one for one in (root.absolute(), *root.absolute().parents) if one.is_dir())).free
    held = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    needed = (
        SMALL_GIB if profile.model is None else SEED_GIB * len(profile.tables) * len(profile.seeds) + CHECKPOINT_GIB
    )
    detail = f"{free / GIB:.1f} GiB free and {held / GIB:.1f} in {root}; {len(profile.seeds)} seeds need some {needed}"
    if free + held < needed * GIB:
        return Check("disk", False, detail, "export REPLICATE_STORE=FOLDER on a larger disk, or run fewer --seeds")
    return Check("disk", True, detail)
