"""Commands that turn the loop: by hand, or as Prefect flows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from everloop.commands.options import NowOption, WorkspaceOption, acting, at


def loop(workspace: WorkspaceOption = Path(), now: NowOption = None) -> None:
    """One turn: rollout, monitor, pick labels, retrain if due.

    Example: everloop loop -w shop
    """
    from flows import stages
    from flows.session import open_session
    from monitoring.alerts.delivery import channels

    session = open_session(workspace)
    when = acting(session, now)
    settings = session.strategy.monitoring
    session.channels = channels(settings.notify, settings.notify_from)
    session.listen = lambda d: typer.echo(f"{d.stage}: {d.verdict}: {d.reason}")
    stages.roll_out(session, when)
    stages.loop(session, when)


def retrain(
    workspace: WorkspaceOption = Path(),
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "asked for",
    now: NowOption = None,
) -> None:
    """Make a dataset version, train, test, and start a rollout.

    It waits, as the loop does, while a rollout is under way, while a version is pinned, and where there
    is no new label to learn from; it says so and changes nothing.

    Example: everloop retrain --reason "new product line"
    """
    from flows import stages
    from flows.session import open_session

    session = open_session(workspace)
    session.listen = lambda d: typer.echo(f"{d.stage}: {d.verdict}: {d.reason}")
    stages.retrain(session, acting(session, now), reason)


Once = Literal["monitor", "retrain", "rollout", "loop", "batch-predict"]


def schedule(
    workspace: WorkspaceOption = Path(),
    once: Annotated[Once | None, typer.Option(help="Run this flow now, once, and end.")] = None,
    now: NowOption = None,
) -> None:
    """Run the loop as Prefect flows, on the schedule of params.yaml.

    It goes on until it is stopped. --now goes with --once.

    Example: everloop schedule -w shop
    """
    if once:
        _run(once, workspace, now)
    elif now:
        raise typer.BadParameter("goes with --once", param_hint="--now")
    else:
        _serve(workspace)


def _run(name: Once, workspace: Path, now: str | None) -> None:
    from core.progress import doing
    from everloop.stack import prefect_settings

    when = None if now is None else at(now)
    prefect_settings(workspace, "CRITICAL", impatient=True)  # a failed run raises; not shown twice
    from flows.prefect_server import PrefectAwayError, look

    doing("starting Prefect")
    look()  # before the heavy imports
    from flows.deployed import run

    try:
        result = run(name, workspace, when)
    except PrefectAwayError as fault:
        typer.echo(f"error: {fault}", err=True)
        os._exit(2)  # else Prefect goes on trying to tell its server, for minutes
    typer.echo(f"{name}: {json.dumps(result) if result is not None else 'done'}")


def _serve(workspace: Path) -> None:
    from everloop.progress import over
    from everloop.stack import prefect_server

    over()  # it runs until it is stopped, and says so
    with prefect_server(workspace) as url:
        from flows.prefect_server import look

        look()
        typer.echo(f"scheduled; Ctrl-C stops. For other Prefect commands: PREFECT_API_URL={url}")
        from flows.deployed import schedule as serve_flows

        serve_flows(workspace)
