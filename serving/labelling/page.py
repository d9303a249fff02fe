"""The page's files, as they lie in static/. Nothing comes from anywhere else, and nothing else may.

They hold no data and no secret: what the page shows it asks of /v1/label, with a key if one is needed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi import Request as Call
from starlette.exceptions import HTTPException

from core.page import STYLE
from serving.keys import PAGE

STATIC = Path(__file__).with_name("static")
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
ONLY_OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": ONLY_OURS,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # asked again each time, answered 304 while it is the same
}


def pages() -> APIRouter:
    """The page and its files."""
    router = APIRouter(include_in_schema=False)

    @router.get(PAGE)
    async def page(call: Call) -> Response:
        return _answer(call, "label.html")

    @router.get(PAGE + "/{name}")
    async def file(call: Call, name: str) -> Response:
        if name not in files():
            raise HTTPException(404, "no such page")
        return _answer(call, name)

    return router


@cache
def files() -> dict[str, bytes]:
    """Every file by its name, read once. The style is the reports' own, and what is new here."""
    found = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in KINDS}
    return found | {"label.css": STYLE.read_bytes() + found["label.css"]}


def _answer(call: Call, name: str) -> Response:
    content = files()[name]
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = HEADERS | {"etag": tag}
    if call.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=KINDS[Path(name).suffix])
