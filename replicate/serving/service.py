"""The HTTP service around a model: what it takes, what it answers, what it counts. Nothing here opens a port."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from starlette.requests import ClientDisconnect

from replicate.common.errors import UserError
from replicate.explain.occlusion import Explainer
from replicate.inference.predict import Labeller, NoAnswer
from replicate.serving.memory import SMALL, NoRoom, Room
from replicate.serving.microbatch import Closed, Full, Microbatcher, TooMany

RETRY_SECONDS = 1
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Question(BaseModel):
    """The body of a request: one `text`, or a list of `texts`."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    texts: list[str] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Question:
        if (self.text is None) == (self.texts is None):
            raise ValueError('give either "text" or "texts"')
        return self

    @property
    def all(self) -> list[str]:
        """The texts."""
        return [self.text] if self.text is not None else self.texts or []


@dataclass(frozen=True)
class Facts:
    """What `/health` says of the model.

    Attributes:
        model: SHA-256 of the weights.
        labels: number of labels.
        runtime: one of `runtime.OFFERED`.
        precision: one of `runtime.PRECISIONS`.
        max_seq_length: tokens that are read of a text.
    """

    model: str
    labels: int
    runtime: str
    precision: str
    max_seq_length: int


class Refused(Exception):
    """A request that is not answered: its status, and why in one line."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, headers


class Metrics:
    """The service's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("replicate_requests", "Requests for /predict.", ["status"], registry=self.registry)
        self.seconds = Histogram(
            "replicate_request_seconds",
            "Seconds from the first byte of an answered request to its answer.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.batches = Histogram(
            "replicate_batch_texts", "Texts computed together.", registry=self.registry, buckets=_TEXTS
        )
        self.truncated = Counter("replicate_truncated_texts", "Texts that were cut.", registry=self.registry)
        self.explained = Counter(
            "replicate_explain_requests", "Requests for /explain.", ["status"], registry=self.registry
        )
        self.queue = Gauge("replicate_queue_texts", "Texts taken and not yet answered.", registry=self.registry)


