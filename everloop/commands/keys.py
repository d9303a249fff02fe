"""everloop keys: who may ask the server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import Group, NowOption, WorkspaceOption, at

app = typer.Typer(
    cls=Group,
    help="Make, list and revoke API keys.\n\nOnce there is one, every call of the server needs one.",
    no_args_is_help=True,
)


class What(StrEnum):
    """`core.store.keys.Scope`, as the command line reads a list of them."""

    predict = "predict"
    feedback = "feedback"
    label = "label"
    admin = "admin"


Name = Annotated[str, typer.Argument(help="Whose key it is; stands in the server's log.")]


@app.command()
def add(
    name: Name,
    scope: Annotated[
        list[What],
        typer.Option(
            help="What it may do; say it once for each. label opens the page at /label, admin /metrics."
        ),
    ],
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Make a key. Its token is printed once, alone on stdout, and not kept.

    Example: everloop keys add shop --scope predict --scope feedback
    """
    from flows.session import open_store

    scopes = [s.value for s in What if s in scope]
    token = open_store(workspace).keys.add(name, scopes, at(now))
    typer.echo(f"key {name} may {', '.join(scopes)}. Its token, shown this once:", err=True)
    typer.echo(token)
    typer.echo("send it as: Authorization: Bearer TOKEN", err=True)


@app.command("list")
def list_keys(workspace: WorkspaceOption = Path()) -> None:
    """Every key there ever was. Tokens are not kept, so they are not shown.

    Example: everloop keys list
    """
    from everloop.table import table
    from flows.session import open_store

    keys = open_store(workspace).keys.all()
    if not keys:
        typer.echo("no keys: whoever reaches the server may use it, and it listens on loopback only")
        typer.echo("the first: everloop keys add NAME --scope predict --scope feedback")
        return
    when = "%Y-%m-%d %H:%M"
    rows = [
        [
            k.name,
            ", ".join(k.scopes),
            k.created.strftime(when),
            k.revoked.strftime(when) if k.revoked else "",
        ]
        for k in keys
    ]
    typer.echo(table(["name", "scopes", "created (UTC)", "revoked (UTC)"], rows))


@app.command()
def revoke(name: Name, workspace: WorkspaceOption = Path(), now: NowOption = None) -> None:
    """End a key for good. Running servers refuse it within half a second.

    Example: everloop keys revoke shop
    """
    from flows.session import open_session
    from serving.settings import POLL_SECONDS

    session = open_session(workspace)
    session.store.keys.revoke(name, at(now))
    typer.echo(f"key {name} is revoked; servers refuse it within {POLL_SECONDS:g} s")
