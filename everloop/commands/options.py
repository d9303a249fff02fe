"""Options that several commands share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from flows.session import Session

HOUR = timedelta(hours=1)
LONG = 1000  # characters: longer than any first sentence
WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="The workspace, a folder.", show_default=True)
]
NowOption = Annotated[
    str | None, typer.Option("--now", help="Act as if it were this time (ISO 8601, UTC).")
]
TextColumn = Annotated[str, typer.Option(help="Column with the text.")]
LabelColumn = Annotated[str, typer.Option(help="Column with the label.")]
TargetColumn = Annotated[
    str | None,
    typer.Option("--label-column", help="Column with the right answer. Default: label, or answer."),
]
TaskOption = Annotated[
    str, typer.Option("--task", help="What the model is asked: classification or generation.")
]


def dataset(name: str) -> str:
    """A dataset version as it is called, whichever way somebody writes it.

    >>> [dataset(x) for x in ("v1", "1", "V0001", "dataset/v0001", "v12345", "vx")]
    ['v0001', 'v0001', 'v0001', 'v0001', 'v12345', 'vx']
    """
    found = re.fullmatch(r"(?:dataset/)?v?(\d{1,9})", name.strip(), re.IGNORECASE)
    return f"v{int(found[1]):04d}" if found else name


def datasets(names: list[str] | None) -> list[str] | None:
    """Several of them."""
    return None if names is None else [dataset(name) for name in names]


def model(version: str | None) -> str | None:
    """A model version as it is called.

    >>> [model(x) for x in ("3", "v3", "03", "x")]
    ['3', '3', '3', 'x']
    """
    found = re.fullmatch(r"v?(\d{1,9})", version.strip(), re.IGNORECASE) if version else None
    return str(int(found[1])) if found else version


GONE = {  # commands of older versions, and what does their work now
    "everloop flow": "everloop schedule --once NAME",
    "everloop sample": "everloop demo --data FOLDER",
    "everloop quarantine": "everloop monitor --failed 7d",
    "everloop collection show": "everloop collection list NAME",
    "everloop clock": "everloop check --clock, or --set-back",
    "everloop data show": "everloop data list VERSION --rows",
    "everloop data log": "everloop data list VERSION",
    "everloop label set show": "everloop label set",
}


class Group(TyperGroup):
    """Its help has the whole first sentence of each command, over as many lines as that takes."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if now := GONE.get(f"{ctx.command_path} {args[0]}"):
            ctx.fail(f"'{args[0]}' is gone; now: {now}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [(name, c.get_short_help_str(LONG)) for name, c in found if c and not c.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(shown)


def at(now: str | None) -> datetime:
    """The time a command acts at. Raises DataError when it is not one."""
    from core.errors import DataError
    from core.times import utc

    if now is None:
        return datetime.now(UTC)
    try:
        return utc(datetime.fromisoformat(now))
    except (ValueError, OverflowError):
        raise DataError(
            "not a time", where="--now", got=now, expected="ISO 8601, as 2026-01-05T00:00"
        ) from None


def acting(session: Session, now: str | None) -> datetime:
    """The time a command acts at that decides or stores. Raises ClockError for one before what the
    workspace knows, or still to come."""
    from flows import clock

    return clock.acting(session, None if now is None else at(now))


def since(stretch: str, now: datetime, option: str = "--since") -> datetime:
    """Where a stretch of time begins. Raises DataError when it is neither a stretch of time nor a time.

    >>> since("14d", datetime(2026, 1, 15)), since("36h", datetime(2026, 1, 2, 12))
    (datetime.datetime(2026, 1, 1, 0, 0), datetime.datetime(2026, 1, 1, 0, 0))
    """
    from core.errors import DataError
    from core.times import utc

    found = re.fullmatch(r"(\d{1,6})([hdw])", stretch)
    try:
        if found:
            return now - int(found[1]) * {"h": HOUR, "d": 24 * HOUR, "w": 168 * HOUR}[found[2]]
        return utc(datetime.fromisoformat(stretch))
    except (ValueError, OverflowError):
        expected = "36h, 14d, 8w, or a time as 2026-01-05T00:00"
        raise DataError("not a stretch of time", where=option, got=stretch, expected=expected) from None
