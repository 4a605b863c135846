"""An ERNIE in Hugging Face's layout is converted once, tensor by tensor, and is the same net as in Transformers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from replicate.common.errors import UserError
from replicate.nets import upstream
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import weights_of
from replicate.nets.tokens import SPECIAL_TOKENS

LABELS = ("a", "b", "c")
CONFIG = {
    "architectures": ["ErnieForMaskedLM"],
    "model_type": "ernie",
    "vocab_size": 40,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "max_position_embeddings": 20,
    "type_vocab_size": 4,
    "task_type_vocab_size": 3,
    "use_task_id": True,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 0,
    "torch_dtype": "float32",
    "transformers_version": "4.20.1",
}
# By name in Transformers, of one layer and of what is there once; linear maps have outputs first.
LAYER = {
    **{f"attention.{name}": (24, 24) for name in ("self.query", "self.key", "self.value", "output.dense")},
    "attention.output.LayerNorm": (24,),
    "intermediate.dense": (32, 24),
    "output.dense": (24, 32),
    "output.LayerNorm": (24,),
}
ONCE = {
    "embeddings.word_embeddings.weight": (40, 24),
    "embeddings.position_embeddings.weight": (20, 24),
    "embeddings.token_type_embeddings.weight": (4, 24),
    "embeddings.task_type_embeddings.weight": (3, 24),
    "embeddings.LayerNorm.weight": (24,),
    "embeddings.LayerNorm.bias": (24,),
    "pooler.dense.weight": (24, 24),
    "pooler.dense.bias": (24,),
}


def random_arrays() -> dict[str, np.ndarray]:
    """A whole net with the head of a masked language model, as its hub's folders have it."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = dict(ONCE)
    for layer in range(2):
        for name, shape in LAYER.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
    found = {f"ernie.{name}": rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    positions = {"ernie.embeddings.position_ids": np.arange(20, dtype=np.int64)[None]}
    return {**found, **positions, "cls.predictions.bias": np.zeros(40, dtype=np.float32)}


def write(folder: Path, arrays: dict[str, np.ndarray], **changes: Any) -> Path:
    """Such a folder."""
    folder.mkdir(exist_ok=True)
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}), encoding="utf-8")
    words = [*SPECIAL_TOKENS, *(chr(code) for code in range(0x4E00, 0x4E00 + 35))]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return folder


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound folder, and a cache of its own."""
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "home"))
    return write(tmp_path / "theirs", random_arrays())


def test_every_tensor_is_theirs(theirs: Path) -> None:
    """No array is random, lost or the wrong way round; the head is new, layer norms have their epsilon."""
    network = load_classifier(theirs, LABELS).network
    found = weights_of(network.ernie)
    given = {name: value for name, value in random_arrays().items() if value.dtype == np.float32 and "cls" not in name}
    assert len(found) == len(given) == len(ONCE) + 2 * 2 * len(LAYER)
    sums = sorted(float(np.abs(value).sum()) for value in given.values())
    assert sorted(float(np.abs(value).sum()) for value in found.values()) == pytest.approx(sums)
    query = given["ernie.encoder.layer.1.attention.self.query.weight"]
    assert (found["encoder.layers.1.self_attn.q_proj.weight"] == query.T).all()
    assert (found["embeddings.word_embeddings.weight"] == given["ernie.embeddings.word_embeddings.weight"]).all()
    assert {layer._epsilon for layer in network.sublayers() if hasattr(layer, "_epsilon")} == {1e-5}
    assert network.classifier.weight.shape == [24, 3]


def test_converted_once(theirs: Path, tmp_path: Path) -> None:
    """The second load takes what the first has made; other weights are another net."""
    load_classifier(theirs, LABELS)
    (made,) = (tmp_path / "home" / "models").glob("converted-*")
    before = (made / "model.safetensors").stat()
    load_classifier(theirs, LABELS)
    assert (made / "model.safetensors").stat().st_mtime_ns == before.st_mtime_ns
    write(theirs, {name: value + 1 for name, value in random_arrays().items()})
    load_classifier(theirs, LABELS)
    assert len([*(tmp_path / "home" / "models").glob("converted-*")]) == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: write(folder, random_arrays(), model_type="bert"), "model_type is 'bert'"),
        (lambda folder: write(folder, random_arrays(), hidden_size="wide"), "hidden_size"),
        (lambda folder: write(folder, {n: v.astype(np.float16) for n, v in random_arrays().items()}), "float16"),
        (lambda folder: write(folder, {n: v for n, v in random_arrays().items() if "layer.1." not in n}), "layers"),
        (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "model.safetensors"),
    ],
)
def test_what_is_no_such_net_is_refused(theirs: Path, spoil: Any, words: str) -> None:
    """Another net, another precision, half a net, or weights in a pickle: one line that names the fault."""
    spoil(theirs)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        load_classifier(theirs, LABELS)
    assert "\n" not in str(caught.value)


PEER = """
import json, sys
import numpy as np, torch, transformers
network = transformers.ErnieModel.from_pretrained(sys.argv[1]).eval()
ids = torch.from_numpy(np.load(sys.argv[2]))
with torch.no_grad():
    found = network(ids, attention_mask=(ids != 0).long())
np.savez(sys.argv[3], sequence=found.last_hidden_state.numpy(), pooled=found.pooler_output.numpy())
"""


@pytest.mark.parametrize("epsilon", [1e-5, 1e-12])
def test_it_is_the_same_net_in_transformers(theirs: Path, tmp_path: Path, epsilon: float) -> None:
    """`tox -e hugging-face` installs torch and transformers apart: what their ErnieModel gives, ours gives to 1e-5."""
    python = os.environ.get("REPLICATE_TORCH_PYTHON")
    if not python:
        pytest.skip("REPLICATE_TORCH_PYTHON names no Python that has torch and transformers")
    upstream.quiet()
    import paddle

    write(theirs, random_arrays(), layer_norm_eps=epsilon)
    ids = np.random.default_rng(1).integers(1, 40, (5, 12))
    ids[0, 7:] = 0
    np.save(tmp_path / "ids.npy", ids)
    command = [python, "-W", "ignore", "-c", PEER, str(theirs), str(tmp_path / "ids.npy"), str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = np.load(tmp_path / "out.npz")
    network = load_classifier(theirs, LABELS).network
    network.eval()
    with paddle.no_grad():
        sequence, pooled = (one.numpy() for one in network.ernie(paddle.to_tensor(ids)))
    assert np.ptp(wanted["pooled"], axis=0).max() > 0.1
    assert np.abs(pooled - wanted["pooled"]).max() < 1e-5
    assert np.abs(sequence - wanted["sequence"])[ids != 0].max() < 1e-5
