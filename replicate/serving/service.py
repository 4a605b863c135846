"""The HTTP service around a model: what it takes, what it answers, what it counts. Nothing here opens a port."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from starlette.requests import ClientDisconnect

from replicate.inference.predict import Labeller
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
        runtime: one of `runtime.RUNTIMES`.
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
        self.queue = Gauge("replicate_queue_texts", "Texts taken and not yet answered.", registry=self.registry)


def create_app(batcher: Microbatcher[Labeller], facts: Facts, metrics: Metrics, max_body: int) -> FastAPI:
    """The service as an ASGI application.

    Args:
        batcher: answers texts; it must have been started.
        facts: what it answers with.
        metrics: where requests are counted.
        max_body: largest body of a request, in bytes.
    """
    # Their pages would load scripts from elsewhere; the schema is in /openapi.json.
    app = FastAPI(title="replicate serve", docs_url=None, redoc_url=None)
    metrics.queue.set_function(lambda: batcher.pending)

    async def answer(request: Request) -> dict[str, Any]:
        question = parsed(await body_of(request, max_body))
        try:
            future = batcher.submit(question.all)
        except TooMany:
            raise Refused(413, f"{len(question.all)} texts in one request; at most {batcher.capacity}") from None
        except (Full, Closed) as error:
            what = "the queue is full" if isinstance(error, Full) else "the service stops"
            raise Refused(503, what, {"Retry-After": str(RETRY_SECONDS)}) from None
        found = await asyncio.wrap_future(future)
        metrics.truncated.inc(sum(one.truncated for one in found))
        return {"predictions": [one.to_json() for one in found], "model": facts.model}

    schema = {"content": {"application/json": {"schema": Question.model_json_schema()}}, "required": True}

    @app.post("/predict", openapi_extra={"requestBody": schema})
    async def predict(request: Request) -> Response:
        """A label and its probability for each text, in order."""
        started = time.perf_counter()
        try:
            response = JSONResponse(await answer(request))
            metrics.seconds.observe(time.perf_counter() - started)
        except Refused as refused:
            response = JSONResponse({"detail": str(refused)}, refused.status, refused.headers)
        except ClientDisconnect:
            response = JSONResponse({"detail": "the client left"}, 400)
        except Exception:
            traceback.print_exc()
            response = JSONResponse({"detail": "the model failed; the service's log says how"}, 500)
        metrics.requests.labels(response.status_code).inc()
        return response

    @app.get("/health")
    async def health() -> Response:
        """Whether requests are taken, and what answers them."""
        return JSONResponse({"ready": not batcher.closed, **vars(facts)}, 503 if batcher.closed else 200)

    @app.get("/metrics")
    async def figures() -> Response:
        """Counters and histograms in Prometheus's text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def body_of(request: Request, limit: int) -> bytes:
    """A request's body; refused (413) as soon as it is known to be too large."""
    refusal = Refused(413, f"the body has more than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise refusal
    # A body sent in chunks declares no length, so what comes is counted too.
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise refusal
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
