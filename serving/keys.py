"""Who may ask: `Authorization: Bearer TOKEN`, checked before anything of a request is read.

No key was ever made: everybody may ask, and the server is bound to loopback (`check_exposure`).
Once there is a key every call needs one, and revoking the last key opens nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Call

from core.errors import AccessError, StoreError
from core.store.keys import ApiKey, Scope, token_hash
from serving.refusals import refusal
from serving.settings import POLL_SECONDS

# what needs no key; and what needs which. Anything not named here needs `admin`.
OPEN = {"/health", "/ping", "/ready", "/version", "/docs", "/redoc", "/openapi.json"}
OPEN |= {"/v2/health/live", "/v2/health/ready"}
OPEN |= {"/v1/webhooks/mlflow"}  # signed, in a way of its own
SCOPES: dict[str, Scope] = {
    "/v1/predict": "predict",
    "/v1/feedback": "feedback",
    "/invocations": "predict",
    "/v2": "predict",
    "/v1/chat/completions": "predict",
    "/v1/completions": "predict",
    "/v1/models": "predict",
    "/metrics": "admin",
}
PAGE = "/label"  # the labelling page and its files hold no data; what it asks for is behind LABEL
LABEL = "/v1/label/"
PREDICT = ("/v1/models/", "/v2/models/", "/endpoints/", "/api/2.0/endpoints/")
logger = logging.getLogger(__name__)


def scope_of(path: str) -> Scope | None:
    """What a key must be allowed for a call of `path`; None when no key is needed.

    >>> scope_of("/ready"), scope_of("/v2/models/everloop/infer"), scope_of("/anything")
    (None, 'predict', 'admin')
    """
    if path in SCOPES:
        return SCOPES[path]
    if path in OPEN or path == PAGE or path.startswith(f"{PAGE}/"):
        return None
    if path.startswith(LABEL):
        return "label"
    return "predict" if path.startswith(PREDICT) else "admin"


class Keyring:
    """The keys as the store last gave them. A store that is down changes nothing."""

    def __init__(self, read: Callable[[], Sequence[ApiKey]]) -> None:
        self._read = read
        self._by_hash: dict[str, ApiKey] = {}
        self.needed = False  # a key was made once; never goes back
        self.refresh()

    def refresh(self) -> None:
        try:
            keys = self._read()
        except StoreError as fault:
            logger.warning("the keys cannot be read, those known stay: %s", fault.what)
            return
        self.needed = self.needed or bool(keys)
        self._by_hash = {k.hash: k for k in keys if k.revoked is None}

    def holder(self, token: str) -> ApiKey | None:
        return self._by_hash.get(token_hash(token))

    async def watch(self) -> None:
        """Read the keys again and again, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await run_in_threadpool(self.refresh)


class Guard:
    """Lets through who has the right key; the key's name is then in the call's state."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app, self._keyring = app, keyring

    async def __call__(self, call: Call, receive: Receive, send: Send) -> None:
        needed = scope_of(call["path"]) if call["type"] == "http" and self._keyring.needed else None
        if needed is None:
            return await self._app(call, receive, send)
        key = self._keyring.holder(_token(call))
        if key is None:
            fault = AccessError(
                "this call needs an API key",
                expected="Authorization: Bearer TOKEN, of a key that is not revoked",
                do=f"everloop keys add NAME --scope {needed}",
            )
            answer = refusal(call["path"], fault, 401, {"www-authenticate": 'Bearer realm="everloop"'})
            return await answer(call, receive, send)
        call.setdefault("state", {})["key"] = key.name
        if needed not in key.scopes:
            fault = AccessError(
                "this API key may not do this",
                got=f"key {key.name}, which may {', '.join(key.scopes)}",
                expected=f"a key that may {needed}",
                do=f"everloop keys add NAME --scope {needed}",
            )
            why = f'Bearer realm="everloop", error="insufficient_scope", scope="{needed}"'
            answer = refusal(call["path"], fault, 403, {"www-authenticate": why})
            return await answer(call, receive, send)
        return await self._app(call, receive, send)


def _token(call: Call) -> str:
    """What stands behind Bearer, "" when nothing does."""
    for name, value in call["headers"]:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if kind.lower() == "bearer" else ""
    return ""


def check_exposure(host: str, keys: Sequence[ApiKey]) -> None:
    """Raises AccessError when a server without keys would listen to other machines."""
    if ip_address(host.partition("%")[0]).is_loopback or any(k.revoked is None for k in keys):
        return
    raise AccessError(
        "a server open to other machines needs an API key",
        where=host,
        got="no key" if not keys else "only revoked keys",
        expected="a key for each of those who may ask, or an address of loopback",
        do="everloop keys add NAME --scope predict --scope feedback",
    )
