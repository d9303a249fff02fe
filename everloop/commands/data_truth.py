"""everloop data, the part about truth that changes: contradictions, and rewrites of old rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.commands.options import NowOption, WorkspaceOption, acting

if TYPE_CHECKING:
    import pandas as pd

    from core.rewrites import Rewrite
    from flows.contradictions import Effect
    from pipelines.datasets.contradictions import Contradiction

PAIRS = 3
WIDTH = 96  # characters of a request or an answer


def contradictions(workspace: WorkspaceOption = Path(), now: NowOption = None) -> None:
    """Old labelled rows that newer ones contradict: a name that was replaced, since when, and examples.

    Requests near each other are compared. The loop looks with every turn, and gives old rows the new
    name in the next versions (datasets.supersede: rewrite).

    Example: everloop data contradictions
    """
    from flows.contradictions import check_written
    from flows.contradictions import contradictions as look
    from flows.session import open_session

    session = open_session(workspace)
    check_written(session)
    rows, found = look(session, acting(session, now))
    told = [_told(change, rows) for change in found.changes]
    told += [
        f'suspected: "{_short(rows["text"][s.row])}" has "{s.new}", which no row had before; '
        f'{len(s.near)} rows near it have "{s.old}"'
        for s in found.suspicions
    ]
    typer.echo("\n\n".join(told) or f"no contradiction in {len(rows)} labelled rows")


def _told(change: Contradiction, rows: pd.DataFrame) -> str:
    from core.texts import counted
    from flows.contradictions import in_words

    lines = [in_words(change)]
    for near, row in change.pairs[:PAIRS]:
        for side, at in (("before", near), ("since", row)):
            lines.append(f"  {side:<8}{_short(rows['text'][at])}: {_short(rows['target'][at])}")
    does = f"--jq {_quoted(change.jq)}" if change.renames else "--retire"
    ends = "give them the new name" if change.renames else "leave them out"
    lines.append(f"{counted(len(change.outdated), 'older row')} say otherwise; {ends}:")
    return "\n".join([*lines, f"  everloop data rewrite {does} --where {_quoted(change.where)}"])


def _quoted(program: str) -> str:
    return "'" + program.replace("'", "'\\''") + "'"


def rewrite(
    where: Annotated[
        str, typer.Option(help="Which rows: a jq program on input, target and time that says true.")
    ] = "",
    jq: Annotated[
        str, typer.Option("--jq", help="What they become: a jq program that changes .target.")
    ] = "",
    retire: Annotated[
        bool, typer.Option("--retire", help="Leave the rows out instead of changing them.")
    ] = False,
    undo: Annotated[int, typer.Option(help="Undo the rewrite with this number.")] = 0,
    why: Annotated[str, typer.Option(help="The reason; it is kept.")] = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do it; else it only shows what would change.")
    ] = False,
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Change what old rows say from the next dataset version on, or leave them out; alone, list them.

    Nothing is lost: earlier versions stay as they are, and a rewrite can be undone. Evaluation rows are
    changed too.

    Example: everloop data rewrite --where '.target.name == "a"' --retire
    """
    from core import rewrites
    from flows import contradictions as flow
    from flows.session import open_session

    session = open_session(workspace)
    flow.check_written(session)
    if not where and not undo:
        typer.echo(_listed(rewrites.load(session.workspace.root)) or "no rewrite yet")
        return
    when = acting(session, now)
    if undo:
        typer.echo(f"undone: {flow.take_back(session, undo, when).to_text()}")
        return
    if retire == bool(jq):
        raise typer.BadParameter("either --jq or --retire", param_hint="'--where'")
    asked = rewrites.Rewrite(where, jq, when.isoformat(), "by hand", why)
    found = flow.effect(session, asked)
    typer.echo(_shown(found))
    if found.meant and yes:
        number = flow.add(session, asked)
        typer.echo(
            f"rewrite {number}, from the next version on; undo it: "
            f"everloop data rewrite --undo {number}"
        )
    elif found.meant:
        typer.echo("nothing was changed; --yes does it")


def _shown(found: Effect) -> str:
    lines = [f"{found.meant} of {found.rows} rows"]
    for request, before, after in found.pairs[:PAIRS]:
        ends = "left out" if after is None else _short(after)
        lines += [f"  {_short(request)}", f"    before  {_short(before)}", f"    after   {ends}"]
    return "\n".join(lines)


def _listed(found: tuple[Rewrite, ...]) -> str:
    from everloop.table import table

    rows = [
        [i, r.at[:16], f"undone {r.undone[:16]}" if r.undone else "counts", r.to_text(), r.by, r.why]
        for i, r in enumerate(found, 1)
    ]
    return table(["number", "since", "state", "what", "by", "why"], rows) if rows else ""


def _short(text: str) -> str:
    from everloop.table import shortened

    return shortened(" ".join(text.split()), WIDTH)
