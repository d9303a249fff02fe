"""Who may call the labelling page's part of the server, and under which name.

A page of another site must not read texts or give labels in the name of whoever has it open:

- its requests say where they come from (`Origin`, `Sec-Fetch-Site`): what is not our page is refused;
- its forms cannot send JSON, and its scripts only with a leave that this server never gives;
- a site whose name is pointed at this machine (DNS rebinding) is its own origin, but its name is none
  of this machine: without keys only `localhost` and addresses are answered.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request as Call

from core.errors import AccessError, DataError
from serving.service import not_storable

LONGEST = 64  # characters of a name
OURS = {"same-origin", "none"}  # values of Sec-Fetch-Site: this page, or nobody's (a person, a program)


def check_page(call: Call) -> None:
    """Raises AccessError for a call that a page of another site made."""
    host, origin = call.headers.get("host", ""), call.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise _foreign(f"Origin: {origin}", host)
    site = call.headers.get("sec-fetch-site", "none")
    if site not in OURS:
        raise _foreign(f"Sec-Fetch-Site: {site}", host)
    if key_of(call) or is_local(host):
        return
    raise AccessError(
        "without API keys labels are taken at localhost or an address only",
        where="header host",
        got=ascii(host),
        expected="http://localhost:PORT/label or http://ADDRESS:PORT/label",
        do="everloop keys add NAME --scope label, and any name will do",
    )


def annotator_of(call: Call, given: str) -> str:
    """The key's name where there are keys, else the one that is given. Raises DataError for none."""
    if key := key_of(call):
        return key
    name = " ".join(given.split())
    if name and len(name) <= LONGEST and name.isprintable() and not not_storable(name):
        return name
    raise DataError(
        "nobody can be found under this name" if name else "who labels?",
        where="annotator",
        got=ascii(given),
        expected=f"a name of 1 to {LONGEST} characters that can be printed",
        do="add annotator=NAME",
    )


def key_of(call: Call) -> str:
    return str(call.scope.get("state", {}).get("key", ""))


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
