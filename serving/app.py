"""The HTTP server: every protocol on one engine. An answer that was given was stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import FastAPI, Response
from fastapi import Request as Call
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from core.errors import EverloopError
from core.store import Store
from serving.engine import Engine
from serving.labelling import api
from serving.labelling.annotation_queue import AnnotationQueue, Labelling
from serving.labelling.page import pages
from serving.messages import Fault
from serving.operations import operate
from serving.page import page
from serving.protocols import inference, mlflow, openai, own
from serving.protocols.engine_client import EngineClient, json
from serving.refusals import refusal
from serving.settings import Serving

Clock = Callable[[], datetime]


def create_app(
    engine: Engine,
    store: Store,
    clock: Clock,
    settings: Serving,
    labelling: Labelling = Labelling(),  # noqa: B008  # it is frozen
) -> FastAPI:
    """The server around an engine. `clock` gives the time (UTC) at which a request came."""
    app = FastAPI(
        title="Everloop",
        description="A text classifier that is kept fresh.",
        docs_url=None,
        redoc_url=None,
    )
    client, queue = (
        EngineClient(engine, clock, settings),
        AnnotationQueue(store, labelling, engine.champion, engine.storable),
    )
    protocols = {
        "own": lambda: own.routes(client, store, queue.unknown),
        "mlflow": lambda: mlflow.routes(client),
        "inference": lambda: inference.routes(client),
        "openai": lambda: openai.routes(client, store.task),
    }
    for name in store.task.protocols:
        app.include_router(protocols[name]())
    app.include_router(api.routes(queue, clock))
    app.include_router(pages())
    app.openapi = partial(_document, app)  # type: ignore[method-assign]  # FastAPI's own way to extend it

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))

    @app.exception_handler(EverloopError)
    async def ours(call: Call, fault: EverloopError) -> Response:
        return refusal(call.scope["path"], fault)

    @app.exception_handler(HTTPException)
    async def http(call: Call, fault: HTTPException) -> Response:
        body = Fault(error=str(fault.detail), where=f"{call.method} {call.url.path}")
        return json(body.model_dump(), fault.status_code, fault.headers)

    operate(app, engine, store, clock, settings)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the models of the bodies that the routes read themselves."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        bodies: list[type[BaseModel]] = [
            *own.BODIES,
            *mlflow.BODIES,
            *inference.BODIES,
            *openai.BODIES,
            *api.BODIES,
        ]
        _, models = models_json_schema(
            [(model, "validation") for model in bodies], ref_template="#/components/schemas/{model}"
        )
        found["components"]["schemas"] |= models["$defs"]
        app.openapi_schema = found
    return app.openapi_schema
