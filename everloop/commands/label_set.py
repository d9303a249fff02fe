"""everloop label set: which labels there are, and how that changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.texts import counted
from everloop.commands.options import Group, NowOption, WorkspaceOption, at

if TYPE_CHECKING:
    from core.label_set import Kind

app = typer.Typer(
    cls=Group, help="Show, add, merge, split and retire labels.", invoke_without_command=True
)
Labels = Annotated[list[str], typer.Argument(help="The labels.")]
Why = Annotated[str, typer.Option(help="The reason; it is kept.")]
By = Annotated[str, typer.Option(help="Who decides.")]


@app.callback()
def show(
    context: typer.Context,
    workspace: WorkspaceOption = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The labels there are, and every change so far.

    Example: everloop label set -w shop
    """
    if context.invoked_subcommand:
        return
    from core.label_set import LabelSet
    from flows.labels import known_labels
    from flows.session import open_session

    session = open_session(workspace)
    labels = LabelSet.load(session.workspace.root)
    names = known_labels(session, labels)
    if as_json:
        done = [vars(o) for o in labels.operations]
        typer.echo(
            json.dumps({"version": labels.version, "labels": names, "operations": done}, indent=2)
        )
        return
    listed = ", ".join(names) or "those of the first training data: everloop train"
    typer.echo(f"version {labels.version}: {len(names)} labels: {listed}")
    made = labels.as_of(at(None)).version
    for n, o in enumerate(labels.operations, 1):
        why = f" ({o.why})" if o.why else ""
        yet = "" if n <= made else "; not yet: it counts from its time on, and after those before it"
        typer.echo(f"{n:>3}  {o.at[:10]}  {o.by}: {o.to_text()}{why}{yet}")


@app.command()
def add(
    labels: Labels,
    workspace: WorkspaceOption = Path(),
    why: Why = "",
    by: By = "user",
    now: NowOption = None,
) -> None:
    """Allow new labels.

    Votes that wait for one of these names count from now on; `everloop label status` lists them.

    Example: everloop label set add crypto_wallet --why "launched in May"
    """
    _change(workspace, "add", labels, [], (by, why), now)


@app.command()
def merge(
    labels: Labels,
    into: Annotated[str, typer.Option(help="What they are called from now on.")],
    workspace: WorkspaceOption = Path(),
    why: Why = "",
    by: By = "user",
    now: NowOption = None,
) -> None:
    """Make one label of several, or give one a new name.

    Old rows count under the new name from the next dataset on; datasets of before stay as they were.

    Example: everloop label set merge card_lost card_stolen --into card_gone
    """
    _change(workspace, "merge", labels, [into], (by, why), now)


@app.command()
def split(
    label: Annotated[str, typer.Argument(help="The label that is too wide.")],
    into: Annotated[list[str], typer.Option(help="A label it becomes; give two or more.")],
    workspace: WorkspaceOption = Path(),
    why: Why = "",
    by: By = "user",
    now: NowOption = None,
) -> None:
    """Make several labels of one.

    Its rows are in no dataset until somebody says which label each has: all of them are under review.

    Example: everloop label set split card --into card_lost --into card_fee
    """
    _change(workspace, "split", [label], into, (by, why), now)


@app.command()
def retire(
    labels: Labels,
    workspace: WorkspaceOption = Path(),
    why: Why = "",
    by: By = "user",
    now: NowOption = None,
) -> None:
    """End labels: nobody can give them, and their rows are in no dataset from the next one on.

    Example: everloop label set retire fax --why "no longer offered"
    """
    _change(workspace, "retire", labels, [], (by, why), now)


def _change(
    workspace: Path,
    kind: Kind,
    names: list[str],
    into: list[str],
    said: tuple[str, str],
    now: str | None,
) -> None:
    from core.label_names import normal
    from core.label_set import Operation
    from flows.label_set import change
    from flows.labels import release
    from flows.session import open_session

    olds, news = (tuple(map(normal, x)) for x in (names, into))
    asked = Operation(kind, olds, news, at(now).isoformat(), *said)
    session = open_session(workspace)
    labels, waiting = change(session, asked)
    typer.echo(f"label set version {labels.version}: {asked.to_text()}")
    if taken := release(session, at(now)):
        typer.echo(f"{counted(taken, 'vote')} that waited for such a label: taken")
    if kind == "split":
        typer.echo(f"{waiting} rows wait for a label: everloop label review, or the labelling page")
