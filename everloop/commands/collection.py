"""everloop collection: named texts and labels that the model is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import Group, LabelColumn, TextColumn, WorkspaceOption, at

app = typer.Typer(
    cls=Group,
    help="Make and list collections of hard examples.\n\nThey lie in data/collections.",
    no_args_is_help=True,
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A collection, as refunds-that-failed.")],
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
    from flows.labels import labels_in_use, unknown_labels
    from flows.session import open_session

    session, when = open_session(workspace), at(None)
    root = session.workspace.root
    columns = Columns(text_column, label_column)
    target, new = collections.add(root, name, file, columns)
    rows = collections.read(target)
    typer.echo(f"{name}: {new} new rows, {len(rows)} in all")
    if unknown := unknown_labels(session, rows["label"], when):
        slips = ", ".join(in_words(unknown, labels_in_use(session, when)))
        typer.echo(f"warning: nobody has used {slips}; no model can be right there", err=True)
    typer.echo(f"keep it: git add {target.relative_to(root)}")


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="One collection: its rows.")] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Every collection, or the rows of one.

    Example: everloop collection list
    """
    from core import collections
    from core import workspace as places
    from everloop.table import table

    root = places.find(workspace).root
    if name:
        rows = collections.named(root, name)
        typer.echo(table(["label", "text"], rows[["label", "text"]].to_numpy().tolist()))
        return
    found = {name: collections.read(path) for name, path in collections.files(root).items()}
    if not found:
        typer.echo("no collection yet; the first: everloop collection add NAME FILE")
        return
    counts = [[name, len(c), c["label"].nunique()] for name, c in found.items()]
    typer.echo(table(["collection", "rows", "labels"], counts))
