"""A service that is away, or lets nobody in: one error that says what to do, within seconds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from core import away
from core.away import while_there
from core.errors import EverloopError, ModelError, StoreError
from core.registry import Registry
from core.store import Store
from core.tracking import quiet_mlflow
from core.workspace import Workspace
from tests.away import NO_SUCH_NAME, REFUSED, answering, black_hole, going_away

SECONDS = 15  # asked of every one of these


@pytest.fixture
def seconds() -> Iterator[None]:
    quiet_mlflow()  # what an import takes on a busy machine is not meant
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SECONDS


def page(status: int, title: str) -> Any:
    return answering(status, f"<html><h1>{title}</h1></html>")


AWAY = {
    "refused": (nullcontext(REFUSED), "cannot be reached", "Connection refused", "start it, or set"),
    "black hole": (black_hole(), "cannot be reached", "no answer in time", "start it, or set"),
    "no name": (nullcontext(NO_SUCH_NAME), "cannot be reached", "no machine has that name", "start it"),
    "401": (
        page(401, "log in"),
        "does not let us in",
        "401 log in",
        "_USERNAME and MLFLOW_TRACKING_PASS",
    ),
    "403": (
        answering(
            403, '{"error_code": "PERMISSION_DENIED", "message": "no right"}', "application/json"
        ),
        "does not let us in",
        "403 no right",
        "or MLFLOW_TRACKING_TOKEN",
    ),
    "500": (page(500, "oops"), "is out of order", "500 oops", "see its log"),
    "502": (page(502, "Bad Gateway"), "is out of order", "502 Bad Gateway", "see its log"),
    "another service": (
        page(200, "hello"),
        "this is not a tracking server",
        "200 hello",
        "right; the w",
    ),
    "not found": (page(404, "what?"), "this is not a tracking server", "404 what?", "right; the works"),
    "another API": (
        answering(200, '{"status": "ok"}', "application/json"),
        "this is not a tracking server",
        "200 ",
        "set MLFLOW_TRACKING_URI right",
    ),
}


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize("how", AWAY)
def test_a_tracking_server_that_is_away(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, what, got, do = AWAY[how]
    if how == "black hole":
        monkeypatch.setattr("core.tracking.LOOK_SECONDS", 0.5)
    with server as at:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ana:secret@{at}")
        with pytest.raises(StoreError, match=what) as fault:
            Registry(Workspace(tmp_path)).version("champion")
    lines = dict(line.strip().split(": ", 1) for line in str(fault.value).splitlines()[1:])
    assert lines["where"].strip() == f"http://ana:***@{at}"
    assert got in lines["got"]
    assert do in lines["do"]


@pytest.mark.slow
@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize(("stall", "got"), [(True, "no answer in time"), (False, "Connection refused")])
def test_a_tracking_server_that_goes_away_under_a_command(
    stall: bool, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with going_away(stall) as at:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{at}")
        with pytest.raises(StoreError, match=rf"(?s)cannot be reached.*{got}"):
            Registry(Workspace(tmp_path)).version("champion")


@pytest.mark.usefixtures("seconds")
def test_a_certificate_that_nobody_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, "{}", tls=tmp_path) as at:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://{at}")
        with pytest.raises(StoreError, match=r"(?s)not trusted: self-signed.*_SERVER_CERT_PATH to the"):
            Registry(Workspace(tmp_path)).version("champion")
    with answering(200, "{}") as at:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://{at}")
        with pytest.raises(StoreError, match="it does not speak TLS: http:// instead of https://"):
            Registry(Workspace(tmp_path)).version("champion")


PREFECT = {
    "refused": (
        nullcontext(REFUSED),
        "cannot be reached",
        "Connection refused",
        "start it, set PREFECT",
    ),
    "black hole": (black_hole(), "cannot be reached", "no answer in time", "or unset it to need none"),
    "no name": (nullcontext(NO_SUCH_NAME), "cannot be reached", "no machine has that name", "start it"),
    "401": (
        page(401, "log in"),
        "does not let us in",
        "401 log in",
        "set PREFECT_API_AUTH_STRING=USER",
    ),
    "403": (page(403, "no"), "does not let us in", "403 no", "for Prefect Cloud: PREFECT_API_KEY"),
    "500": (page(500, "oops"), "is out of order", "500 oops", "see its log"),
    "502": (page(502, "Bad Gateway"), "is out of order", "502 Bad Gateway", "see its log"),
    "another service": (
        page(200, "hello"),
        "not a Prefect server",
        "200 and no version",
        "ends in /api",
    ),
    "not found": (page(404, "what?"), "not a Prefect server", "404 what?", "ends in /api"),
    "another API": (
        answering(200, "{}", "application/json"),
        "not a Prefect server",
        "200 and no version",
        "ends in /api",
    ),
}


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize("how", PREFECT)
def test_a_prefect_server_that_is_away(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.prefect_server import look

    server, what, got, do = PREFECT[how]
    if how == "black hole":
        monkeypatch.setattr("flows.prefect_server.LOOK_SECONDS", 0.5)
    with (
        server as at,
        temporary_settings({PREFECT_API_URL: f"http://{at}/api"}),
        pytest.raises(EverloopError, match=what) as fault,
    ):
        look()
    lines = dict(line.strip().split(": ", 1) for line in str(fault.value).splitlines()[1:])
    assert lines["where"].strip() == f"http://{at}/api"
    assert got in lines["got"]
    assert do in lines["do"]


POSTGRES = {
    "refused": (nullcontext(REFUSED), "Connection refused"),
    "black hole": (black_hole(), "connection timeout expired"),
    "no name": (nullcontext(NO_SUCH_NAME), "Name or service not known"),
    "another service": (page(200, "hello"), "connection timeout expired"),
}


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize("how", POSTGRES)
def test_a_store_that_is_away(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr("core.database.CONNECT_SECONDS", 2)  # the least that libpq obeys
    server, got = POSTGRES[how]
    with server as at, pytest.raises(StoreError, match="the store cannot be reached") as fault:
        Store(f"postgresql+psycopg://ana:secret@{at}/everloop")
    said = str(fault.value)
    assert "secret" not in said
    assert got in said
    assert said.endswith("set EVERLOOP_STORE right, then run this again; nothing was lost")


@pytest.mark.usefixtures("seconds")
def test_a_tracking_database_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow itself tries for 100 s."""
    pytest.importorskip("psycopg")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg://ana:secret@{REFUSED}/mlflow")
    with pytest.raises(StoreError, match=r"(?s)tracking database cannot be reached.*ana:\*\*\*@.*_URI"):
        Registry(Workspace(tmp_path)).version("champion")