def create_app(
    batcher: Microbatcher[Labeller],
    facts: Facts,
    metrics: Metrics,
    max_body: int,
    room: Room | None = None,
    explaining: Microbatcher[Explainer] | None = None,
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        batcher: answers texts; it must have been started.
        facts: what it answers with.
        metrics: where requests are counted.
        max_body: largest body of a request, in bytes.
        room: what large bodies hold together; by default some 32 MB.
        explaining: explains texts, in a queue of its own; there is no /explain without it.
    """
    shared = room or Room()
    # Their pages would load scripts from elsewhere; the schema is in /openapi.json.
    app = FastAPI(title="replicate serve", docs_url=None, redoc_url=None)
    metrics.queue.set_function(lambda: batcher.pending)

    async def answer(request: Request, model: Microbatcher[Any]) -> list[Any]:
        with holding(shared) as held:
            question = parsed(await body_of(request, max_body, held))
            return await answers(request, question, model)

    async def answers(request: Request, question: Question, model: Microbatcher[Any]) -> list[Any]:
        try:
            future = model.submit(question.all)
        except TooMany:
            raise Refused(413, f"{len(question.all)} texts in one request; at most {model.capacity}") from None
        except (Full, Closed) as error:
            what = "the queue is full" if isinstance(error, Full) else "the service stops"
            raise Refused(503, what, {"Retry-After": str(RETRY_SECONDS)}) from None
        return await answered(request, future)

    async def responded(request: Request, model: Microbatcher[Any], name: str) -> tuple[Response, list[Any]]:
        """A response whose list `name` has the model's answers, and those."""
        found: list[Any] = []
        try:
            found = await answer(request, model)
            response = JSONResponse({name: [one.to_json() for one in found], "model": facts.model})
        except Refused as refused:
            response = JSONResponse({"detail": str(refused)}, refused.status, refused.headers)
        except ClientDisconnect:
            response = JSONResponse({"detail": "the client left"}, 400)
        except NoAnswer as error:
            print(f"replicate: {error}", file=sys.stderr, flush=True)
            response = JSONResponse({"detail": str(error)}, 500)
        except Exception as error:
            # One line says all of what we raise; where it lies on this machine is nobody else's business.
            print(f"replicate: {error}" if isinstance(error, UserError) else traceback.format_exc(), file=sys.stderr)
            response = JSONResponse({"detail": "the model failed; the service's log says how"}, 500)
        return response, found

    schema = {"content": {"application/json": {"schema": Question.model_json_schema()}}, "required": True}

    @app.post("/predict", openapi_extra={"requestBody": schema})
    async def predict(request: Request) -> Response:
        """A label and its probability for each text, in order."""
        started = time.perf_counter()
        response, found = await responded(request, batcher, "predictions")
        if response.status_code == HTTPStatus.OK:
            metrics.truncated.inc(sum(one.truncated for one in found))
            metrics.seconds.observe(time.perf_counter() - started)
        metrics.requests.labels(response.status_code).inc()
        return response

    if explaining is not None:

        @app.post("/explain", openapi_extra={"requestBody": schema})
        async def explain(request: Request) -> Response:
            """For each text its two best labels, and what each piece of it adds to them."""
            response, _ = await responded(request, explaining, "explanations")
            metrics.explained.labels(response.status_code).inc()
            return response

    def stopping(request: Request) -> bool:
        return batcher.closed or getattr(request.state, "stopping", False)

    @app.get("/health")
    async def health(request: Request) -> Response:
        """Whether requests are taken, and what answers them."""
        ready = not stopping(request)
        return JSONResponse({"ready": ready, **vars(facts)}, 200 if ready else 503)

    @app.get("/ready")
    async def ready(request: Request) -> Response:
        """Whether requests should be sent here: not while it stops."""
        return JSONResponse({"ready": not stopping(request)}, 503 if stopping(request) else 200)

    @app.get("/live")
    async def live() -> Response:
        """Whether it works at all; where it doesn't, only a new start helps."""
        alive = batcher.alive and (explaining is None or explaining.alive)
        return JSONResponse({"live": alive}, 200 if alive else 503)

    @app.get("/metrics")
    async def figures() -> Response:
        """Counters and histograms in Prometheus's text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


class Holding:
    """What one request holds of the room for large ones."""

    def __init__(self, room: Room) -> None:
        self.held = 0
        self._room = room

    def hold(self, size: int) -> None:
        """Hold what a body of so many bytes needs; refused (503) where there is no room."""
        more = max(0, size - SMALL) - self.held
        try:
            self._room.take(more)
        except NoRoom:
            retry = {"Retry-After": str(RETRY_SECONDS)}
            raise Refused(503, "too many large requests at once", retry) from None
        self.held += more


@contextlib.contextmanager
def holding(room: Room) -> Iterator[Holding]:
    """For one request: what it takes of the room is given back at the end."""
    one = Holding(room)
    try:
        yield one
    finally:
        room.give(one.held)


async def answered(request: Request, future: Future[list[Any]]) -> list[Any]:
    """What the model says; where the client leaves before, the model need not say it (ClientDisconnect)."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Future[list[Any]]) -> None:
        # The service may have stopped meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    future.add_done_callback(tell)
    waiting = {asyncio.create_task(ended.wait()), asyncio.create_task(left(request))}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    if not future.done() and future.cancel():
        raise ClientDisconnect
    return future.result()


async def left(request: Request) -> bool:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return True


async def body_of(request: Request, limit: int, held: Holding) -> bytes:
    """A request's body; refused (413, 503) as soon as it is known to be too large, or that there is no room."""
    refusal = Refused(413, f"the body has more than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise refusal
    # A body sent in chunks declares no length, so what comes is counted too.
    body = bytearray()
    async for part in request.stream():
        if len(body) + len(part) > limit:
            raise refusal
        held.hold(len(body) + len(part))
        body += part
    return bytes(body)


def parsed(body: bytes) -> Question:
    """A body as a question; refused (422) with the first thing that is wrong with it."""
    try:
        return Question.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise Refused(422, " ".join(what.split())) from None
