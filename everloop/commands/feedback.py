"""everloop feedback: what users say of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.texts import counted
from everloop.commands.options import Group, NowOption, WorkspaceOption, acting

app = typer.Typer(cls=Group, help="Take in what users say of answers.", no_args_is_help=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet.")],
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Take feedback from a file, as POST /v1/feedback takes it.

    Columns: prediction_id, kind and value, and where known user and time. The kinds and values are
    those of POST /v1/feedback. The same rows again change nothing. Rows that cannot be taken go to a
    quarantine file with their reasons, and the exit code is 1.

    Example: everloop feedback import ratings.csv -w shop
    """
    from core.tables import write_quarantine
    from everloop.inputs import warn_refused
    from flows.feedback import import_feedback
    from flows.session import open_session

    session = open_session(workspace)
    done = import_feedback(session, file, acting(session, now))
    typer.echo(f"{counted(done.new, 'new word')} of users, {done.known} known already")
    if done.refused:
        page = session.workspace.quarantine / f"feedback-{file.stem}.csv"
        warn_refused(file, done.refused, write_quarantine(done.refused, page))
        raise typer.Exit(1)
