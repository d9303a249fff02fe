"""everloop quarantine: rows that failed data quality checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at, since


def quarantine(
    workspace: WorkspaceOption = Path(),
    since_: Annotated[str, typer.Option("--since", help="How far back: 36h, 14d, 8w.")] = "7d",
    now: NowOption = None,
) -> None:
    """Rows that failed data quality checks, and which ones. They are never picked for labels.

    Example: everloop quarantine --since 14d
    """
    from everloop.table import table
    from flows.home import open_store

    rows = open_store(workspace).signals.quarantine(since(since_, at(now)))
    shown = [[r.request_id, f"{r.timestamp:%Y-%m-%d %H:%M}", ", ".join(r.reasons)] for r in rows]
    if shown:
        typer.echo(table(["request", "time (UTC)", "failed"], shown))
    else:
        typer.echo(f"no row failed a check since {since_}")


def add_to(app: typer.Typer) -> None:
    app.command()(quarantine)
