"""everloop rollout: who is serving, and the hand on the lever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.commands.options import Group, NowOption, WorkspaceOption, acting, at, model

if TYPE_CHECKING:
    from pandas import DataFrame

    from core.records.decisions import Decision
    from core.records.rollouts import Rollout
    from flows.session import Session
    from flows.undo import Requester

app = typer.Typer(cls=Group, help="Look at a rollout, promote it, or undo it.", no_args_is_help=True)
By = Annotated[str, typer.Option(help="Who decides.  [default: your login name]")]
Why = Annotated[str, typer.Option("--why", "--reason", help="Why, for the record.")]
SHOWN = 10


@app.command()
def status(workspace: WorkspaceOption = Path(), now: NowOption = None) -> None:
    """The champion, the rollout under way with its arms, what was undone, and the last ones.

    Example: everloop rollout status
    """
    from core.state import Champion
    from everloop.table import table
    from flows.session import open_session
    from flows.undo import pinned, undone
    from pipelines.rollout.promotion import stage_name

    session = open_session(workspace)
    store, pin = session.store, pinned(session)
    champion, live = store.state.read(Champion).version, store.decisions.live_rollout()
    typer.echo(f"champion: {f'version {champion}' if champion else 'none yet'}")
    waits = ", waits" if pin else ""
    typer.echo(
        f"under way: {f'version {live.candidate}, {stage_name(live)}{waits}' if live else 'nothing'}"
    )
    for line in [*([pin] if pin else []), *undone(session)]:
        typer.echo(line)
    if live:
        typer.echo(_arms(live, store.at(at(now)).answers.side_by_side(live.stage_started, at(now))))
    rows = [
        [f"{r.started:%Y-%m-%d %H:%M}", r.champion, r.candidate, r.stage, f"{r.share:.0%}", r.reason]
        for r in store.decisions.rollouts()[:SHOWN]
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
    workspace: WorkspaceOption = Path(), by: By = "", why: Why = "", now: NowOption = None
) -> None:
    """Make the candidate of the rollout under way the champion now.

    Example: everloop rollout promote --why "checked by hand"
    """
    from flows.session import open_session
    from flows.stages import promote_now

    session = open_session(workspace)
    _say(session, promote_now(session, acting(session, now), _asked(by, why)))


@app.command()
def rollback(
    workspace: WorkspaceOption = Path(),
    to: Annotated[
        str | None, typer.Option(help="A version that served before, as 2.", callback=model)
    ] = None,
    by: By = "",
    why: Why = "",
    now: NowOption = None,
) -> None:
    """End the rollout under way, or else undo the last promotion.

    While a rollout is under way, it ends and the champion serves everybody. Otherwise the version
    before the champion serves again; servers follow within a second. What was
    rolled back is not promoted again by the loop, and the next retrain starts from what serves now.

    Example: everloop rollout rollback --why "complaints from support"
    """
    from flows.session import open_session
    from flows.stages import roll_back_now

    session = open_session(workspace)
    _say(session, roll_back_now(session, acting(session, now), _asked(by, why), to))


@app.command()
def pin(
    version: Annotated[
        str | None, typer.Argument(help="The version that serves, to be sure.", callback=model)
    ] = None,
    workspace: WorkspaceOption = Path(),
    by: By = "",
    why: Why = "",
    now: NowOption = None,
) -> None:
    """Hold the champion: it answers everybody until `unpin`.

    The loop goes on to monitor and to pick labels. It retrains nothing, begins no rollout and promotes
    nothing, and says so each turn; a rollout under way waits, and its candidate answers nobody. An
    alias that is moved in the registry is not followed.

    Example: everloop rollout pin --why "audit this week"
    """
    from flows.session import open_session
    from flows.undo import pin as hold

    session = open_session(workspace)
    _say(session, hold(session, acting(session, now), _asked(by, why), version))


@app.command()
def unpin(
    workspace: WorkspaceOption = Path(), by: By = "", why: Why = "", now: NowOption = None
) -> None:
    """Let the loop go on after `pin`.

    A rollout that waited begins its stage anew.

    Example: everloop rollout unpin
    """
    from flows.session import open_session
    from flows.undo import unpin as release

    session = open_session(workspace)
    _say(session, release(session, acting(session, now), _asked(by, why)))


def _say(session: Session, decision: Decision) -> None:
    from core.state import Champion

    typer.echo(decision.reason)
    typer.echo(f"champion: version {session.store.state.read(Champion).version}")


def _asked(by: str, why: str) -> Requester:
    from getpass import getuser

    from flows.undo import Requester

    return Requester(by or getuser(), why)
