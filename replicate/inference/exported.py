"""An exported folder: a classifier's graph with its tokenizer, labels and a manifest of digests."""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import describe_file, read_json, to_json

FORMAT = 1
MANIFEST = "manifest.json"
# The graph of each kind, and the file among them that holds the weights.
GRAPHS = {"paddle": ("model.pdmodel", "model.pdiparams"), "onnx": ("model.onnx",)}
WEIGHT_FILES = {"paddle": "model.pdiparams", "onnx": "model.onnx"}
PRECISIONS = ("fp32", "int8")
COMPANIONS = ("config.json", "label.txt", "tokenizer_config.json", "vocab.txt")
# Positions of a net; no ERNIE has more than a few thousand.
MOST_POSITIONS = 1 << 16
_AGAIN = "export it again"
# Names, versions and digests are served, printed and opened, so they are plain words.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9.+!_-]{1,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """What an exported folder holds, and how near it is to the dynamic net.

    Attributes:
        kind: `paddle` or `onnx`.
        precision: `fp32`, or `int8` for matrix products in 8 bits.
        weights: digest of the dynamic net's weights (`model.digest_of`).
        parameters: number of scalars in the dynamic net.
        max_difference: largest absolute difference of a logit to the dynamic net's, on the probe.
        agreement: share of the probe's rows to which both give the same label.
        probe: number of rows of the probe.
        versions: packages that made the export.
        files: SHA-256 and size in bytes of each file, by name.
    """

    kind: str
    precision: str
    weights: str
    parameters: int
    max_difference: float
    agreement: float
    probe: int
    versions: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]

    @property
    def bytes(self) -> int:
        """Size of the file that holds the weights."""
        return int(self.files[WEIGHT_FILES[self.kind]]["bytes"])


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Digest and size of every file of a folder, by name; the manifest itself is left out."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    return {name: describe_file(folder / name) for name in names}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into its folder."""
    (folder / MANIFEST).write_text(to_json({"format": FORMAT, **asdict(manifest)}), encoding="utf-8")


def check_inside(folder: Path) -> None:
    """Refuse a folder with a file that lies elsewhere, or that is none: a link that leads out, a pipe, a device.

    Raises:
        UserError: there is one, or the folder can't be read.
    """
    hint = "copy the file into the folder"
    try:
        root = folder.resolve()
        for path in folder.iterdir():
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise UserError("a link that leads out of the folder is not followed", path=path, hint=hint)
            if not path.is_symlink() and not stat.S_ISREG(path.lstat().st_mode) and not path.is_dir():
                raise UserError("neither a file nor a folder", path=path, hint=hint)
    except (OSError, RuntimeError) as error:
        what = getattr(error, "strerror", None) or "a link that leads to itself"
        raise UserError(f"can't be read ({what})", path=folder) from error


def read_exported(folder: Path) -> Manifest:
    """The manifest of an exported folder, every file of which is what it says.

    Raises:
        UserError: a file is missing, cut short or changed, or the manifest is not one of ours.
    """
    path = folder / MANIFEST
    fields = read_json(path)
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise UserError(f"not a manifest of format {FORMAT}", path=path, hint=_AGAIN)
    try:
        manifest = Manifest(**fields)
        _check_words(manifest)
        required = {*GRAPHS[manifest.kind], *COMPANIONS}
        if missing := sorted(required - manifest.files.keys()):
            raise ValueError(missing[0])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"not a manifest of an export ({ascii(str(error))[1:-1][:200]})", path=path, hint=_AGAIN
        ) from error
    for name, file in manifest.files.items():
        try:
            if not (folder / name).is_file():
                raise UserError("missing, but manifest.json names it", path=folder / name, hint=_AGAIN)
            if (folder / name).stat().st_size != file["bytes"]:
                raise UserError(
                    f"not the {file['bytes']} bytes that manifest.json says", path=folder / name, hint=_AGAIN
                )
            if describe_file(folder / name)["sha256"] != file["sha256"]:
                raise UserError("does not match its digest in manifest.json", path=folder / name, hint=_AGAIN)
        except OSError as error:
            raise UserError(f"can't be read ({error.strerror})", path=folder / name) from error
    return manifest


def _check_words(manifest: Manifest) -> None:
    """Refuse (ValueError, or what Python raises of another type) a manifest whose values are not what they are for."""
    if manifest.kind not in GRAPHS or manifest.precision not in PRECISIONS:
        raise ValueError(f"kind {manifest.kind!r}, precision {manifest.precision!r}")
    if not _DIGEST.fullmatch(manifest.weights):
        raise ValueError("weights is no SHA-256")
    for name in ("parameters", "probe"):
        if not _is_count(getattr(manifest, name)):
            raise ValueError(f"{name} is no whole number")
    for name in ("max_difference", "agreement"):
        value = getattr(manifest, name)
        # A graph in 8 bits may be far off, and where it gives no number the difference is null.
        if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
            raise ValueError(f"{name} is no number")
    if not all(_NAME.fullmatch(name) and _VERSION.fullmatch(version) for name, version in manifest.versions.items()):
        raise ValueError("versions are not names and versions")
    for name, file in manifest.files.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"file {name[:60]!r}")
        if not _DIGEST.fullmatch(file["sha256"]) or not _is_count(file["bytes"]):
            raise ValueError(f"{name} has no digest and size")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def read_positions(folder: Path) -> tuple[int, int]:
    """Of the net in an exported folder: tokens of its vocabulary, and the longest text in tokens.

    Raises:
        UserError: config.json does not say them.
    """
    path = folder / "config.json"
    fields = read_json(path)
    try:
        vocabulary, positions = fields["vocab_size"], fields["max_position_embeddings"]
    except (KeyError, TypeError, IndexError):
        vocabulary = positions = None
    if not _is_count(vocabulary) or not _is_count(positions) or not 3 <= positions <= MOST_POSITIONS:
        raise UserError("not a model configuration (vocab_size and max_position_embeddings)", path=path, hint=_AGAIN)
    return vocabulary, positions
