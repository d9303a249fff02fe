"""everloop rollout: who is serving, and the hand on the lever."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at

app = typer.Typer(help="Look at a rollout, promote it, or roll it back.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


@app.command()
def status(workspace: WorkspaceOption = Path()) -> None:
    """The champion, the rollout under way, and the last ones with their reasons.

    Example: everloop rollout status
    """
    from flows.home import open_home

    home = open_home(workspace)
    typer.echo(f"champion: {home.store.get('champion') or 'none yet'}")
    for r in home.store.rollouts()[:10]:
        typer.echo(
            f"{r.started:%Y-%m-%d %H:%M}  {r.rollout_id}  {r.champion} -> {r.candidate}  "
            f"{r.stage} {r.share:.0%}  {r.reason}".rstrip()
        )


@app.command()
def promote(
    workspace: WorkspaceOption = Path(), reason: Reason = "promoted by hand", now: NowOption = None
) -> None:
    """Make the candidate of the rollout under way the champion now.

    Example: everloop rollout promote --reason "checked by hand"
    """
    from flows.home import open_home
    from flows.stages import end_rollout

    typer.echo(end_rollout(open_home(workspace), at(now), "promoted", reason).reason)


@app.command()
def rollback(
    workspace: WorkspaceOption = Path(), reason: Reason = "rolled back by hand", now: NowOption = None
) -> None:
    """End the rollout under way; the champion serves everybody.

    Example: everloop rollout rollback --reason "complaints from support"
    """
    from flows.home import open_home
    from flows.stages import end_rollout

    typer.echo(end_rollout(open_home(workspace), at(now), "rolled_back", reason).reason)
