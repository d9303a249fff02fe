"""OpenTelemetry traces, by the SDK's own exporters."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from core.errors import EverloopError
from core.records.answers import ClassificationDetail, GenerationDetail, Prediction, Request
from core.records.writing import Decoding
from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.gen_ai import span_of
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.tracing import Tracing, here, record, tracing, wanted
from tests.fake_models import NOW
from tests.logs import writing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def client() -> TestClient:
    app, router = FastAPI(), APIRouter()

    @router.post("/v2/models/{name}/infer")
    async def infer(name: str) -> dict[str, bool]:
        begun = time.time_ns()
        parent = here()
        record("model", parent, begun, begun)
        thread = threading.Thread(target=record, args=("commit", parent, begun, begun + 5_000_000))
        thread.start()
        thread.join()
        return {"traced": parent is not None}

    @app.get("/health")
    def health() -> None: ...

    app.include_router(router)
    app.add_middleware(Tracing)
    return TestClient(app)


def test_off_is_nothing_at_all(client: TestClient) -> None:
    assert not wanted()
    with tracing():
        assert client.post("/v2/models/a/infer").json() == {"traced": False}


def test_a_request_and_its_parts_are_one_trace(client: TestClient) -> None:
    kept = InMemorySpanExporter()
    with tracing(kept):
        client.post("/v2/models/a/infer", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        client.get("/health")
    spans = {s.name: s for s in kept.get_finished_spans()}
    assert sorted(spans) == ["POST /v2/models/{name}/infer", "commit", "model"]
    request = spans.pop("POST /v2/models/{name}/infer")
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v2/models/{name}/infer",
    }
    assert {s.parent.span_id for s in spans.values()} == {request.context.span_id}
    assert spans["commit"].end_time - spans["commit"].start_time == 5_000_000
    assert request.resource.attributes["service.name"] == "everloop"


ASKED = Request(
    "r1", NOW, "pay 4", version="3", messages=({"role": "user", "content": "pay 4"},),
    how=Decoding(max_tokens=9, seed=7, stop=("x",), response_format={"type": "json_object"}),
)  # fmt: skip
WRITTEN = Prediction(
    "p1", "r1", NOW, "3", "champion", "pay 4", '{"n": 4}', 0.9,
    GenerationDetail((), 12, 5, "stop", -0.1, -0.2, 250.0), None, "minilm", {}, "", 300.0,
)  # fmt: skip


def test_an_answer_that_was_written_has_the_names_of_gen_ai() -> None:
    name, told = span_of(ASKED, WRITTEN) or ("", {})
    assert name == "chat everloop-3"
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "everloop",
        "gen_ai.request.model": "everloop-3",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["x"],
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "p1",
        "gen_ai.response.model": "everloop-3",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
    }


def test_content_is_told_where_it_is_asked_for_and_redacted() -> None:
    _, told = span_of(ASKED, WRITTEN, lambda text: text.replace("4", "#")) or ("", {})
    asked, said = (json.loads(told[f"gen_ai.{side}.messages"]) for side in ("input", "output"))
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": "pay #"}]}]
    assert said[0]["parts"] == [{"type": "text", "content": '{"n": #}'}]
    assert said[0]["finish_reason"] == "stop"
    label = replace(WRITTEN, detail=ClassificationDetail(np.zeros(2, np.float16)))
    assert span_of(ASKED, label) is None


class Collector(BaseHTTPRequestHandler):
    """The least of an OTLP receiver: keeps what it is sent."""

    got: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        zipped = self.headers.get("content-encoding") == "gzip"
        self.got.append((self.path, gzip.decompress(body) if zipped else body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    Collector.got = []
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Collector.got
        server.shutdown()
        thread.join()


def test_spans_reach_a_real_collector(
    client: TestClient, collector: tuple[str, list[tuple[str, bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, got = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    with tracing():
        client.post("/v2/models/a/infer")
    [(path, body)] = got
    assert path == "/v1/traces"
    [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    spans = [s.name for scope in resource.scope_spans for s in scope.spans]
    assert sorted(spans) == ["POST /v2/models/{name}/infer", "commit", "model"]
    assert ("service.name", "shop") in {
        (a.key, a.value.string_value) for a in resource.resource.attributes
    }


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_only_the_standard_variables_decide(
    environment: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wanted() == on


def test_an_exporter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with (
        pytest.raises(EverloopError, match=r"expected: otlp \(over HTTP\), console or none"),
        tracing(),
    ):
        pass


def answer_traced(app: FastAPI, kept: InMemorySpanExporter) -> None:
    with tracing(kept), TestClient(app, base_url="http://localhost") as client:
        while client.get("/ready").status_code != 200:
            pass
        assert client.post("/v1/predict", json={"inputs": ["a", "b"]}).status_code == 200


def test_the_engine_tells_where_the_time_went(store: Store, service: Service, tmp_path: Path) -> None:
    kept = InMemorySpanExporter()
    with writing(store, tmp_path) as writer:
        engine = Engine(service, lambda: NOW, Metrics(), writer=writer)
        app = create_app(engine, store, lambda: NOW, Serving())
        answer_traced(app, kept)
    names = [s.name for s in kept.get_finished_spans()]
    assert {"queue", "model", "commit", "POST /v1/predict"} <= set(names)
