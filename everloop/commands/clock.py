"""everloop clock: what time it is for a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import WorkspaceOption, at


def clock(
    workspace: WorkspaceOption = Path(),
    back: Annotated[
        bool, typer.Option("--set-back", help="Call all that claims to be later of now.")
    ] = False,
) -> None:
    """The machine's clock, and the newest record of each kind.

    A turn before what the workspace knows is refused (a minute between machines is allowed, an hour
    before answers and labels). Where a clock ran ahead and was mended, every turn would be refused;
    --set-back is the way out: each record of later than now gets the time of now. Nothing is dropped
    but signals of windows that have not been. Stop servers and schedules first.

    Example: everloop clock -w shop
    """
    from getpass import getuser

    from everloop.table import table
    from flows.clock import newest, set_back
    from flows.session import open_session

    session, now = open_session(workspace), at(None)
    if back:
        decision, _ = set_back(session, now, getuser())
        typer.echo(decision.reason)
    rows = [["this machine", f"{now:%Y-%m-%d %H:%M:%S}", ""]]
    rows += [
        [k.what, f"{k.time:%Y-%m-%d %H:%M:%S}", "later than now" * (k.time > now)]
        for k in newest(session)
    ]
    typer.echo(table(["newest", "time (UTC)", ""], rows))