def test_an_error_of_a_flows_work_is_its_own() -> None:
    from flows.prefect_server import refusals

    for fault in (RuntimeError("mine"), ValueError("mine"), ModelError("mine")):
        with pytest.raises(type(fault), match="mine"), refusals():
            raise fault


@pytest.mark.slow
def test_commands_say_that_prefect_is_away(shop: Path) -> None:
    env = {**os.environ, "PREFECT_API_URL": f"http://{REFUSED}/api"}
    for command in (("schedule", "--once", "monitor", "--now", "2026-01-07"), ("schedule",)):
        ran = subprocess.run(
            [sys.executable, "-m", "everloop", *command, "-w", str(shop)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (ran.returncode, ran.stdout) == (2, "")
        told = re.sub(
            r"^starting.* \([0-9]+ s\)\n", "", ran.stderr, flags=re.MULTILINE
        )  # on a busy machine
        assert told == (
            "error: Prefect's server cannot be reached\n"
            f"  where:    http://{REFUSED}/api\n"
            "  got:      Connection refused\n"
            "  expected: an answer within 4 s\n"
            "  do:       start it, set PREFECT_API_URL right, or unset it to need none, then run this "
            "again; nothing was lost\n"
        )


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(away, "GONE_SECONDS", 0.05)


@pytest.mark.usefixtures("hurried")
def test_what_takes_long_is_waited_for_while_the_service_answers() -> None:
    looks: list[int] = []

    def ask() -> str:
        while len(looks) < 20:
            time.sleep(0.001)
        return "done"

    assert while_there(ask, lambda: looks.append(1)) == "done"


@pytest.mark.usefixtures("hurried")
def test_one_look_that_fails_says_nothing_and_many_say_that_it_is_gone() -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) != 1:
            raise StoreError("gone")

    with pytest.raises(StoreError, match="gone"):
        while_there(lambda: time.sleep(2), look)
    assert len(looks) > 2


def test_an_error_of_what_was_asked_is_its_own() -> None:
    def ask() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        while_there(ask, lambda: None)
