"""everloop rollout: who is serving, and the hand on the lever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at

if TYPE_CHECKING:
    from pandas import DataFrame

    from core.records import Rollout

app = typer.Typer(help="Look at a rollout, promote it, or roll it back.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
SHOWN = 10


@app.command()
def status(workspace: WorkspaceOption = Path(), now: NowOption = None) -> None:
    """The champion, the rollout under way with its arms, and the last ones.

    Example: everloop rollout status
    """
    from everloop.table import table
    from flows.home import open_home
    from pipelines.rollout.policy import stage_name

    store = open_home(workspace).store
    champion, live = store.get("champion"), store.live_rollout()
    typer.echo(f"champion: {f'version {champion}' if champion else 'none yet'}")
    typer.echo(f"under way: {f'version {live.candidate}, {stage_name(live)}' if live else 'nothing'}")
    if live:
        typer.echo(_arms(live, store.at(at(now)).answers(live.stage_started, at(now))))
    rows = [
        [f"{r.started:%Y-%m-%d %H:%M}", r.champion, r.candidate, r.stage, f"{r.share:.0%}", r.reason]
        for r in store.rollouts()[:SHOWN]
    ]
    if rows:
        typer.echo(f"\n{table(['started (UTC)', 'from', 'to', 'stage', 'share', 'why'], rows)}")


def _arms(live: Rollout, answers: DataFrame) -> str:
    """Who answered how many in this stage; in an A/B test also the numbers so far."""
    from everloop.table import table
    from pipelines.rollout.ab_test import evidence
    from pipelines.rollout.compare import arms

    new, old = arms(answers, live)
    sides = (("champion", live.champion, old), ("candidate", live.candidate, new))
    rows = [[name, version, a.requests, a.users, a.complained] for name, version, a in sides]
    lines = ["", table(["answered by", "version", "requests", "users", "complained"], rows)]
    if live.stage == "ab_test":
        lines.append("\nso far, and no verdict before the end of the test:")
        found = [evidence(answers, live, metric) for metric in ("accuracy", "feedback")]
        lines += [f"  {e.words()}" for e in found if e.seen]
    return "\n".join(lines)


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
