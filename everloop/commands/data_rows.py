"""everloop data, the part about single rows: where they went, and forgetting them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.commands.options import NowOption, WorkspaceOption, acting, dataset

if TYPE_CHECKING:
    from flows.forget import Asked, Found


def lineage(
    id: Annotated[
        str,
        typer.Argument(help="A prediction, request, dataset version, model version, run or rollout."),
    ],
    workspace: WorkspaceOption = Path(),
    json: Annotated[bool, typer.Option("--json", help="As JSON, with nothing left out.")] = False,
) -> None:
    """What an id is, what it came from, and every dataset, model, test and rollout it fed.

    Example: everloop data lineage v0003
    """
    from core import workspace as places
    from core.store import Store
    from flows.lineage import as_json, trace

    place = places.find(workspace)
    store = Store(place.store_url)
    try:
        found = trace(place, store, dataset(id) if id[:1] in "vV" else id)
    finally:
        store.close()
    typer.echo(as_json(found) if json else "\n\n".join(link.to_text() for link in found))


def forget(
    user: Annotated[
        str | None, typer.Option(help="Forget all rows of this user, as the requests named them.")
    ] = None,
    prediction: Annotated[str | None, typer.Option(help="Forget the row with this id.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Forget every row with this text, whatever its case and spacing.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do it; else it only says what goes.")
    ] = False,
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Remove rows from log, reservoir, caches and reports, and make a dataset version without them.

    Without --yes it only says what would go. Without a choice it finishes what was begun and killed.

    Example: everloop data forget --user u0577 --yes
    """
    from flows.forget import finish, look, remains
    from flows.forget import forget as remove
    from flows.session import open_session

    session = open_session(workspace)
    when = acting(session, now)
    asked = _asked(user, prediction, text)
    if asked is None:
        made = finish(session, when)
        typer.echo(f"finished{f'; made {made}' if made else ''}")
        return
    found = look(session, *asked)
    if not found:
        typer.echo("nothing here is meant by that")
        return
    for line in _told(found):
        typer.echo(line)
    if not yes:
        typer.echo("nothing was removed; --yes does it")
        return
    made = remove(session, found, when)
    typer.echo(f"forgotten{f'; made {made} without the rows' if made else ''}")
    for line in remains(session, found):
        typer.echo(line)


def _asked(user: str | None, prediction: str | None, text: str | None) -> tuple[Asked, str] | None:
    """Raises DataError for more than one choice, and for an empty one."""
    from core.errors import DataError
    from core.ids import hash_user

    given = [
        (k, v) for k, v in (("user", user), ("prediction", prediction), ("text", text)) if v is not None
    ]
    if len(given) > 1 or (given and not given[0][1].strip()):
        raise DataError(
            "one choice at a time, and not an empty one",
            got=", ".join(f"--{k} {v!a}" for k, v in given),
            expected="--user NAME, --prediction ID or --text TEXT",
        )
    if user is not None:
        return "user", hash_user(user)
    if prediction is not None:
        return "prediction", prediction
    return None if text is None else ("text", text)


def _told(found: Found) -> list[str]:
    lines = [f"log: {_rows(len(found.log))}", f"reservoir: {_rows(len(found.reservoir))}"]
    if found.versions:
        lines.append(f"dataset versions with them: {', '.join(sorted(found.versions))}")
    if found.not_here:
        lines.append(f"may have them, too (everloop data pull, and ask again): {_few(found.not_here)}")
    if found.models:
        lines.append(f"models that learnt from them or were tested on them: {', '.join(found.models)}")
    for name, paths in (
        ("collections", found.collections),
        ("spool", found.spool),
        ("reports and refused rows that quote a text", found.pages),
    ):
        if paths:
            lines.append(f"{name}: {', '.join(str(p) for p in paths)}")
    if found.begun:
        lines.append(f"begun before and not done: {_rows(found.begun)}")
    return lines


def _few(names: list[str]) -> str:
    """
    >>> _few(["v0001"]), _few(["v0001", "v0002", "v0003"])
    ('v0001', 'v0001 .. v0003')
    """
    return names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
