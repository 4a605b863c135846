"""Whether a graph computes what the dynamic net computes, and on what the tests ask it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from replicate.corpus.formats import Split
from replicate.inference.export import TOLERANCE, export
from replicate.inference.exported import read_exported
from replicate.inference.runtime import Runtime, open_runtime
from replicate.nets.logits import probabilities
from replicate.nets.tokens import encode

# Sizes and lengths that no probe of `export` has; the middle row of a batch is the shortest.
SHAPES = ((1, 2), (5, 48), (2, 7), (33, 11), (5, 48), (1, 128))


def batches(runtime: Runtime) -> list[np.ndarray]:
    """Token ids of each shape, with padded rows."""
    rng = np.random.default_rng(5)
    found = []
    for size, length in SHAPES:
        ids = rng.integers(0, len(runtime.tokenizer.vocab), (size, length))
        ids[size // 2, max(2, length // 3) :] = runtime.tokenizer.pad_token_id
        found.append(ids)
    return found


def labels_of(runtime: Runtime, dev: Split) -> np.ndarray:
    """Class indices of the dev texts."""
    rows = encode(runtime.tokenizer, dev.texts, 48)
    return probabilities(runtime.logits, rows, runtime.tokenizer.pad_token_id).argmax(axis=1)


def check_agreement(checkpoint: Path, folder: Path, kind: str, dev: Split) -> None:
    """The exported graph gives the dynamic net's logits to 1e-5 and all its labels on dev."""
    manifest = export(checkpoint, folder, kind)
    dynamic, static = open_runtime(checkpoint), open_runtime(folder)
    assert static.name == {"paddle": "paddle-inference", "onnx": "onnxruntime"}[kind]
    spread = 0.0
    # Twice: what a runtime keeps of one shape must not reach another.
    for ids in batches(dynamic) * 2:
        expected, found = dynamic.logits(ids), static.logits(ids)
        assert found.dtype == np.float32
        assert np.abs(expected - found).max() <= TOLERANCE
        spread = max(spread, float(np.ptp(expected, axis=0).max()))
    assert spread > 1e-2, "a net that ignores its input would agree too"
    assert np.array_equal(labels_of(dynamic, dev), labels_of(static, dev))
    assert manifest.max_difference <= TOLERANCE
    assert manifest.agreement == 1
    assert manifest == read_exported(folder)
