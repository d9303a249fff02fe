"""everloop collection: named texts and labels that the model is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import Group, LabelColumn, TextColumn, WorkspaceOption, at

app = typer.Typer(
    cls=Group,
    help="Make, list and show collections of hard examples.\n\nThey lie in data/collections.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="A collection, as refunds-that-failed.")]


@app.command()
def add(
    name: Name,
    file: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet with texts and labels.")],
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Add the rows of a file to a collection, or begin it. The same row is taken once.

    Example: everloop collection add refunds-that-failed refunds.csv
    """
    from core import collections
    from core.label_names import in_words
    from core.tables import Columns
    from flows.home import open_home
    from flows.labels import labels_in_use, unknown_labels

    home, when = open_home(workspace), at(None)
    root = home.workspace.root
    columns = Columns(text_column, label_column)
    target, new = collections.add(root, name, file, columns)
    rows = collections.read(target)
    typer.echo(f"{name}: {new} new rows, {len(rows)} in all")
    if unknown := unknown_labels(home, rows["label"], when):
        slips = ", ".join(in_words(unknown, labels_in_use(home, when)))
        typer.echo(f"warning: nobody has used {slips}; no model can be right there", err=True)
    typer.echo(f"keep it: git add {target.relative_to(root)}")


@app.command("list")
def list_(workspace: WorkspaceOption = Path()) -> None:
    """Every collection, with its rows and labels.

    Example: everloop collection list
    """
    from core import collections
    from core import workspace as places
    from everloop.table import table

    found = collections.collections(places.find(workspace).root)
    if not found:
        typer.echo("no collection yet; the first: everloop collection add NAME FILE")
        return
    rows = [[name, len(c), c["label"].nunique()] for name, c in found.items()]
    typer.echo(table(["collection", "rows", "labels"], rows))


@app.command()
def show(name: Name, workspace: WorkspaceOption = Path()) -> None:
    """The rows of a collection.

    Example: everloop collection show refunds-that-failed
    """
    from core import collections
    from core import workspace as places
    from everloop.table import table

    rows = collections.named(places.find(workspace).root, name)
    typer.echo(table(["label", "text"], rows[["label", "text"]].to_numpy().tolist()))
