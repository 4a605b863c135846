"""Read what `paddle.save` wrote of a net: arrays by name, and nothing else that a pickle can hold.

PaddleNLP gives its weights out as pickles, which `paddle.load` would let run whatever their author put into them. Of
such a file only NumPy's own arrays are made here; the first name of anything else refuses it.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError

# What NumPy of both major versions, and Paddle's `(name, array)` pairs, need to be made again.
_MAKERS = {
    *((f"numpy.{core}.{module}", name) for core in ("core", "_core") for module, name in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("builtins", "tuple"),
    ("collections", "OrderedDict"),
}  # fmt: skip


class _Arrays(pickle.Unpickler):
    """An unpickler that makes arrays only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _MAKERS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def read_pdparams(path: Path, hint: str) -> dict[str, NDArray[Any]]:
    """The arrays of a `.pdparams` file, by name.

    Args:
        path: the file.
        hint: what to do where it is none.

    Raises:
        UserError: it can't be read, is damaged, or is something else; says how it begins.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            found = _Arrays(file, encoding="latin1").load()
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
    except OSError as error:
        raise UserError(f"can't read the weights ({error.strerror})", path=path) from error
    except Exception as error:  # whatever a pickle of random bytes dies of
        size = path.stat().st_size
        what = f"{size} bytes that begin with {start!r}" if size else "an empty file"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"no weights of Paddle's, or damaged: {what} ({reason})", path=path, hint=hint) from error
    arrays = {}
    for name, value in found.items():
        one = value[1] if isinstance(value, tuple) and len(value) == 2 else value
        if isinstance(name, str) and isinstance(one, np.ndarray):
            arrays[name] = one
    return arrays
