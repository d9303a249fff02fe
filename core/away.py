"""A service at an address: why it does not answer, in a few words; and asking it while it is there.

The clients of MLflow, S3 and Prefect try again for minutes before they say that nobody answers. They
must: a large model takes as long as it takes. So whoever waits for one looks now and then whether the
service still answers at all, and stops waiting when it does not.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Waiting
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")
LOOK_SECONDS = 4  # in which a service answers a look
GONE_SECONDS = 8.0  # without an answer to any look: it is away
EVERY_SECONDS = 1.0
AGAIN = "then run this again; nothing was lost"


def while_there(ask: Callable[[], T], look: Callable[[], None]) -> T:
    """What `ask` returns, however long it takes, as long as the service answers.

    `look` raises when it does not. Once every look of GONE_SECONDS raised, the last one's error is
    raised here, and what was asked is left to itself: its client may go on trying in the background.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as fault:
            answer.set_exception(fault)

    threading.Thread(target=run, name="asks a service", daemon=True).start()
    answered = time.monotonic()
    while True:
        try:
            return answer.result(EVERY_SECONDS)
        except Waiting:
            if answer.done():  # the service's own time-out
                return answer.result()
        try:
            look()
            answered = time.monotonic()
        except Exception:  # whatever a look meets: the answer may still come
            if not answer.done() and time.monotonic() - answered > GONE_SECONDS:
                raise


def why(fault: BaseException) -> str:
    """The innermost reason of a client's error, in one line.

    >>> import urllib.request
    >>> try:
    ...     urllib.request.urlopen("http://127.0.0.1:9")
    ... except OSError as fault:
    ...     why(fault)
    'Connection refused'
    """
    chain = list(_inside(fault))
    for inner in reversed(chain):
        if isinstance(inner, ssl.SSLError):
            return _tls(inner)
        if isinstance(inner, TimeoutError) or "Timeout" in type(inner).__name__:
            return "no answer in time"
        if isinstance(inner, socket.gaierror):
            return "no machine has that name"
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
    said = next((str(f) for f in reversed(chain) if str(f).strip()), type(fault).__name__)
    return words(said)


def _inside(fault: BaseException) -> Iterator[BaseException]:
    """An error and those that it was made from."""
    seen: set[int] = set()
    while id(fault) not in seen:
        seen.add(id(fault))
        yield fault
        causes = (
            fault.__cause__,
            None if fault.__suppress_context__ else fault.__context__,
            getattr(fault, "reason", None),
            *getattr(fault, "args", ()),
        )
        fault = next((c for c in causes if isinstance(c, BaseException)), fault)


def _tls(fault: ssl.SSLError) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {fault.verify_message}"
    if fault.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE"):
        return "it does not speak TLS: http:// instead of https://?"
    return f"TLS: {fault.reason or fault}"


def words(body: str, most: int = 120) -> str:
    """The text of an answer, which may be a web page, in one short line.

    >>> words("<html><title>502</title><h1>Bad  Gateway</h1></html>")
    '502 Bad Gateway'
    """
    shown = re.sub(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>", " ", body[:20_000])
    line = " ".join(shown.split())
    return line if len(line) <= most else f"{line[:most]}…"


def refused(service: str, where: str, status: int, said: str, login: str) -> dict[str, str] | None:
    """The words of the error for a server that answered and does not serve us; None where it may."""
    told = {"where": where, "got": f"{status} {said}".strip()}
    if status in (401, 403, 407):
        return {"what": f"{service} does not let us in", **told, "do": login}
    if status >= 500:
        return {"what": f"{service} is out of order", **told, "do": f"see its log, {AGAIN}"}
    return None


def shown(url: str) -> str:
    """An address without the password in it.

    >>> shown("https://ana:secret@mlflow.example/x"), shown("sqlite:////w/.everloop/mlflow.db")
    ('https://ana:***@mlflow.example/x', 'sqlite:////w/.everloop/mlflow.db')
    """
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))
