"""What cannot be answered, said in the shape of the protocol that was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Response

from core.errors import ContextError, EverloopError
from serving.messages import Fault
from serving.protocols import faults

MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    408: "REQUEST_TIMEOUT",
    413: "INVALID_PARAMETER_VALUE",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _own(fault: EverloopError, _: int) -> dict[str, Any]:
    where, got = faults.short(fault.where), faults.short(fault.got)
    told = Fault(error=fault.what, where=where, got=got, expected=fault.expected, do=fault.do)
    return told.model_dump()


def _mlflow(fault: EverloopError, status: int) -> dict[str, Any]:
    code = MLFLOW_CODES.get(status, "BAD_REQUEST")
    return {"error_code": code, "message": faults.sentence(fault)}


def _inference(fault: EverloopError, _: int) -> dict[str, Any]:
    return {"error": faults.sentence(fault)}


OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
OPENAI_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def _openai(fault: EverloopError, status: int) -> dict[str, Any]:
    kind = OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = "context_length_exceeded" if isinstance(fault, ContextError) else OPENAI_CODES.get(status)
    if "/" in fault.where:  # a place on this machine, and no field of the call
        fault = EverloopError(fault.what, got=fault.got, expected=fault.expected, do=fault.do)
    message = faults.hidden(faults.sentence(fault))
    param = faults.short(fault.where) or None
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class Shape:
    """How the calls of one protocol tell a fault."""

    paths: tuple[str, ...]  # that calls begin with
    mend: int  # status of a request that has to be mended
    body: Callable[[EverloopError, int], dict[str, Any]]


OWN = Shape((), 422, _own)
SHAPES = (
    Shape(("/invocations", "/ping", "/endpoints/", "/api/2.0/"), 400, _mlflow),
    Shape(("/v2",), 400, _inference),
    Shape(("/v1/chat/completions", "/v1/completions", "/v1/models"), 400, _openai),
)


def refusal(
    path: str, fault: EverloopError, status: int = 0, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a call of `path`. `status` where it is not that of the fault.

    >>> refusal("/v2/models/a/infer", faults.TooBigError("too big", got="9 MB")).body
    b'{"error":"too big; got 9 MB"}'
    """
    shape = next((s for s in SHAPES if path.startswith(s.paths)), OWN)
    status = status or faults.status(fault, shape.mend)
    body = orjson.dumps(shape.body(faults.for_caller(fault, status), status))
    return Response(body, status, {**faults.headers(fault), **(headers or {})}, "application/json")
