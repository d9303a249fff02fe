"""Commands that turn the loop: by hand, or as Prefect flows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at


def monitor(
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Write an Evidently page too.")] = False,
) -> None:
    """Signals and alerts of the newest window.

    Example: everloop monitor --report
    """
    from core.records import to_json
    from flows import stages
    from flows.home import open_home

    home, when = open_home(workspace), at(now)
    signals = stages.monitor(home, when, report)
    raised = [d for d in home.store.decisions("monitoring", since=when) if d.timestamp == when]
    if as_json:
        picture = {"signals": [to_json(s) for s in signals], "alerts": [to_json(d) for d in raised]}
        typer.echo(json.dumps(picture, indent=2))
        return
    for s in signals:
        value = "-" if s.value is None else f"{s.value:.4g}"
        interval = f"  ({s.low:.3g}..{s.high:.3g})" if s.low is not None and s.high is not None else ""
        baseline = f"  limit {s.baseline:.4g}" if s.baseline is not None else ""
        typer.echo(
            f"{s.name:<24} {s.segment:<20} {value:>9} {s.unit}{interval}{baseline}  {s.note}".rstrip()
        )
    for alert in raised:
        typer.echo(f"{alert.severity}: {alert.reason}")
    if report:
        typer.echo(str(home.workspace.reports / f"window-{when:%Y-%m-%dT%H}.html"))


def loop(workspace: WorkspaceOption = Path(), now: NowOption = None) -> None:
    """One turn of the loop: monitor, pick labels, retrain if it is time, step the rollout.

    Example: everloop loop -w shop
    """
    from flows import stages
    from flows.home import open_home

    home, when = open_home(workspace), at(now)
    home.listen = lambda d: typer.echo(f"{d.stage}: {d.verdict}: {d.reason}")
    stages.roll_out(home, when)
    stages.loop(home, when)


def retrain(
    workspace: WorkspaceOption = Path(),
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "asked for",
    now: NowOption = None,
) -> None:
    """Make a dataset version, train a candidate, test it, and start its rollout.

    Example: everloop retrain --reason "new product line"
    """
    from flows import stages
    from flows.home import open_home

    home = open_home(workspace)
    home.listen = lambda d: typer.echo(f"{d.stage}: {d.verdict}: {d.reason}")
    stages.retrain(home, at(now), reason)


def flow(
    name: Annotated[str, typer.Argument(help="monitor, retrain, rollout or loop.")],
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Run one Prefect flow now.

    Example: everloop flow loop -w shop
    """
    from core.errors import EverloopError
    from everloop.stack import prefect_settings

    prefect_settings(workspace)
    from flows.deployed import FLOWS

    if name not in FLOWS:
        raise EverloopError("no such flow", got=name, expected=", ".join(FLOWS))
    result = FLOWS[name](workspace=str(workspace.resolve()), now=at(now))
    typer.echo(f"{name}: {json.dumps(result) if result is not None else 'done'}")


def schedule(workspace: WorkspaceOption = Path()) -> None:
    """Serve the flows on the schedule of params.yaml until stopped.

    Example: everloop schedule -w shop
    """
    from everloop.stack import prefect_settings

    prefect_settings(workspace)
    from flows.deployed import schedule as serve_flows

    serve_flows(workspace)


def add_to(app: typer.Typer) -> None:
    for command in (monitor, loop, retrain, flow, schedule):
        app.command()(command)
