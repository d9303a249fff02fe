"""OpenTelemetry traces: on when the standard variables ask for them, nothing at all when they do not.

    pip install 'everloop[otel]'
    OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 everloop serve

A request is one span, a child of the caller's (W3C traceparent). The work of many requests is done in
one thread, so `here()` is taken in the request and given to `record`, which writes a span after the
fact: queue, model, commit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import EverloopError
from serving.keys import scope_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

WANTED = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
_tracer: Tracer | None = None


def wanted() -> bool:
    """Whether the environment asks for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return os.environ.get("OTEL_TRACES_EXPORTER") != "none" and any(os.environ.get(n) for n in WANTED)


@contextmanager
def tracing(exporter: SpanExporter | None = None) -> Iterator[None]:
    """Trace to `exporter`, or to the one of the environment; what is left is sent at the end.

    Raises EverloopError when the environment asks for one that is not there.
    """
    global _tracer
    if exporter is None and not wanted():
        yield
        return
    provider = _provider(exporter)
    _tracer = provider.get_tracer("everloop")
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


def here() -> Context | None:
    """The span under way, to hand to another thread; None when nothing is traced."""
    if _tracer is None:
        return None
    from opentelemetry.context import get_current

    return get_current()


def record(
    name: str,
    parent: Context | None,
    start: int,
    end: int,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """A span that is over, of `time.time_ns()` to `time.time_ns()`, inside the one of `here()`."""
    if _tracer is not None and parent is not None:
        _tracer.start_span(name, parent, start_time=start, attributes=attributes).end(end)


class Tracing:
    """A span around every request for a prediction or with feedback; probes are not worth one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _tracer is None or scope["type"] != "http" or scope_of(scope["path"]) in (None, "admin"):
            return await self._app(scope, receive, send)
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        theirs = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
        parent = TraceContextTextMapPropagator().extract(theirs)
        method = scope["method"]
        with _tracer.start_as_current_span(method, parent, SpanKind.SERVER) as request:
            scope.setdefault("state", {})["trace_id"] = f"{request.get_span_context().trace_id:032x}"

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _describe(request, scope, message["status"])
                await send(message)

            return await self._app(scope, receive, answer)


def _describe(request: Any, scope: Scope, status: int) -> None:
    """The names of OpenTelemetry's HTTP conventions."""
    from opentelemetry.trace import StatusCode

    request.set_attribute("http.request.method", scope["method"])
    request.set_attribute("http.response.status_code", status)
    if route := scope.get("route"):
        request.update_name(f"{scope['method']} {route.path}")
        request.set_attribute("http.route", route.path)
    if status >= 500:
        request.set_status(StatusCode.ERROR)


def _provider(exporter: SpanExporter | None) -> TracerProvider:
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = exporter or _exporter(os.environ.get("OTEL_TRACES_EXPORTER") or "otlp")
    except ImportError as fault:
        raise EverloopError(
            "traces need OpenTelemetry's exporter",
            got=f"no module {fault.name}",
            do="pip install 'everloop[otel]'",
        ) from None
    service = os.environ.get("OTEL_SERVICE_NAME", "everloop")
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp":
        raise EverloopError(
            "traces cannot be sent there",
            where="OTEL_TRACES_EXPORTER",
            got=ascii(name),
            expected="otlp (over HTTP), console or none",
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
