"""everloop data: dataset versions, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands import data_rows, data_store, data_truth
from everloop.commands.options import Group, WorkspaceOption, dataset

app = typer.Typer(
    cls=Group, help="Dataset versions: list, compare, check, keep and bring back.", no_args_is_help=True
)
Version = Annotated[str, typer.Argument(help="A version, as v0003 or 3.", callback=dataset)]


@app.command("list")
def list_(
    version: Annotated[
        str, typer.Argument(help="One version: how it came to be, and why.", callback=dataset)
    ] = "",
    rows: Annotated[
        bool, typer.Option("--rows", help="What this version was made from, and its rows by label.")
    ] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Every dataset version, oldest first; or one, its parent and so on, and why each was made.

    Example: everloop data list v0003 --rows
    """
    from core import workspace as places

    if rows and not version:
        raise typer.BadParameter("say which version, as v0003", param_hint="'--rows'")
    root = places.find(workspace).root
    shown = _contents if rows else _ancestors if version else _versions
    typer.echo(
        shown(root, version)
        or "no dataset version yet; the first: everloop train TRAIN.csv --eval EVAL.csv"
    )


def _versions(root: Path, _version: str) -> str:
    from everloop.table import table
    from pipelines.datasets.history import list_versions

    versions = list_versions(root)
    splits = list(dict.fromkeys(split for v in versions for split in v.rows))
    rows = [
        [
            *(v.id, f"{v.as_of:%Y-%m-%d %H:%M}", v.policy, v.labels),
            *(v.rows.get(s, 0) for s in splits),
            ", ".join(f"{n:,} {why}" for why, n in v.left_out.items()),
        ]
        for v in versions
    ]
    names = ["version", "as of (UTC)", "policy", "labels", *splits, "left out"]
    return table(names, rows) if rows else ""


def _ancestors(root: Path, version: str) -> str:
    from everloop.table import table
    from pipelines.datasets.history import log as chain

    rows = [
        [
            e.version.id,
            f"{e.version.as_of:%Y-%m-%d %H:%M}",
            ", ".join(f"{n:+} {name}" for name, n in e.more.items() if n) or "the same rows",
            e.version.rows.get("train", 0),
            e.version.labels,
            e.reason,
        ]
        for e in chain(root, version)
    ]
    return table(["version", "as of (UTC)", "rows", "train", "labels", "reason"], rows)


def _contents(root: Path, version: str) -> str:
    from pipelines.datasets.contents import show

    return show(root, version).to_text()


@app.command()
def diff(
    a: Version,
    b: Version,
    workspace: WorkspaceOption = Path(),
    html: Annotated[
        Path | None, typer.Option(help="Write a page with the rows that differ, too.")
    ] = None,
) -> None:
    """Rows added, removed and relabelled between two versions, and how shares moved.

    Example: everloop data diff v0002 v0003 --html diff.html
    """
    from core import workspace as places
    from pipelines.datasets.diff import diff as compare
    from pipelines.datasets.diff_page import write_diff

    found = compare(places.find(workspace).root, a, b)
    typer.echo(found.to_text())
    if html:
        typer.echo(f"wrote {write_diff(found, html)}")


@app.command()
def checkout(version: Version, workspace: WorkspaceOption = Path()) -> None:
    """Bring the data of a version into data/.

    `dvc repro` then gives its metrics again.

    Example: everloop data checkout v0003
    """
    from core import workspace as places
    from pipelines.datasets.erase import gone_here
    from pipelines.datasets.versions import checkout as bring

    place = places.find(workspace)
    bring(place.root, version)
    gone = gone_here(place)
    typer.echo(f"data/ is now {version}; dvc repro trains and tests on it")
    if gone:
        typer.echo(f"of {version} {gone}")


@app.command()
def export(
    version: Version,
    file: Annotated[Path, typer.Argument(help="A .csv, .jsonl or .parquet file.")],
    only: Annotated[
        list[str] | None, typer.Option("--set", help="Only this set: train, eval or audit.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="chat, preferences, or another package's: MODULE:CLASS."),
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write the rows of a version into a file, without embeddings.

    The format chat is JSONL for fine-tuning: the messages of a row, the right answer last. The format
    preferences is JSONL for DPO: the pairs of the version as prompt, chosen and rejected.

    Example: everloop data export v0003 rows.csv --set train
    """
    from core import workspace as places
    from core.errors import DataError
    from core.imported import importable
    from pipelines.datasets.contents import export as write
    from pipelines.datasets.exporters.exporter import exporter
    from pipelines.datasets.manifest import SETS

    unknown = [name for name in only or () if name not in SETS]
    if unknown:
        raise DataError("no such set", where="--set", got=unknown[0], expected=", ".join(SETS))
    root = places.find(workspace).root
    if form:
        importable(root)
    count = write(root, version, file, only or SETS, exporter(form) if form else None)
    typer.echo(f"wrote {count} rows of {version} to {file}")


for command in (
    *(data_store.verify, data_store.push, data_store.pull, data_store.gc),
    *(data_rows.lineage, data_rows.forget),
    *(data_truth.contradictions, data_truth.rewrite),
):
    app.command()(command)
