"""Every command, grouped by the noun it works on. Heavy imports stand inside the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from everloop.commands import (
    collection,
    data,
    feedback,
    keys,
    label,
    monitor,
    predict,
    replay,
    rollout,
    runtimes,
    serve,
    topics,
    turn,
    workspace,
)
from everloop.commands.options import Group
from everloop.progress import shown


def _said(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"everloop {version('everloop')}")
        raise typer.Exit


app = typer.Typer(
    cls=Group,
    name="everloop",
    help="Keep a deployed language model from going stale.\n\nExample: everloop demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _top(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is.", is_eager=True, callback=_said),
    ] = False,
) -> None:
    context.with_resource(shown())


for command in (
    *(workspace.init, workspace.check, workspace.train, serve.serve, predict.predict),
    *(replay.demo, replay.replay, monitor.monitor, monitor.alerts, monitor.signals),
    *(turn.loop, turn.retrain, turn.schedule, runtimes.runtimes),
):
    app.command()(command)
app.command(hidden=True)(workspace.stage)  # dvc.yaml calls it
app.add_typer(data.app, name="data")
app.add_typer(collection.app, name="collection")
app.add_typer(label.app, name="label")
app.add_typer(feedback.app, name="feedback")
app.add_typer(rollout.app, name="rollout")
app.add_typer(keys.app, name="keys")
app.add_typer(topics.app, name="topics")
