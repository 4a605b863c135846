"""Per-example columns of a record, packed as text."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
import numpy.typing as npt

_FULL_SCALE = 65535
# Of the probabilities of every class: one byte each.
LEVELS = 255


def pack_bits(mask: npt.ArrayLike) -> str:
    """Booleans (n,) as base64 of big-endian packed bits; `n` has to be kept elsewhere."""
    return base64.b64encode(np.packbits(np.asarray(mask, dtype=bool)).tobytes()).decode("ascii")


def unpack_bits(text: str, n: int) -> npt.NDArray[np.bool_]:
    """The `n` booleans of `pack_bits`.

    Raises:
        ValueError: not base64, or not of `n` bits.
    """
    data = _unbase64(text)
    if len(data) != (n + 7) // 8:
        raise ValueError(f"{len(data)} bytes can't be {n} packed bits")
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=n).astype(bool)


def pack_confidence(probability: npt.ArrayLike) -> str:
    """Probabilities (n,) of the predicted classes as base64 of little-endian uint16 round(p * 65535)."""
    values = np.asarray(probability, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a probability is outside [0, 1]")
    return base64.b64encode(np.rint(values * _FULL_SCALE).astype("<u2").tobytes()).decode("ascii")


def unpack_confidence(text: str) -> npt.NDArray[np.float64]:
    """The probabilities (n,) of `pack_confidence`, to 1/131070; empty for an empty text.

    Raises:
        ValueError: not base64, or not of whole values.
    """
    return np.frombuffer(_unbase64(text), dtype="<u2") / _FULL_SCALE


def pack_probabilities(probability: npt.ArrayLike) -> str:
    """Probabilities (examples, classes) as base64 of zlib-compressed uint8 round(p * 255), class after class.

    A value is off by 1/510 at most, and a row need not sum to 1. Rounding keeps the order of two classes but can make
    them equal, so the largest of an example may be shared by several: which one was predicted is kept elsewhere.

    Raises:
        ValueError: not a matrix, or a value outside [0, 1].
    """
    values = np.asarray(probability, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"not of shape (examples, classes): {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a probability is outside [0, 1]")
    # One class after the other compresses better: most of a column is 0.
    levels = np.ascontiguousarray(np.rint(values * LEVELS).astype(np.uint8).T)
    return base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode("ascii")


def unpack_probabilities(text: str, examples: int, classes: int) -> npt.NDArray[np.float64]:
    """The probabilities (examples, classes) of `pack_probabilities`, to 1/510; (0, classes) for an empty text.

    Never more than `examples * classes` bytes are unpacked, whatever the text would grow to.

    Raises:
        ValueError: not base64, not zlib, or not of that many values.
    """
    if not text:
        return np.zeros((0, classes))
    wanted = examples * classes
    # What zlib makes of that many bytes at worst, and base64 of those.
    if len(text) > (wanted + wanted // 1000 + 64) * 4 // 3 + 4:
        raise ValueError(f"too long for {examples} by {classes} values")
    unpacker = zlib.decompressobj()
    try:
        # The byte more tells a text that goes on from one that ends.
        data = unpacker.decompress(_unbase64(text), wanted + 1)
    except zlib.error as error:
        raise ValueError(f"not zlib: {error}") from error
    if len(data) != wanted or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"not {examples} by {classes} values")
    return np.frombuffer(data, dtype=np.uint8).reshape(classes, examples).T / LEVELS


def pack_predictions(predicted: npt.ArrayLike) -> str:
    """Label indices (n,) as decimal numbers between single spaces."""
    return " ".join(map(str, np.asarray(predicted, dtype=np.int64).tolist()))


def unpack_predictions(text: str) -> npt.NDArray[np.int64]:
    """The label indices (n,) of `pack_predictions`.

    Raises:
        ValueError: something in it is not a whole number.
    """
    return np.array([int(word) for word in text.split()], dtype=np.int64)


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
