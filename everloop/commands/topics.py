"""everloop topics: groups of texts the model has not learnt, and labels for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.commands.options import Group, NowOption, WorkspaceOption, acting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitoring.topics.tracking import TrackedTopic

app = typer.Typer(
    cls=Group, help="List new topics, and send their rows for labels.", invoke_without_command=True
)
WIDTH = 96  # characters of an example


@app.callback()
def topics(
    context: typer.Context,
    workspace: WorkspaceOption = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The open topics: name, rows, since when, and examples.

    Example: everloop topics -w shop
    """
    if context.invoked_subcommand:
        return
    from flows.session import open_session
    from flows.topics import open_topics

    session = open_session(workspace)
    found = open_topics(session)
    if as_json:
        typer.echo(json.dumps([_picture(c, texts) for c, texts in found], indent=2))
    elif not session.strategy.logging.texts:
        typer.echo("logging.policy is profile: no text is kept, so no topic can be seen")
    elif not found:
        typer.echo("no open topic; they are looked for with every window: everloop monitor")
    else:
        typer.echo("\n\n".join(_block(c, texts) for c, texts in found))
        typer.echo(f"\nsend rows for labels: everloop topics ask {found[0][0].name}")


def _block(c: TrackedTopic, texts: Sequence[str]) -> str:
    head = (
        f"{c.name}: {c.rows} rows since {c.since:%Y-%m-%d}, first seen {c.opened:%Y-%m-%d}, "
        f"mean confidence {c.confidence:.2f}"
    )
    asked = [f"  {len(c.asked)} of them are annotation tasks"] if c.asked else []
    from everloop.table import shortened

    lines = [shortened(" ".join(t.split()), WIDTH) for t in texts]
    return "\n".join([head, *asked, *(f"  - {line}" for line in lines)])


def _picture(c: TrackedTopic, texts: Sequence[str]) -> dict[str, object]:
    return {
        "name": c.name,
        "key": c.key,
        "rows": c.rows,
        "share": c.share,
        "since": c.since.isoformat(),
        "opened": c.opened.isoformat(),
        "seen": c.seen.isoformat(),
        "confidence": c.confidence,
        "novelty": c.novelty,
        "asked": len(c.asked),
        "examples": list(texts),
    }


@app.command()
def ask(
    name: Annotated[str, typer.Argument(help="The topic, as `everloop topics` names it.")],
    count: Annotated[int, typer.Option(min=1, help="How many of its rows shall be tasks.")] = 10,
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Make annotation tasks of some rows of a topic, drawn evenly.

    Asking again for as many changes nothing.

    Example: everloop topics ask tyre-oil-engine --count 10
    """
    from flows.session import open_session
    from flows.topics import ask as draw

    session = open_session(workspace)
    asked = draw(session, name, count, acting(session, now))
    typer.echo(f"{asked.topic.name}: {asked.tasks} of its rows are tasks, {asked.new} of them new")
    if asked.over:
        limit = session.strategy.curation.labels_per_day
        typer.echo(
            f"that is {asked.over} more than curation.labels_per_day ({limit}) has left", err=True
        )
    typer.echo("next: everloop label export tasks.csv")
