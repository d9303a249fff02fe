"""everloop data: dataset versions, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import WorkspaceOption

app = typer.Typer(help="List, show, compare and check out dataset versions.", no_args_is_help=True)
Version = Annotated[str, typer.Argument(help="A version, as v0003.")]


@app.command("list")
def list_(workspace: WorkspaceOption = Path()) -> None:
    """Every dataset version, oldest first.

    Example: everloop data list
    """
    from core import workspace as places
    from everloop.table import table
    from pipelines.datasets.history import list_versions

    versions = list_versions(places.find(workspace).root)
    if not versions:
        typer.echo("no dataset version yet; the first: everloop train TRAIN.csv --eval EVAL.csv")
        return
    splits = list(dict.fromkeys(split for v in versions for split in v.rows))
    rows = [
        [v.id, f"{v.as_of:%Y-%m-%d %H:%M}", v.policy, v.labels, *(v.rows.get(s, 0) for s in splits)]
        for v in versions
    ]
    typer.echo(table(["version", "as of (UTC)", "policy", "labels", *splits], rows))


@app.command()
def show(version: Version, workspace: WorkspaceOption = Path()) -> None:
    """One version: what it was made from, and its rows by label.

    Example: everloop data show v0003
    """
    from core import workspace as places
    from pipelines.datasets.contents import show as read

    typer.echo(read(places.find(workspace).root, version).to_text())


@app.command()
def diff(a: Version, b: Version, workspace: WorkspaceOption = Path()) -> None:
    """Rows added, removed and relabelled between two versions.

    Example: everloop data diff v0002 v0003
    """
    from core import workspace as places
    from pipelines.datasets.diff import diff as compare

    typer.echo(compare(places.find(workspace).root, a, b).to_text())


@app.command()
def checkout(version: Version, workspace: WorkspaceOption = Path()) -> None:
    """Bring the data of a version into data/.

    `dvc repro` then gives its metrics again.

    Example: everloop data checkout v0003
    """
    from core import workspace as places
    from pipelines.datasets.versions import checkout as bring

    bring(places.find(workspace).root, version)
    typer.echo(f"data/ is now {version}; dvc repro trains and tests on it")
