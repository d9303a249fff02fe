"""Options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="The workspace, a folder.", show_default=True)
]
NowOption = Annotated[
    str | None, typer.Option("--now", help="Act as if it were this time (ISO 8601, UTC).")
]
TextColumn = Annotated[str, typer.Option(help="Column with the text.")]
LabelColumn = Annotated[str, typer.Option(help="Column with the label.")]


def at(now: str | None) -> datetime:
    """The time a command acts at. Raises DataError when it is not one."""
    from core.errors import DataError
    from core.records import utc

    if now is None:
        return datetime.now(UTC)
    try:
        return utc(datetime.fromisoformat(now))
    except (ValueError, OverflowError):
        raise DataError(
            "not a time", where="--now", got=now, expected="ISO 8601, as 2026-01-05T00:00"
        ) from None
