"""The tracking server, or tracking database, that MLflow speaks to: opening it, and its refusals.

MLflow itself would wait: 400 s for a server that is not there, 100 s for a database. So a server is
looked at before the first call, and while a call takes long.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from core.away import AGAIN, LOOK_SECONDS, refused, shown, while_there, why, words
from core.errors import StoreError
from core.files import whole_file

T = TypeVar("T")
SERVERS = ("http://", "https://")
DATABASES = ("postgresql", "mysql", "mssql")
SQLITE = "sqlite:///"
# what MLflow says, or its database: what went wrong -> what to do. URL stands for the address
KNOWN = (
    (
        r"must be in the 'active' state|is already deleted|experiment .*deleted",
        "a tracking experiment is deleted",
        "MLFLOW_TRACKING_URI=URL mlflow experiments restore --experiment-id ID",
    ),
    (
        r"[Oo]ut-of-date database schema",
        "the tracking database is not of this MLflow's version",
        "copy the database away, then: mlflow db upgrade URL",
    ),
    (
        r"Can't locate revision",
        "the tracking database was written by a newer MLflow",
        "use that version of MLflow here (pip install -U mlflow), or the copy made before the upgrade",
    ),
    (
        r"database is locked",
        "another program holds the tracking database",
        f"end it, or wait for it, {AGAIN}",
    ),
    (
        r"malformed|not a database",
        "the tracking database is damaged",
        "put a copy of it back; what can be saved of this one: sqlite3 FILE .recover",
    ),
    (
        r"disk is full|No space left",
        "the tracking database's disk is full",
        f"make room on it, {AGAIN}",
    ),
    (
        r"readonly database|unable to open database",
        "the tracking database cannot be written",
        f"give yourself the right to write it and its folder, {AGAIN}",
    ),
)


def quiet_mlflow() -> Any:
    """MLflow, imported late, without telemetry, progress bars and chatter."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # it logs the errors that it raises
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")  # would copy the caller's uv.lock
    # of an answer 5xx: three tries in about 8 s; a server that restarts is back by then
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints on import
        import mlflow
        import mlflow.artifacts
        import mlflow.pyfunc
    return mlflow


def connect(url: str) -> Any:
    """A client of the tracking server or database at `url`. Raises StoreError when it is away."""
    try:
        if url.startswith(SQLITE):
            _make_database(Path(url.removeprefix(SQLITE)))
        look(url)
        client = quiet_mlflow().MlflowClient(tracking_uri=url, registry_uri=url)
    except StoreError:
        raise
    except Exception as fault:  # MLflow lets the database driver's own errors through here
        raise refusal(url, fault) from fault
    return Patient(client, url) if url.startswith(SERVERS) else client


class Patient:
    """MLflow's client of a server, whose calls may take long while the server answers at all."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url

    def __getattr__(self, name: str) -> Any:
        return waiting(self._url, getattr(self._client, name))


def waiting(url: str, ask: Callable[..., T]) -> Callable[..., T]:
    """The same call, given up when it talks to a server that is no longer there."""
    if not url.startswith(SERVERS):
        return ask
    return lambda *args, **named: while_there(partial(ask, *args, **named), partial(look, url))


def look(url: str) -> None:
    """Raises StoreError, within seconds, when nobody answers here as a tracking server does."""
    if url.startswith(SERVERS):
        _look_at_server(url)
    elif url.startswith(DATABASES):
        from core.database import check_there

        check_there(url, "the tracking database", "MLFLOW_TRACKING_URI")


def _look_at_server(url: str) -> None:
    quiet_mlflow()
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(
            get_default_host_creds(url),
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=LOOK_SECONDS,
            raise_on_status=False,
        )
    except Exception as fault:
        raise _unreachable(url, fault) from fault
    _check(url, answer)


def _unreachable(url: str, fault: Exception) -> StoreError:
    got, do = why(fault), "start it, or set MLFLOW_TRACKING_URI right"
    if "certificate" in got:
        do = "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate that signed its own"
    return StoreError(
        "the tracking server cannot be reached",
        where=shown(url),
        got=got,
        expected=f"MLflow's answer within {LOOK_SECONDS} s",
        do=f"{do}, {AGAIN}",
    )


def _check(url: str, answer: Any) -> None:
    """Raises StoreError when an answer is not one of a tracking server that takes us."""
    status, said, where = answer.status_code, _message(answer.text), shown(url)
    login = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if told := refused("the tracking server", where, status, said, login):
        raise StoreError(**told)
    if status != 429 and (status != 200 or not _lists_experiments(answer.text)):
        raise StoreError(
            "this is not a tracking server",
            where=where,
            got=f"{status} {said}".strip(),
            expected="an MLflow server",
            do="set MLFLOW_TRACKING_URI right; the workspace's own database serves without it",
        )


def _message(body: str) -> str:
    return words(str((_json(body) or {}).get("message") or body))


def _lists_experiments(body: str) -> bool:
    read = _json(body)
    return read is not None and set(read) <= {"experiments", "next_page_token"}


def _json(body: str) -> dict[str, Any] | None:
    try:
        read = json.loads(body)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def refusal(url: str, fault: Exception, experiment: str = "ID") -> StoreError:
    """What MLflow refused, in words, and what to do about it."""
    try:
        look(url)
    except StoreError as away:  # says more than the client that got no answer
        return away
    said = str(fault)
    got = words(said.strip().partition("\n")[0], 200) or type(fault).__name__
    where = shown(url)
    for sign, what, do in KNOWN:
        if re.search(sign, said):
            do = do.replace("ID", experiment).replace("URL", where)
            return StoreError(what, where=where, got=got, do=do)
    return StoreError(
        "the tracking database did not do its part",
        where=where,
        got=got,
        do="look whether it can be reached, is locked, or needs: mlflow db upgrade URL",
    )


def _make_database(path: Path) -> None:
    """A new tracking database, whole or not at all: MLflow makes its tables in a hundred committed
    steps, and cannot open what a kill between two of them leaves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.made")
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        for left in (made, path.with_name(f".{path.name}.half")):  # the second by an earlier version
            shutil.rmtree(left, ignore_errors=True)
        made.mkdir()
        url = f"{SQLITE}{made / 'made.db'}"
        quiet_mlflow().MlflowClient(tracking_uri=url, registry_uri=url)
        with whole_file(path) as whole:
            shutil.copyfile(made / "made.db", whole)  # a copy: MLflow keeps the file it made open
        shutil.rmtree(made)
