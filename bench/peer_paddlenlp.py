"""PaddleNLP's example of multi-class fine-tuning as it comes, timed beside ours: default flags, a plain loop.

It does what the article's `train.py` does in every step: a random batch padded to its longest text, forward, loss,
backward, AdamW, and every tenth step the loss on the screen. Nothing of `nets.upstream` may run here, since Paddle's
flags decide while it is imported.

Usage: peer_paddlenlp.py MODEL DATA RATE, where DATA is a file of `text<TAB>label` lines. It describes itself in one
line of JSON, then answers each line "STEPS BATCH" of standard input with the seconds that so many steps took.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Load model and data as the example does, then train for every line of standard input."""
    model, data, rate = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    # What libraries print goes to stderr: stdout holds answers only.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import paddle
    from paddle.io import BatchSampler, DataLoader
    from paddlenlp.data import DataCollatorWithPadding
    from paddlenlp.datasets import MapDataset
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification, ErnieTokenizer
    from safetensors.numpy import load_file

    config = ErnieConfig.from_dict(json.loads((model / "config.json").read_text(encoding="utf-8")))
    network = ErnieForSequenceClassification(config)
    network.set_state_dict(load_file(model / "model.safetensors"))
    tokenizer = ErnieTokenizer(str(model / "vocab.txt"))
    labels = {name: index for index, name in enumerate((model / "label.txt").read_text(encoding="utf-8").splitlines())}
    lines = [line.split("\t") for line in data.read_text(encoding="utf-8").splitlines()]
    examples = [
        {**tokenizer(text, max_length=128, truncation=True), "labels": [labels[label]]} for text, label in lines
    ]
    optimizer = paddle.optimizer.AdamW(learning_rate=rate, parameters=network.parameters(), weight_decay=0.01)
    criterion = paddle.nn.CrossEntropyLoss()
    threads = os.environ.get("OMP_NUM_THREADS", "none")
    description = {
        "parameters": sum(int(np.prod(one.shape)) for one in network.parameters()),
        "bytes": (model / "model.safetensors").stat().st_size,
        "environment": f"PaddleNLP's example loop, default flags, OMP_NUM_THREADS {threads}",
    }
    print(json.dumps(description), file=answers)
    network.train()
    for line in sys.stdin:
        steps, size = map(int, line.split())
        sampler = BatchSampler(MapDataset(examples), shuffle=True, batch_size=size)
        loader = DataLoader(MapDataset(examples), batch_sampler=sampler, collate_fn=DataCollatorWithPadding(tokenizer))
        epochs = itertools.chain.from_iterable(itertools.repeat(loader))
        started = time.perf_counter()
        for step, batch in enumerate(itertools.islice(epochs, steps), start=1):
            logits = network(batch["input_ids"], batch["token_type_ids"])
            loss = criterion(logits, batch["labels"])
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            if step % 10 == 0:
                print(f"step {step}, loss {float(loss):.5f}")
        print(time.perf_counter() - started, file=answers)


if __name__ == "__main__":
    main()
