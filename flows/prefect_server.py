"""The Prefect server that flows are run against: is it there, and what its refusals mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from httpx import Timeout
from packaging.version import InvalidVersion
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from core.away import AGAIN, LOOK_SECONDS, refused, shown, why, words
from core.errors import EverloopError

CONNECT_SECONDS = 2  # Prefect's client tries to connect four times, whatever it is told
OWN = ("Failed to reach API", "Found incompatible versions", "Timed out while attempting to connect")


class PrefectAwayError(EverloopError):
    """Prefect's server does not do its part."""


def look() -> None:
    """Raises EverloopError, within seconds, when no Prefect server answers at PREFECT_API_URL."""
    if PREFECT_API_URL.value() is None:  # Prefect starts one of its own
        return
    settings = {"timeout": Timeout(LOOK_SECONDS, connect=CONNECT_SECONDS)}
    with (
        refusals(),
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True, httpx_settings=settings) as client,
    ):
        fault = client.api_healthcheck()
        if fault:
            raise fault
        client.raise_for_api_version_mismatch()


@contextmanager
def refusals() -> Iterator[None]:
    """What Prefect's client raises when its server is away, in words."""
    try:
        yield
    except EverloopError:
        raise
    except Exception as fault:
        if _is_prefects(fault):
            raise _refusal(fault) from fault
        raise


def _is_prefects(fault: Exception) -> bool:
    """From its client, and not from the work of a flow."""
    module = type(fault).__module__.partition(".")[0]
    told = isinstance(fault, RuntimeError) and any(sign in str(fault) for sign in OWN)
    theirs = isinstance(fault, PrefectHTTPStatusError | InvalidVersion)
    return told or theirs or module == "httpx"


def _refusal(fault: Exception) -> PrefectAwayError:
    where, cause = (
        shown(str(PREFECT_API_URL.value() or "a server of its own")),
        fault.__cause__ or fault,
    )
    answer = getattr(cause, "response", None)
    if answer is not None:
        return _answered(where, answer.status_code, words(answer.text))
    if isinstance(cause, json.JSONDecodeError | InvalidVersion | TypeError):
        return _answered(where, 200, "and no version of Prefect")
    if OWN[1] in str(fault):
        do = "install the server's version of Prefect here, or ours there"
        return PrefectAwayError(
            "Prefect's server is of another version", where=where, got=str(fault), do=do
        )
    return PrefectAwayError(
        "Prefect's server cannot be reached",
        where=where,
        got=why(fault),
        expected=f"an answer within {LOOK_SECONDS} s",
        do=f"start it, set PREFECT_API_URL right, or unset it to need none, {AGAIN}",
    )


def _answered(where: str, status: int, said: str) -> PrefectAwayError:
    login = "set PREFECT_API_AUTH_STRING=USER:PASSWORD; for Prefect Cloud: PREFECT_API_KEY"
    if told := refused("Prefect's server", where, status, said, login):
        return PrefectAwayError(**told)
    return PrefectAwayError(
        "this is not a Prefect server",
        where=where,
        got=f"{status} {said}".strip(),
        expected="Prefect's API",
        do="set PREFECT_API_URL right: it ends in /api; unset it to need no server",
    )
