"""The Prefect flows are there, hold no logic, and run: by hand, and on the schedule of params.yaml."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.episodes import Episodes
from core.errors import EverloopError, ModelError, ParamsError
from core.records.rollouts import Rollout
from core.state import Champion, ToldAlerts
from everloop import stack
from everloop.init import init
from everloop.replay import run
from flows import stages
from flows.session import Session, open_session
from tests import ROOT
from tests.flows.test_loop import outcome
from tests.small_loop import job, make_session

EVENING = datetime(2026, 1, 6, 20, tzinfo=UTC)
NEXT_DAY = datetime(2026, 1, 7, tzinfo=UTC)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return init(tmp_path / "empty").root


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Prefect's settings leave in os.environ goes again."""
    for name in [n for n in os.environ if n.startswith("PREFECT_")]:
        monkeypatch.setenv(name, os.environ[name])
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)


def test_the_flows_have_their_names_and_take_a_workspace_and_a_time() -> None:
    from flows.deployed import FLOWS

    assert {name: made.name for name, made in FLOWS.items()} == {
        n: n for n in ("monitor", "retrain", "rollout", "loop", "batch-predict")
    }
    for made in FLOWS.values():
        parameters = inspect.signature(made.fn).parameters
        assert set(parameters) - {"reason"} == {"workspace", "now"}
        assert all(p.default is not inspect.Parameter.empty for p in parameters.values())


def test_without_its_decorator_a_flow_is_the_stage_and_needs_no_server(empty: Path) -> None:
    from flows.deployed import FLOWS

    for name in ("monitor", "retrain", "loop"):
        with pytest.raises(ModelError, match="no model serves yet"):
            FLOWS[name].fn(str(empty), now=EVENING)
    with pytest.raises(ParamsError, match="no batch prediction is scheduled"):
        FLOWS["batch-predict"].fn(str(empty), now=EVENING)
    assert FLOWS["rollout"].fn(str(empty), now=EVENING) == stages.roll_out(open_session(empty), EVENING)


def test_a_rollout_ends_when_its_candidate_was_made_champion_by_hand(empty: Path) -> None:
    session, started = open_session(empty), datetime(2026, 1, 6, tzinfo=UTC)
    session.store.decisions.put_rollout(Rollout("r1", "2", "1", "canary", 0.1, started, started))
    session.store.state.write(Champion("1"))
    assert stages.roll_out(session, EVENING) == "wait"
    session.store.state.write(Champion("2"))
    assert stages.roll_out(session, NEXT_DAY) == "promote"
    (rollout,) = session.store.decisions.rollouts()
    assert (rollout.stage, rollout.reason) == (
        "promoted",
        "canary 10 % -> promote: by hand, the registry's alias was moved to it",
    )
    assert session.store.decisions.live_rollout() is None


def test_settings_stay_inside_the_workspace_and_yield_to_the_user(
    empty: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    with stack.prefect_server(empty) as url:
        assert url == os.environ["PREFECT_API_URL"] == "http://prefect.example/api"
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert Path(os.environ["PREFECT_HOME"]) == empty / ".everloop" / "prefect"
    assert (empty / ".everloop" / "prefect").is_dir()


def test_outside_of_a_flow_run_there_are_no_prefect_events(empty: Path) -> None:
    from flows.deployed import listening

    assert listening(empty).channels == []


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Session]:
    """Two workspaces that are alike: two days replayed, nothing labelled since."""
    made = []
    for name in ("plain", "flows"):
        session = make_session(
            tmp_path_factory.mktemp(name) / "workspace", triggers={"policy": "labels", "at_least": 20}
        )
        run(session, job(days=2))
        made.append(session)
    return made[0], made[1]


