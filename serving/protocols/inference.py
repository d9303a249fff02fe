"""The Open Inference Protocol v2 over HTTP, with binary tensors, for tritonclient and KServe clients.

    curl -s localhost:8000/v2/models/everloop/infer -d '{"inputs":
        [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["my card?"]}]}'
    {"model_name": "everloop", "model_version": "3", "outputs": [{"name": "label", ...}, ...]}

There is one model, `everloop`. Its versions are those that serve now: the champion and, in a rollout,
the candidate. Faults are {"error": "..."}.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import orjson
from fastapi import APIRouter, Response
from fastapi import Request as Call
from pydantic import TypeAdapter

from core.errors import DataError
from core.records.answers import Prediction
from serving.messages.inference import (
    MODEL,
    OUTPUTS,
    InferAnswer,
    InferFault,
    InferRequest,
    LiveNow,
    ModelMetadata,
    Parameters,
    ReadyNow,
    ServerMetadata,
    Wanted,
)
from serving.messages.own import told
from serving.protocols import tensors
from serving.protocols.engine_client import (
    AROUND,
    WAIT,
    Direct,
    EngineClient,
    described,
    json,
    parameter,
    reference,
)
from serving.protocols.faults import NotFoundError
from serving.reading import JSON, SMALL, aside, media_type, read

BODIES = (InferRequest,)
INFER = TypeAdapter(InferRequest)
OCTETS = "application/octet-stream"
LONGEST_WAIT = 10**12  # microseconds; who asks for more means no limit
LENGTH = "Inference-Header-Content-Length"
NOBODY = Parameters()
EVERYTHING = [Wanted(name=name) for name in OUTPUTS]


def routes(client: EngineClient) -> APIRouter:
    router = APIRouter(route_class=Direct, tags=["Open Inference Protocol v2"])
    server = ServerMetadata(version=version("everloop")).model_dump()

    @router.post("/v2/models/{model}/versions/{version}/infer", **_INFER_VERSION)
    @router.post("/v2/models/{model}/infer", **_INFER)
    async def infer(call: Call) -> Response:
        """Classify texts, in JSON or as binary tensors. A version that is named answers, or none."""
        _check_model(call)
        pinned = call.path_params.get("version")
        if pinned is not None:
            await _versions(client, call)
        asked, texts = await _read(call, client.most)
        who = asked.parameters or NOBODY
        requests = client.requests(texts, who.user, who.segments, pinned or "")
        found = await client.answers(requests, call, min(who.timeout, LONGEST_WAIT) / 1000 or None)
        if pinned is not None:
            _check_answered(found, pinned)
        return _response(asked, found)

    @router.get("/v2/models/{model}", **_METADATA)
    @router.get("/v2/models/{model}/versions/{version}", **_METADATA_VERSION)
    async def metadata(call: Call) -> Response:
        """What the model takes and gives, and which versions serve."""
        return json(ModelMetadata(versions=await _versions(client, call)).model_dump())

    @router.get("/v2/models/{model}/ready", **_READY)
    @router.get("/v2/models/{model}/versions/{version}/ready", **_READY_VERSION)
    async def model_ready(call: Call) -> Response:
        """200 when the model, or this version of it, answers."""
        await _versions(client, call)
        return json(ReadyNow().model_dump())

    @router.get("/v2/health/live", **described(LiveNow, {}))
    async def live(_: Call) -> Response:
        """The process answers; says nothing of the model."""
        return json({"live": True})

    @router.get("/v2/health/ready", **described(ReadyNow, {503: InferFault}))
    async def ready(_: Call) -> Response:
        """200 when the model answers."""
        await client.serving()
        return json(ReadyNow().model_dump())

    @router.get("/v2", **described(ServerMetadata, {}))
    async def server_metadata(_: Call) -> Response:
        """The server and its version."""
        return json(server)

    return router


def _check_model(call: Call) -> None:
    name = call.path_params["model"]
    if name != MODEL:
        raise NotFoundError("no such model", where="the URL", got=ascii(name), expected=MODEL)


async def _versions(client: EngineClient, call: Call) -> list[str]:
    """The versions that serve now, the one of the URL among them. Raises NotFoundError if it is not."""
    _check_model(call)
    traffic, _ = await client.serving()
    serving = [s.version for s in (traffic.champion, traffic.candidate) if s]
    asked = call.path_params.get("version")
    if asked is None or asked in serving:
        return serving
    expected = " or ".join(serving)
    raise NotFoundError(
        "this version does not serve now", where="the URL", got=ascii(asked), expected=expected
    )


def _check_answered(found: Sequence[Prediction], asked: str) -> None:
    """Who names a version gets its answer or none."""
    others = {p.model_version for p in found} - {asked}
    if others:
        raise NotFoundError(
            "this version stopped serving a moment ago",
            where="the URL",
            got=f"version {asked}",
            expected=others.pop(),
        )


async def _read(call: Call, most: int) -> tuple[InferRequest, list[str]]:
    """The request and its texts. The type is not asked for: the protocol's own examples name none."""
    media_type(call)
    head, raw = tensors.split(await call.body(), call.headers.get(LENGTH))
    asked = await read(INFER, head, most)
    if len(raw) <= SMALL:
        return asked, _texts(asked, raw, most)
    return asked, await aside(_texts, asked, raw, most)


