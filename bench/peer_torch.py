"""PyTorch's ERNIE, timed beside Paddle's: a program of its own for an environment of its own, with random weights.

It imports nothing of this project and needs torch and transformers. `replicate.timing.contestants` starts it with the
Python that REPLICATE_TORCH_PYTHON names.

Usage: peer_torch.py CONFIG THREADS DEVICE PRECISION [train], where CONFIG is a model folder's config.json. It describes
itself in one line of JSON, then answers each line "BATCH LENGTH" of standard input with the seconds that a forward
took, or with `train` a step of fine-tuning.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

SHARED = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "task_type_vocab_size",
    "use_task_id",
)
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def build(fields: dict[str, Any]) -> Any:
    """Transformers' ERNIE classifier of PaddleNLP's configuration, with SDPA attention, shrunk where that says so."""
    config = transformers.ErnieConfig(
        **{name: fields[name] for name in SHARED if name in fields},
        num_labels=len(fields.get("id2label") or (0, 1)),
        attn_implementation="sdpa",
    )
    network = transformers.ErnieForSequenceClassification(config)
    if fields.get("kept_heads"):
        hidden, last = config.hidden_size, fields.get("kept_last_neurons") or fields["kept_neurons"]
        inner = fields["kept_heads"] * hidden // config.num_attention_heads
        for number, layer in enumerate(network.ernie.encoder.layer, 1):
            neurons = last if number == config.num_hidden_layers else fields["kept_neurons"]
            attention = layer.attention.self
            attention.query, attention.key, attention.value = (nn.Linear(hidden, inner) for _ in range(3))
            layer.attention.output.dense = nn.Linear(inner, hidden)
            layer.intermediate.dense, layer.output.dense = nn.Linear(hidden, neurons), nn.Linear(neurons, hidden)
    return network.eval()


def forward(network: Any) -> Callable[[Any], None]:
    """Labels token ids."""

    def once(ids: Any) -> None:
        with torch.inference_mode():
            # The copy to the host waits for the device.
            network(input_ids=ids, attention_mask=(ids != 0).long()).logits.float().cpu().numpy()

    return once


def step(network: Any) -> Callable[[Any], None]:
    """Learns from token ids, as the stages here do: dropout, AdamW, the norm of gradients clipped at 1."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, weight_decay=0.01)

    def once(ids: Any) -> None:
        labels = torch.arange(len(ids), device=ids.device) % network.config.num_labels
        loss = network(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return once


def main() -> None:
    """Describe the net, then time a forward or a step for every line of standard input."""
    path, threads, device, precision, *what = sys.argv[1:]
    # What libraries print goes to stderr: stdout holds answers only.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    fields = json.loads(Path(path).read_text(encoding="utf-8"))
    where = torch.device("cuda" if device == "gpu" else "cpu")
    network = build(fields).to(where, PRECISIONS[precision])
    parameters = list(network.parameters())
    description = {
        "parameters": sum(one.numel() for one in parameters),
        "bytes": sum(one.numel() * one.element_size() for one in parameters),
        "environment": f"PyTorch {torch.__version__}, Transformers {transformers.__version__}, SDPA",
    }
    print(json.dumps(description), file=answers)
    once = step(network) if what == ["train"] else forward(network)
    for line in sys.stdin:
        batch, length = map(int, line.split())
        ids = torch.randint(1, fields["vocab_size"], (batch, length), generator=torch.Generator().manual_seed(0))
        started = time.perf_counter()
        once(ids.to(where))
        print(time.perf_counter() - started, file=answers)


if __name__ == "__main__":
    main()
