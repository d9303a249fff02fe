"""Commands that turn the loop: by hand, or as Prefect flows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at

if TYPE_CHECKING:
    from core.records import Signal
    from flows.home import Home


def monitor(
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Write a page about it too.")] = False,
) -> None:
    """Signals and alerts of the newest window.

    Example: everloop monitor --report
    """
    from core.records import to_json
    from flows import stages
    from flows.home import open_home

    home, when = open_home(workspace), at(now)
    modelled = home.store.get("champion") is not None
    signals = stages.monitor(home, when, report) if modelled else []
    found = home.store.decisions("monitoring", since=when)
    raised = [d for d in found if d.timestamp == when and d.verdict == "alert"]
    if as_json:
        picture = {"signals": [to_json(s) for s in signals], "alerts": [to_json(d) for d in raised]}
        typer.echo(json.dumps(picture, indent=2))
        return
    if not modelled:
        typer.echo("not enough to say anything: no model serves yet")
        typer.echo("the first: everloop train TRAIN.csv --eval EVAL.csv")
        return
    typer.echo(_window(home, signals))
    for alert in raised:
        typer.echo(f"\n{alert.severity}: {alert.reason}")
    if report and home.strategy.logging.texts:
        typer.echo(f"\nreport: {home.workspace.reports / f'window-{when:%Y-%m-%dT%H}.html'}")


def _window(home: Home, signals: Sequence[Signal]) -> str:
    """The signals as a table, or what to do when the window is empty."""
    from everloop.table import table

    first = signals[0]
    lines = [f"window: {first.window_start:%Y-%m-%d %H:%M} to {first.window_end:%Y-%m-%d %H:%M} UTC"]
    turned = home.store.get("curated_until")
    if not first.value and turned:
        when = f"{datetime.fromisoformat(turned):%Y-%m-%dT%H:%M}"
        lines.append(f"no traffic in it; the loop last turned at: everloop monitor --now {when}")
    header = ["signal", "segment", "value", "unit", "95 % interval", "limit", "note"]
    return "\n".join([*lines, "", table(header, [_row(s) for s in signals])])


def _row(s: Signal) -> list[Any]:
    interval = f"{s.low:.3f}..{s.high:.3f}" if s.low is not None and s.high is not None else ""
    limit = "" if s.baseline is None else _number(s.baseline)
    return [
        s.name,
        s.segment,
        "-" if s.value is None else _number(s.value),
        s.unit,
        interval,
        limit,
        s.note,
    ]


def _number(x: float) -> str:
    return f"{x:,.0f}" if x == int(x) else f"{x:.4g}"


def loop(workspace: WorkspaceOption = Path(), now: NowOption = None) -> None:
    """One turn: rollout, monitor, pick labels, retrain if due.

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
    """Make a dataset version, train, test, and start a rollout.

    Example: everloop retrain --reason "new product line"
    """
    from flows import stages
    from flows.home import open_home

    home = open_home(workspace)
    home.listen = lambda d: typer.echo(f"{d.stage}: {d.verdict}: {d.reason}")
    stages.retrain(home, at(now), reason)


def flow(
    name: Annotated[
        Literal["monitor", "retrain", "rollout", "loop", "batch-predict"],
        typer.Argument(help="Which one."),
    ],
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Run one Prefect flow now.

    Example: everloop flow loop -w shop
    """
    from everloop.stack import prefect_settings

    when = at(now)
    prefect_settings(workspace, "CRITICAL")  # a failed run raises; Prefect would show it twice
    from flows.deployed import FLOWS

    result = FLOWS[name](workspace=str(workspace.resolve()), now=when)
    typer.echo(f"{name}: {json.dumps(result) if result is not None else 'done'}")


def schedule(workspace: WorkspaceOption = Path()) -> None:
    """Serve the flows on the schedule of params.yaml until stopped.

    Example: everloop schedule -w shop
    """
    from everloop.stack import prefect_server

    with prefect_server(workspace) as url:
        typer.echo(f"scheduled; Ctrl-C stops. For other Prefect commands: PREFECT_API_URL={url}")
        from flows.deployed import schedule as serve_flows

        serve_flows(workspace)


def add_to(app: typer.Typer) -> None:
    for command in (monitor, loop, retrain, flow, schedule):
        app.command()(command)