def _texts(asked: InferRequest, raw: bytes, most: int) -> list[str]:
    given = asked.inputs[0]
    size = given.parameters.binary_data_size if given.parameters else None
    if (given.data is None) == (size is None) or len(raw) != (size or 0):
        raise DataError(
            "the input has no data, or not one data",
            where="inputs[0]",
            got=f"binary_data_size {size}, {len(raw)} bytes after the JSON",
            expected="data, or binary_data_size and so many bytes after the JSON",
        )
    if given.data is None:
        texts = tensors.decode(raw, "inputs[0]", most)
    else:
        texts = [t for item in given.data for t in ([item] if isinstance(item, str) else item)]
    if given.shape not in ([len(texts)], [len(texts), 1]):
        n = len(texts)
        expected = f"[{n}] or [{n}, 1]: there are so many texts"
        raise DataError("wrong shape", where="inputs[0].shape", got=str(given.shape), expected=expected)
    return texts


def _response(asked: InferRequest, found: Sequence[Prediction]) -> Response:
    binary = asked.parameters is not None and asked.parameters.binary_data_output
    outputs, tail = [], []
    for wanted in EVERYTHING if asked.outputs is None else asked.outputs:
        kind, values = OUTPUTS[wanted.name], [told(p, wanted.name) for p in found]
        output: dict[str, Any] = {"name": wanted.name, "datatype": kind, "shape": asked.inputs[0].shape}
        own = wanted.parameters.binary_data if wanted.parameters else None
        if binary if own is None else own:
            tail.append(tensors.encode(values) if kind == "BYTES" else tensors.floats(values))
            output["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    head = orjson.dumps(_head(asked, found) | {"outputs": outputs})
    if not tail:
        return Response(head, media_type=JSON)
    return Response(b"".join((head, *tail)), 200, {LENGTH: str(len(head))}, OCTETS)


def _head(asked: InferRequest, found: Sequence[Prediction]) -> dict[str, Any]:
    head = {"model_name": MODEL}
    versions = {p.model_version for p in found}
    if len(versions) == 1:
        head["model_version"] = versions.pop()
    if asked.id is not None:
        head["id"] = asked.id
    return head


_MODEL = parameter("path", "model", {"type": "string"}, MODEL)
_VERSION = parameter("path", "version", {"type": "string"}, "3")
_JSON_BYTES = parameter("header", LENGTH, {"type": "integer", "minimum": 0}, 97)
_ASKS = {JSON: reference(InferRequest), OCTETS: {"type": "string", "format": "binary"}}
_REFUSED = dict.fromkeys((*AROUND, 400, 404, 415, 503, 504), InferFault)
_INFER = described(InferAnswer, _REFUSED, _ASKS, [_MODEL, _JSON_BYTES, WAIT])
_INFER_VERSION = described(InferAnswer, _REFUSED, _ASKS, [_MODEL, _VERSION, _JSON_BYTES, WAIT])
_GONE = {404: InferFault, 503: InferFault}
_METADATA = described(ModelMetadata, _GONE, None, [_MODEL])
_METADATA_VERSION = described(ModelMetadata, _GONE, None, [_MODEL, _VERSION])
_READY = described(ReadyNow, _GONE, None, [_MODEL])
_READY_VERSION = described(ReadyNow, _GONE, None, [_MODEL, _VERSION])