@pytest.mark.slow
def test_flows_end_as_the_plain_functions_do(alike: tuple[Session, Session]) -> None:
    plain, flowing = alike
    with prefect():
        from flows.deployed import FLOWS

        root = str(flowing.workspace.root)
        signals = FLOWS["monitor"](workspace=root, now=NEXT_DAY)
        FLOWS["retrain"](workspace=root, reason="why not", now=NEXT_DAY)
        verdict = FLOWS["rollout"](workspace=root, now=NEXT_DAY)
        FLOWS["loop"](workspace=root, now=NEXT_DAY)
        FLOWS["loop"](workspace=root, now=NEXT_DAY)  # a retry, or a second worker
        with pytest.raises(EverloopError, match="no such workspace"):
            FLOWS["loop"](workspace=root + "x")
    open_ = flowing.store.state.read(Episodes).open
    assert (
        flowing.store.state.read(ToldAlerts).levels
        == {e.key: {"prefect": e.severity} for e in open_}
        != {}
    )
    expected = stages.monitor(plain, NEXT_DAY)
    stages.retrain(plain, NEXT_DAY, "why not")
    assert verdict == stages.roll_out(plain, NEXT_DAY)
    stages.loop(plain, NEXT_DAY)
    assert signals == {s.name: s.value for s in expected if not s.segment}
    assert outcome(flowing, {}) == outcome(plain, {})
    assert len(plain.registry.versions()) >= 2


def prefect() -> Any:
    """Prefect's own harness: a server of the test's own, quiet, and without waiting for heartbeats."""
    from contextlib import ExitStack

    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_LEVEL,
        PREFECT_SERVER_ANALYTICS_ENABLED,
        PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    context = ExitStack()
    context.enter_context(
        temporary_settings(
            {
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                PREFECT_LOGGING_LEVEL: "CRITICAL",
                PREFECT_SERVER_ANALYTICS_ENABLED: False,
                PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS: False,
            }
        )
    )
    context.enter_context(prefect_test_harness(server_startup_timeout=120))
    return context


def ask(url: str, what: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{url}/{what}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def wait_for(found: Any, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            value = found()
        except OSError:  # busy starting
            value = None
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture
def scheduled(empty: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`everloop schedule` at work, and the address it says."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "everloop", "schedule", "-w", str(empty)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip().rpartition("=")[2]
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_schedule_makes_runs_and_stops_cleanly(
    scheduled: tuple[subprocess.Popen[str], str], empty: Path, environment: None
) -> None:
    process, url = scheduled
    deployments = wait_for(lambda: (d := ask(url, "deployments/filter", {})) and len(d) == 5 and d)
    hours = {
        d["entrypoint"]: [s["schedule"]["interval"] / 3600 for s in d["schedules"]] for d in deployments
    }
    names = ("monitor", "retrain", "rollout", "loop", "batch_predict")
    flows = [f"flows.deployed.{n}" for n in names]
    assert hours == dict(zip(flows, [[], [], [4.0], [24.0], []], strict=True))
    assert {d["parameters"]["workspace"] for d in deployments} == {str(empty)}

    runs = wait_for(lambda: ask(url, "flow_runs/filter", {}))
    assert {datetime.fromisoformat(r["expected_start_time"]).hour % 4 for r in runs} == {0}

    rollout = next(d["id"] for d in deployments if d["entrypoint"].endswith("rollout"))
    now = wait_for(lambda: ask(url, f"deployments/{rollout}/create_flow_run", {}))["id"]
    only = {"flow_runs": {"id": {"any_": [now]}, "state": {"type": {"any_": ["COMPLETED"]}}}}
    assert wait_for(lambda: ask(url, "flow_runs/filter", only))

    with pytest.raises(EverloopError, match="being scheduled already"), stack.prefect_server(empty):
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    with pytest.raises(OSError, match="refused"):
        ask(url, "deployments/filter", {})


@pytest.mark.slow
def test_a_killed_schedule_leaves_no_server_behind(
    scheduled: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = scheduled
    assert ask(url, "deployments/filter", {}) is not None
    process.kill()

    def gone() -> bool:
        try:
            ask(url, "deployments/filter", {})
        except ConnectionRefusedError:
            return True
        except OSError as fault:
            return "refused" in str(fault)
        return False

    wait_for(gone, seconds=20)
