"""The loop as Prefect flows: schedules, runs and retries; the work itself is in `flows/stages.py`.

everloop schedule                   serves these flows on the schedule of params.yaml
everloop schedule --once retrain    runs one now
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import flow, serve
from prefect.context import FlowRunContext
from prefect.deployments.runner import EntrypointType
from prefect.events import emit_event
from prefect.schedules import Interval

from flows import stages
from flows.batch_predict import check_answered, predict_file, scheduled_job
from flows.clock import acting
from flows.prefect_server import refusals
from flows.session import Session, open_session
from monitoring.alerts.delivery import Channel, Message, channels


@flow(name="monitor")
def monitor(workspace: str = ".", now: datetime | None = None) -> dict[str, float | None]:
    """Signals of the newest window, by name; alerts are also Prefect events `everloop.alert`."""
    session = listening(Path(workspace))
    when = acting(session, now)
    signals = stages.monitor(session, when)
    return {s.name: s.value for s in signals if not s.segment}


@flow(name="retrain")
def retrain(
    workspace: str = ".", reason: str = "asked for", now: datetime | None = None
) -> dict[str, Any]:
    """A dataset version, a candidate, its tests, and the start of its rollout; or what it waits for."""
    session = open_session(Path(workspace))
    return stages.retrain(session, acting(session, now), reason)


@flow(name="rollout")
def rollout(workspace: str = ".", now: datetime | None = None) -> str:
    """The next step of the rollout under way; returns its verdict."""
    session = open_session(Path(workspace))
    return stages.roll_out(session, acting(session, now))


@flow(name="loop")
def loop(workspace: str = ".", now: datetime | None = None) -> None:
    """One turn of the loop: monitor, pick labels, retrain if it is time."""
    session = listening(Path(workspace))
    stages.loop(session, acting(session, now))


@flow(name="batch-predict")
def batch_predict(workspace: str = ".", now: datetime | None = None) -> dict[str, int]:
    """Classify the file whose turn it is by `schedule.batch`; returns how many rows were answered."""
    session = open_session(Path(workspace))
    when = acting(session, now)
    job = scheduled_job(session, when)
    done = predict_file(session, job, when)
    check_answered(session, job, done)
    return {"rows": done.rows, "refused": done.refused}


def listening(workspace: Path) -> Session:
    """The workspace, with every channel of its alerts: those of params.yaml, and Prefect's events.

    Events only while a flow runs: without one, Prefect would start a server to have somebody to tell.
    """
    session = open_session(workspace)
    settings = session.strategy.monitoring
    session.channels = channels(settings.notify, settings.notify_from)
    if FlowRunContext.get():
        resource = {"prefect.resource.id": f"everloop.workspace.{session.workspace.root.name}"}
        session.channels.append(Channel("prefect", lambda told: _emit(told, resource), "info"))
    return session


def _emit(told: Message, resource: dict[str, str]) -> None:
    """`everloop.alert` when one opens or gets worse, `everloop.alert.over` when it is over."""
    alert = told.alert
    emit_event(
        "everloop.alert.over" if told.level == "over" else "everloop.alert",
        resource=resource,
        payload={
            "key": alert.key,
            "severity": alert.severity,
            "reason": alert.reason,
            **alert.evidence.stored(),
        },
    )


MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
FLOWS = {
    "monitor": monitor,
    "retrain": retrain,
    "rollout": rollout,
    "loop": loop,
    "batch-predict": batch_predict,
}


def run(name: str, workspace: Path, now: datetime | None) -> Any:
    """Run one flow now; what it returns. Raises EverloopError when Prefect goes away under it."""
    with refusals():
        return FLOWS[name](workspace=str(workspace.resolve()), now=now)


def schedule(workspace: Path) -> None:
    """Serve the flows until stopped: loop, rollout and batch-predict on their schedules, all on demand.

    One run at a time, and at the same hours whenever this is started: counted from midnight UTC.
    """
    hours = open_session(workspace).strategy.schedule
    every = {"loop": hours.loop_hours, "rollout": hours.rollout_hours}
    if hours.batch:
        every["batch-predict"] = hours.batch.hours
    parameters = {"workspace": str(workspace.resolve())}
    with refusals():
        _serve(every, parameters)


def _serve(every: Mapping[str, float], parameters: dict[str, str]) -> None:
    serve(
        *(
            made.to_deployment(
                name="everloop",
                parameters=parameters,
                schedule=Interval(timedelta(hours=every[name]), anchor_date=MIDNIGHT, timezone="UTC")
                if name in every
                else None,
                entrypoint_type=EntrypointType.MODULE_PATH,  # a path would hang on the folder we are in
            )
            for name, made in FLOWS.items()
        ),
        limit=1,
        print_starting_message=False,  # it names a command that needs another set-up
    )
