"""Commands that make, check and serve a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import LabelColumn, NowOption, TextColumn, WorkspaceOption, at


def init(directory: Annotated[Path, typer.Argument(help="Folder to make the workspace in.")]) -> None:
    """Make a workspace: a git + DVC repository with params.yaml, dvc.yaml and a store.

    Example: everloop init shop
    """
    from everloop.init import init as make

    make(directory, typer.echo)


def check(workspace: WorkspaceOption = Path()) -> None:
    """Validate params.yaml and report all faults together. Does no work.

    Example: everloop check -w shop
    """
    from core import params
    from core import workspace as places
    from flows.strategy import Strategy

    place = places.find(workspace)
    strategy = params.load(place.params, Strategy)
    for name, section in strategy:
        policy = getattr(section, "policy", None)
        settings = {k: v for k, v in section.model_dump().items() if k != "policy"}
        typer.echo(f"{name + ':':<12} {policy or ''}{' ' if policy else ''}{settings}")
    typer.echo(f"{place.params} is a strategy")


def train(
    table: Annotated[Path, typer.Argument(help="Labelled rows: CSV, JSONL or Parquet.")],
    evaluation: Annotated[Path, typer.Option("--eval", help="Labelled rows to evaluate on.")],
    workspace: WorkspaceOption = Path(),
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    now: NowOption = None,
) -> None:
    """Train the first model of a workspace and make it the champion.

    Example: everloop train train.csv --eval eval.csv -w shop
    """
    from everloop.inputs import labelled
    from flows.first import first_model
    from flows.home import open_home

    home = open_home(workspace)
    home.listen = lambda d: typer.echo(f"{d.verdict}: {d.reason}")
    first_model(
        home,
        labelled(home, table, text_column, label_column),
        labelled(home, evaluation, text_column, label_column),
        at(now),
    )


def serve(
    workspace: WorkspaceOption = Path(),
    host: Annotated[str | None, typer.Option(help="Instead of serving.host of params.yaml.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of serving.port of params.yaml.")] = None,
) -> None:
    """Serve the champion over HTTP: /v1/predict, /v1/feedback, /health, /ready.

    Example: everloop serve -w shop --port 8000
    """
    from datetime import UTC, datetime

    import uvicorn

    from flows.home import open_home
    from serving.app import create_app
    from serving.service import Service

    home = open_home(workspace)
    settings = home.strategy.serving
    service = Service(home.store, home.registry.load, home.strategy.logging.max_text_characters)
    app = create_app(service, home.store, lambda: datetime.now(UTC), settings)
    uvicorn.run(app, host=host or settings.host, port=port or settings.port, log_level="info")


def stage(
    name: Annotated[str, typer.Argument(help="datasets, training or testing.")],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Run one stage of dvc.yaml; `dvc repro` calls this.

    Example: dvc repro
    """
    from everloop.stage import run_stage

    typer.echo(run_stage(workspace, name))


def add_to(app: typer.Typer) -> None:
    for command in (init, check, train, serve, stage):
        app.command()(command)
