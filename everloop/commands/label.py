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
    from pipelines.labeling import export_tasks

    home = open_home(workspace)
    count = export_tasks(home.store.open_tasks(), file)
    typer.echo(f"{count} tasks in {file}; fill in `label`, then: everloop label import {file}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL with prediction_id and label.")],
    workspace: WorkspaceOption = Path(),
    annotator: Annotated[str, typer.Option(help="Who labelled.")] = "file",
    now: NowOption = None,
) -> None:
    """Take annotations in; rows that cannot be taken go to a quarantine file with their reasons.

    Example: everloop label import tasks.csv --annotator ana
    """
    from core.tables import write_quarantine
    from flows.home import open_home
    from pipelines.labeling import import_annotations

    home = open_home(workspace)
    done = import_annotations(file, home.store, home.strategy.labeling, at(now), annotator)
    typer.echo(f"{done.accepted} new, {done.already} known already, {done.unlabelled} not labelled yet")
    if done.refused:
        page = write_quarantine(done.refused, home.workspace.quarantine / f"{file.stem}.csv")
        typer.echo(f"{len(done.refused)} refused, with reasons in {page}", err=True)
        raise typer.Exit(1)
