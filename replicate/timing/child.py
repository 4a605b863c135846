"""PaddleNLP's default dynamic graph in a process of its own: Paddle's flags decide while it is imported.

`python -m replicate.timing.child FOLDER DEVICE PRECISION` takes OMP_NUM_THREADS as it finds it. It describes
itself in one line of JSON, then answers each line "BATCH LENGTH" of standard input with the seconds that a forward
took. Nothing of `nets.upstream` may run here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from replicate.common.files import read_json
from replicate.corpus.formats import read_labels
from replicate.nets.configuration import ernie_fields
from replicate.nets.folder import WEIGHTS, load_weights, scalars_of
from replicate.nets.shape import shrink


def main() -> None:
    """Load a model folder as PaddleNLP's users do, then time a forward for every line of standard input."""
    folder, device, precision = Path(sys.argv[1]), *sys.argv[2:]
    # What Paddle prints goes to stderr: stdout holds answers only.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import paddle
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification

    if precision != "fp32":
        raise SystemExit("the default dynamic graph is timed in fp32 only")
    paddle.set_device(device)
    labels = len(read_labels(folder / "label.txt"))
    config = ErnieConfig.from_dict({**ernie_fields(read_json(folder / "config.json")), "num_labels": labels})
    network = ErnieForSequenceClassification(config)
    if getattr(config, "kept_heads", None):
        shrink(network)
    load_weights(network, folder / WEIGHTS, complete=True)
    network.eval()
    description = {
        "parameters": scalars_of(network),
        "bytes": (folder / WEIGHTS).stat().st_size,
        # Paddle sets the variable where nobody has.
        "environment": f"default flags, OMP_NUM_THREADS {os.environ['OMP_NUM_THREADS']}",
    }
    print(json.dumps(description), file=answers)
    for line in sys.stdin:
        batch, length = map(int, line.split())
        ids = np.random.default_rng(0).integers(1, config.vocab_size, size=(batch, length), dtype=np.int64)
        with paddle.no_grad():
            started = time.perf_counter()
            network(paddle.to_tensor(ids)).numpy()
            print(time.perf_counter() - started, file=answers)


if __name__ == "__main__":
    main()
