"""everloop data, the part about where the bytes are: verify, push, pull, gc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.texts import counted
from everloop.commands.options import WorkspaceOption, datasets

if TYPE_CHECKING:
    from flows.session import Session
    from pipelines.datasets.remote import Transferred
    from pipelines.datasets.verify import Verification

Versions = Annotated[
    list[str] | None,
    typer.Argument(help="Versions, as v0003 or 3; all unless named.", callback=datasets),
]
Remote = Annotated[
    str | None, typer.Option(help="A remote as `dvc remote list` names it; else the default one.")
]


def verify(
    versions: Versions = None,
    remote: Remote = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read and hash what lies at the remote, too.")
    ] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Prove that tag, DVC hashes, objects and manifest of versions agree.

    Every object of the cache is hashed anew, and all rows that train are compared with all that
    evaluate. Exit code 1 when something is wrong.

    Example: everloop data verify v0003 --deep
    """
    from flows.session import open_session
    from pipelines.datasets.verify import verify as look

    session = open_session(workspace)
    checks = look(session.workspace.root, versions or (), remote, deep, _recorded(session))
    if not checks:
        typer.echo("no dataset version yet; the first: everloop train TRAIN.csv --eval EVAL.csv")
    for check in checks:
        typer.echo(_told(check))
    if any(check.faults for check in checks):
        raise typer.Exit(1)


def _recorded(session: Session) -> dict[str, str]:
    """The commits that the loop noted for the versions it made."""
    made = session.store.state.results("datasets/")
    return {key.removeprefix("datasets/"): str(result["commit"]) for key, result in made.items()}


def _told(check: Verification) -> str:
    there = f", {check.only_there} of them only at the remote" if check.only_there else ""
    what = f"{check.objects} objects, {size(check.bytes)}{there}"
    if check.faults:
        return "\n".join([f"{check.id}  NOT WHOLE  {what}", *(f"  {f}" for f in check.faults)])
    rows = f", {check.rows} rows" if check.rows else ""
    gone = f"; {check.forgotten}" if check.forgotten else ""
    return f"{check.id}  whole  {what}{rows}{gone}"


def push(versions: Versions = None, remote: Remote = None, workspace: WorkspaceOption = Path()) -> None:
    """Send versions to a remote: what it has already is not sent again.

    Example: everloop data push --remote backup
    """
    from core import workspace as places
    from pipelines.datasets.remote import push as send

    _say("sent", "to", send(places.find(workspace).root, versions or (), remote))


def pull(versions: Versions = None, remote: Remote = None, workspace: WorkspaceOption = Path()) -> None:
    """Fetch versions from a remote into the DVC cache. data/ stays as it is.

    Example: everloop data pull v0003 --remote backup
    """
    from core import workspace as places
    from pipelines.datasets.remote import pull as fetch

    _say("fetched", "from", fetch(places.find(workspace).root, versions or (), remote))
    typer.echo("next: everloop data checkout VERSION")


def _say(done: str, way: str, moved: Transferred) -> None:
    what = f"{moved.objects} objects" if moved.objects else "nothing: all was there"
    count = counted(moved.versions, "version")
    typer.echo(f"{count}: {done} {what} {way} {moved.remote} ({moved.url})")


def gc(
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Give up this version: its tag and what only it needs.", callback=datasets),
    ] = None,
    remote: Annotated[
        str | None, typer.Option(help="Clear this remote, too. Others may use it: see the docs.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Remove what no version, branch or folder needs from the DVC cache.

    Versions stay unless they are named. Says what would go, and asks.

    Example: everloop data gc --drop v0001 --yes
    """
    from everloop.progress import over
    from flows.session import open_session
    from pipelines.datasets.gc import collect, find_garbage

    session = open_session(workspace)
    root = session.workspace.root
    if drop:
        _check_not_served(session, drop)
    found = find_garbage(root, drop or (), remote)
    sides = [("the cache", found.cache), (f"remote {remote}", found.remote)]
    for where, objects in sides[: 2 if remote else 1]:
        typer.echo(f"{where}: {len(objects)} objects, {size(sum(objects.values()))} that nothing needs")
    for id in found.drop:
        typer.echo(f"tag dataset/{id} goes, too; {id} cannot be brought back")
    if not (found.cache or found.remote or found.drop):
        return
    over()
    if not yes and not typer.confirm("Remove it?"):
        typer.echo("nothing was removed")
        return
    collect(root, found)
    typer.echo("removed")


def _check_not_served(session: Session, drop: list[str]) -> None:
    """What the champion learnt from is still asked for: reference, lineage."""
    from core.errors import DatasetError
    from core.state import Champion

    champion = session.store.state.read(Champion).version
    learnt = {c.dataset for c in session.registry.versions() if c.version == champion}
    if learnt & set(drop):
        raise DatasetError(
            "the model that serves was trained on this version",
            where=str(session.workspace.root),
            got=", ".join(sorted(learnt)),
            expected="a version of no use any more",
            do="everloop data list",
        )


def size(count: int) -> str:
    """
    >>> size(999), size(24_120), size(1_500_000)
    ('999 B', '24.1 kB', '1.5 MB')
    """
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"
