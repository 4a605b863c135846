"""`replicate serve`: a model as an HTTP service that batches concurrent requests, on this machine by default."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from pathlib import Path
from typing import Any

from replicate.commands.flags import add_device
from replicate.common.checks import check_positive
from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.explain.occlusion import Explainer
from replicate.inference.predict import MAX_LENGTH, Labeller
from replicate.inference.runtime import OFFERED, open_runtime
from replicate.nets import upstream
from replicate.nets.folder import WEIGHTS, digest_of
from replicate.runs.leases import leased

# Seconds after SIGTERM in which every request that was taken is answered; then the service ends without them.
DRAIN = 30.0
# And in which the model may finish what nobody waits for.
LAST = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate serve`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder that finetune, prune or export wrote")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, reached from this machine only")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0 takes a free one")
    parser.add_argument("--runtime", choices=OFFERED, help="default: the one that the folder is made for")
    add_device(parser)
    parser.add_argument("--threads", type=int, help="CPU threads that compute (default: all cores)")
    parser.add_argument("--max_seq_length", type=int, default=MAX_LENGTH, help="tokens; longer texts are cut")
    parser.add_argument("--max_batch", type=int, default=32, help="most texts that are computed at once")
    parser.add_argument("--max_wait_ms", type=float, default=2.0, help="how long a text waits for others to join it")
    # As many as connections, so that by default nobody is sent away who asks for one text at a time.
    parser.add_argument("--queue", type=int, default=512, help="texts that may wait; beyond them the answer is 503")
    parser.add_argument(
        "--explain",
        type=int,
        default=0,
        metavar="N",
        help="also POST /explain, for N texts that may wait; it holds the model twice (default: 0, none)",
    )
    parser.add_argument("--max_body", type=int, default=1 << 20, metavar="BYTES", help="largest body of a request")
    parser.add_argument(
        "--read_timeout", type=float, default=10.0, metavar="S", help="seconds for a request's head, and for its body"
    )
    parser.add_argument(
        "--connections", type=int, default=512, metavar="N", help="connections that may be open at once"
    )
    parser.add_argument(
        "--token", type=Path, metavar="FILE", help="what clients must send as bearer token (or REPLICATE_TOKEN)"
    )


def run(args: argparse.Namespace) -> int:
    """`replicate serve`: until SIGTERM or SIGINT, and then 0 once every request that was taken has its answer."""
    numbers = ["max_batch", "queue", "max_body", "read_timeout", "connections"]
    check_positive(args, *numbers, *(["threads"] if args.threads is not None else []))
    if args.explain < 0:
        raise UserError(f"explain is {args.explain}", hint="it must not be below 0")
    if args.max_wait_ms < 0:
        raise UserError(f"max_wait_ms is {args.max_wait_ms}", hint="it must not be below 0")
    from replicate.serving.connection import Limits
    from replicate.serving.listener import Listener, address_of, bind
    from replicate.serving.memory import Room
    from replicate.serving.microbatch import Microbatcher
    from replicate.serving.service import Facts, Metrics, create_app
    from replicate.serving.token import TokenGuard, read_token

    token = read_token(args.token)
    with bind(args.host, args.port) as bound, leased(args.model):
        # The imports in the main thread, which signals need; the model in the thread that uses it.
        upstream.quiet()
        metrics = Metrics()

        def open_model() -> Labeller:
            runtime = open_runtime(args.model, args.runtime, device=args.device, threads=args.threads)
            labeller = Labeller(runtime, args.max_seq_length, args.max_batch)
            # The first call of a runtime is the slowest by far; nobody should have to wait for it.
            labeller.label(["。"])
            return labeller

        batcher = Microbatcher(open_model, args.max_batch, args.max_wait_ms / 1000, args.queue, metrics.batches.observe)
        runtime = batcher.start().runtime
        # A model is for one thread, and labels shall not wait for explanations, of which each is a batch by itself.
        explaining = Microbatcher(lambda: Explainer(open_model()), 1, 0.0, args.explain) if args.explain else None
        if explaining is not None:
            explaining.start()
        facts = Facts(
            weights_digest(args.model), len(runtime.labels), runtime.name, runtime.precision, args.max_seq_length
        )
        room = Room()
        app: Any = create_app(batcher, facts, metrics, args.max_body, room, explaining)
        if token:
            app = TokenGuard(app, token)
        address = address_of(bound)
        if not ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback:
            what = "what is sent is not encrypted" if token else "whoever can reach it can use it: there is no password"
            print(f"replicate: {address}: {what}", file=sys.stderr)
        limits = Limits(args.read_timeout, args.connections)
        listener = Listener(app, lambda: print(f"{args.model} on {address}", flush=True), DRAIN, limits, room)
        listener.run([bound])
    # Every connection is closed by now: what is still pending, nobody waits for any more.
    unanswered = batcher.pending
    batcher.close(LAST)
    if explaining is not None:
        unanswered += explaining.pending
        explaining.close(LAST)
    if unanswered:
        print(f"replicate: stopped with {unanswered} texts unanswered", file=sys.stderr)
    return int(unanswered > 0)


def weights_digest(folder: Path) -> str:
    """SHA-256 of a folder's weights, as `weights` in the records; an exported folder names it in its manifest."""
    from safetensors.numpy import load_file

    if (folder / WEIGHTS).is_file():
        return digest_of(load_file(folder / WEIGHTS))
    # Which is a digest, or `open_runtime` would have refused the folder.
    return str(read_json(folder / "manifest.json")["weights"])
