"""Read what `paddle.save` wrote of a net: arrays by name, and nothing else that a pickle can hold.

PaddleNLP gives its weights out as pickles, which `paddle.load` would let run whatever their author put into them. Here
a pickle makes no object of NumPy's either: a type of numbers whose flags lie lets NumPy take bytes for pointers. What
stands for an array is a note of its shape, type and bytes, which are compared before an array is made of them.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError

# What writers of protocol 2 and later need for names, numbers, texts, bytes, and what is made of them. No other opcode
# is run: some take any amount of memory, or time, for a few bytes.
_OPCODES = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8 SHORT_BINSTRING BINSTRING SHORT_BINUNICODE BINUNICODE BINUNICODE8 "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS "
    "BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)
# Of a net's array; the product of many takes long.
_MOST_AXES = 8
_TYPE = re.compile(r"[fiu][1248]|b1", re.ASCII)


class _Type:
    """What stands for a `numpy.dtype`: numbers of one kind, in this machine's order of bytes."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not _TYPE.fullmatch(code):
            raise pickle.UnpicklingError(f"it holds numbers of type {code[:20]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Version, order of bytes, and five or six that only other types have.
        if state[1] not in ("<", "|", "=") or any(one not in (None, -1, 0) for one in state[2:]):
            raise pickle.UnpicklingError("it holds numbers of another order of bytes")


class _Array:
    """What stands for a `numpy.ndarray` until all of it is known."""

    value: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        self.value = _filled(data, kind, shape, "F" if fortran else "C")


def _reconstruct(of: Any, shape: Any, code: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    found = _Array()
    found.value = _filled(data, kind, shape, order)
    return found


def _scalar(kind: Any, data: Any) -> _Array:
    return _from_buffer(data, kind, (), "C")


def _filled(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    """An array of these bytes, if it takes just as many."""
    if isinstance(data, str):
        # As Python 2 wrote bytes.
        data = data.encode("latin1")
    fits = (
        isinstance(data, bytes | bytearray)
        and isinstance(kind, _Type)
        and isinstance(shape, tuple)
        and len(shape) <= _MOST_AXES
        and all(type(one) is int and one >= 0 for one in shape)
        and len(data) == math.prod(shape) * kind.dtype.itemsize
    )
    if not fits:
        raise pickle.UnpicklingError("an array has not the bytes of its shape and type")
    return np.frombuffer(data, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _ordered() -> dict[str, Any]:
    return {}


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 makes bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for bytes of {encoding!r}")
    return text.encode("latin1")


# What NumPy of both major versions, and Paddle's `(name, array)` pairs, ask for, and what they get.
_MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    ("builtins", "tuple"): tuple,
    ("collections", "OrderedDict"): _ordered,
}


# Python's own, not C's, of which no step can be changed.
_PYTHONS: Any = pickle._Unpickler
_STEPS = {ord(one.code): _PYTHONS.dispatch[ord(one.code)] for one in pickletools.opcodes if one.name in _OPCODES}


class _Arrays(_PYTHONS):  # type: ignore[misc]  # mypy doesn't know it
    """An unpickler that makes notes of arrays only, and texts the only keys: to hash others may take for ever."""

    dispatch: ClassVar = {**_STEPS}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _MAKERS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _MAKERS[module, name]

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], _Type | _Array):
            raise pickle.UnpicklingError(f"it changes a {type(self.stack[-2]).__name__}")
        super().load_build()

    def load_setitem(self) -> None:
        _check_names(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        _check_names(self.stack[::2])
        super().load_setitems()

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems


def _check_names(names: Sequence[Any]) -> None:
    if any(type(name) is not str for name in names):
        raise pickle.UnpicklingError("it has names that are no texts")


def read_pdparams(path: Path, hint: str) -> dict[str, NDArray[Any]]:
    """The arrays of a `.pdparams` file, by name; they can't be written to.

    Args:
        path: the file.
        hint: what to do where it is none.

    Raises:
        UserError: it can't be read, is damaged, or is something else; says how it begins.
    """
    start = b""
    try:
        if not path.is_file():
            raise OSError("not a file")
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            found = _Arrays(file, encoding="latin1").load()
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
        arrays = {}
        for name, value in found.items():
            one = value[1] if isinstance(value, tuple) and len(value) == 2 else value
            if isinstance(name, str) and isinstance(one, _Array):
                arrays[name] = one.value
        return arrays
    except OSError as error:
        raise UserError(f"can't read the weights ({error.strerror or error})", path=path) from error
    except Exception as error:  # whatever a pickle of random bytes dies of
        size = path.stat().st_size
        what = f"{size} bytes that begin with {start!r}" if size else "an empty file"
        # Python's own unpickler dies of a step that it doesn't know with the step's number.
        told = "no pickle" if isinstance(error, KeyError) else str(error)
        reason = (told.splitlines() or [type(error).__name__])[0]
        raise UserError(f"no weights of Paddle's, or damaged: {what} ({reason})", path=path, hint=hint) from error
