"""An exported folder: a classifier's graph with its tokenizer, labels and a manifest of digests."""

from __future__ import annotations

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
_AGAIN = "export it again"


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
        manifest = Manifest(**{**fields, "parameters": int(fields["parameters"])})
        if manifest.precision not in PRECISIONS:
            raise ValueError(f"precision {manifest.precision!r}")
        required = {*GRAPHS[manifest.kind], *COMPANIONS}
        strangers = [name for name in manifest.files if Path(name).name != name]
        expected = {name: (str(file["sha256"]), int(file["bytes"])) for name, file in manifest.files.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"not a manifest of an export ({error})", path=path, hint=_AGAIN) from error
    if strangers or not required <= expected.keys():
        name = next(iter([*strangers, *sorted(required - expected.keys())]))
        raise UserError(f"not a manifest of an export ({name})", path=path, hint=_AGAIN)
    for name, (digest, size) in expected.items():
        if not (folder / name).is_file():
            raise UserError("missing, but manifest.json names it", path=folder / name, hint=_AGAIN)
        if (folder / name).stat().st_size != size:
            raise UserError(f"not the {size} bytes that manifest.json says", path=folder / name, hint=_AGAIN)
        if describe_file(folder / name)["sha256"] != digest:
            raise UserError("does not match its digest in manifest.json", path=folder / name, hint=_AGAIN)
    return manifest
