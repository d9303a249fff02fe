"""everloop rollout: who is serving, and the hand on the lever."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at

app = typer.Typer(help="Look at a rollout, promote it, or roll it back.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
SHOWN = 10


@app.command()
def status(workspace: WorkspaceOption = Path()) -> None:
    """The champion, the rollout under way, and the last ones.

    Example: everloop rollout status
    """
    from everloop.table import table
    from flows.home import open_home

    store = open_home(workspace).store
    champion, live = store.get("champion"), store.live_rollout()
    typer.echo(f"champion: {f'version {champion}' if champion else 'none yet'}")
    typer.echo(f"under way: {f'version {live.candidate}, {live.stage}' if live else 'nothing'}")
    rows = [
        [f"{r.started:%Y-%m-%d %H:%M}", r.champion, r.candidate, r.stage, f"{r.share:.0%}", r.reason]
        for r in store.rollouts()[:SHOWN]
    ]
    if rows:
        typer.echo(f"\n{table(['started (UTC)', 'from', 'to', 'stage', 'share', 'why'], rows)}")


@app.command()
def promote(
    workspace: WorkspaceOption = Path(), reason: Reason = "promoted by hand", now: NowOption = None
) -> None:
    """Make the candidate of the rollout under way the champion now.

    Example: everloop rollout promote --reason "checked by hand"
    """
    _end(workspace, now, "promoted", reason)


@app.command()
def rollback(
    workspace: WorkspaceOption = Path(), reason: Reason = "rolled back by hand", now: NowOption = None
) -> None:
    """End the rollout under way; the champion serves everybody.

    Example: everloop rollout rollback --reason "complaints from support"
    """
    _end(workspace, now, "rolled_back", reason)


def _end(
    workspace: Path, now: str | None, stage: Literal["promoted", "rolled_back"], reason: str
) -> None:
    from flows.home import open_home
    from flows.stages import end_rollout

    home = open_home(workspace)
    typer.echo(end_rollout(home, at(now), stage, reason).reason)
    typer.echo(f"champion: version {home.store.get('champion')}")
