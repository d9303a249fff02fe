"""Every command, grouped by the noun it works on. Heavy imports stand inside the commands."""

from __future__ import annotations

import typer

from everloop.commands import (
    clock,
    collection,
    data,
    keys,
    label,
    monitor,
    predict,
    quarantine,
    replay,
    rollout,
    runtimes,
    serve,
    topics,
    turn,
    workspace,
)

app = typer.Typer(
    name="everloop",
    help="Keep a deployed language model from going stale.\n\nExample: everloop demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
for module in (workspace, serve, predict, replay, monitor, turn, quarantine, runtimes, clock):
    module.add_to(app)
app.add_typer(data.app, name="data")
app.add_typer(collection.app, name="collection")
app.add_typer(label.app, name="label")
app.add_typer(rollout.app, name="rollout")
app.add_typer(keys.app, name="keys")
app.add_typer(topics.app, name="topics")
