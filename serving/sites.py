"""No page of another site may use this server in the name of whoever has the page open.

One rule for every call that a key could be asked for (`keys.scope_of`), whatever its protocol:

- a browser says where a call comes from (`Origin`, `Sec-Fetch-Site`): only our own pages are answered.
  Programs, proxies and curl say neither;
- a site whose name is pointed at this machine (DNS rebinding) counts as our own page for the browser,
  but it has to send its name as `Host`. Without keys only `localhost` and addresses are answered.
  With keys any name will do: another site has no key.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import AccessError
from serving.keys import scope_of
from serving.refusals import refusal

OURS = {"same-origin", "none"}  # values of Sec-Fetch-Site: our page, or nobody's (a person, a program)
ASKED = {b"host", b"origin", b"sec-fetch-site"}


class CrossSiteGuard:
    """Refuses what another site's page asks; behind `Guard`, which says whose key it was."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope_of(scope["path"]) is not None:
            try:
                check(scope)
            except AccessError as fault:
                return await refusal(scope["path"], fault)(scope, receive, send)
        return await self._app(scope, receive, send)


def check(scope: Scope) -> None:
    """Raises AccessError for a call that a page of another site made."""
    said = {name: value.decode("latin-1") for name, value in scope["headers"] if name in ASKED}
    host, origin = said.get(b"host", ""), said.get(b"origin")
    if origin is not None and _place(origin) != host.lower():
        raise _foreign(f"Origin: {origin}", host)
    if said.get(b"sec-fetch-site", "none") not in OURS:
        raise _foreign(f"Sec-Fetch-Site: {said[b'sec-fetch-site']}", host)
    if is_local(host) or scope.get("state", {}).get("key") or (not host and origin is None):
        return  # a browser always names a host
    raise AccessError(
        "without API keys only calls to localhost or to an address are answered",
        where="header host",
        got=ascii(host),
        expected="http://localhost:PORT or http://ADDRESS:PORT",
        do="everloop keys add NAME --scope SCOPE, and any name will do",
    )


def _place(origin: str) -> str | None:
    """Host and port of an origin; None for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


@lru_cache(1024)
def is_local(host: str) -> bool:
    """Whether nobody else can give this name to this machine.

    >>> [is_local(h) for h in ("localhost:8000", "127.0.0.1", "[::1]:8000", "10.0.0.7:80", "evil.test")]
    [True, True, True, True, False]
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def _foreign(got: str, host: str) -> AccessError:
    return AccessError(
        "a page of another site may not call this",
        got=ascii(got),
        expected=f"a call of the page at {ascii(host)[1:-1]}/label, or of a program",
        do="open /label of this server",
    )
