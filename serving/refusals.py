"""What the server refuses before a protocol sees it, said in the shape of that protocol."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.responses import JSONResponse

from core.errors import EverloopError, LateError
from serving.messages import Fault
from serving.protocols.faults import for_caller, sentence
from serving.protocols.faults import status as status_of

MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    400: "BAD_REQUEST",
    408: "REQUEST_TIMEOUT",
    413: "INVALID_PARAMETER_VALUE",
    415: "BAD_REQUEST",
    503: "TEMPORARILY_UNAVAILABLE",
}


MLFLOW = ("/invocations", "/ping", "/endpoints/", "/api/2.0/")


def refusal(
    path: str, status: int, fault: EverloopError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer to a call of `path` that is refused.

    >>> refusal("/v2/models/a/infer", 413, EverloopError("too big", got="9 MB")).body
    b'{"error":"too big; got 9 MB"}'
    """
    fault = for_caller(fault, status)
    if path.startswith("/v2"):
        return JSONResponse({"error": sentence(fault)}, status, headers)
    if path.startswith(MLFLOW):
        code = MLFLOW_CODES.get(status, "INTERNAL_ERROR")
        return JSONResponse({"error_code": code, "message": sentence(fault)}, status, headers)
    parts = {name: getattr(fault, name) for name in ("where", "got", "expected", "do")}
    return JSONResponse(Fault(error=fault.what, **parts).model_dump(), status, headers)


def unread(path: str, fault: EverloopError) -> JSONResponse:
    """The answer to a call whose body could not be read."""
    if isinstance(fault, LateError):
        return refusal(path, 408, fault, {"connection": "close"})
    mend = 400 if path.startswith(("/v2", *MLFLOW)) else 422
    return refusal(path, status_of(fault, mend), fault)
