"""everloop label: tasks out to people, annotations back in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at

app = typer.Typer(help="Send tasks out for labels and take annotations in.", no_args_is_help=True)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL to write.")],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write the open tasks to a file, with an empty label to fill in.

    Example: everloop label export tasks.csv
    """
    from flows.home import open_home
    from pipelines.labeling.tables import export_tasks

    home = open_home(workspace)
    tasks = home.store.open_tasks()
    export_tasks(tasks, file)
    if tasks:
        how = f"fill in `label`, then: everloop label import {file}"
        typer.echo(f"{_count(len(tasks), 'task')} in {file}; {how}")
    else:
        typer.echo(f"no open task; {file} has only its header")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL with prediction_id and label.")],
    workspace: WorkspaceOption = Path(),
    annotator: Annotated[str, typer.Option(help="Who labelled.")] = "file",
    now: NowOption = None,
) -> None:
    """Take annotations in.

    Rows that cannot be taken go to a quarantine file with their reasons, and the exit code is 1.

    Example: everloop label import tasks.csv --annotator ana
    """
    from core.tables import write_quarantine
    from flows.home import open_home
    from pipelines.labeling.tables import import_annotations

    home = open_home(workspace)
    done = import_annotations(file, home.store, home.strategy.labeling, at(now), annotator)
    typer.echo(
        f"{_count(done.accepted, 'new label')}, {done.already} known already, "
        f"{done.unlabelled} not filled in"
    )
    if done.refused:
        page = home.workspace.quarantine / f"annotations-{file.stem}.csv"
        first = done.refused[0]
        typer.echo(
            f"warning: {file.name}: {_count(len(done.refused), 'row')} refused "
            f"(row {first.row}: {first.reason}); the reasons are in "
            f"{write_quarantine(done.refused, page)}",
            err=True,
        )
        raise typer.Exit(1)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
