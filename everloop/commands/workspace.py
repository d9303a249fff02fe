"""Commands that make, check and serve a workspace."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

import typer

from everloop.commands.options import LabelColumn, NowOption, TextColumn, WorkspaceOption, at


def init(directory: Annotated[Path, typer.Argument(help="Folder to make the workspace in.")]) -> None:
    """Make a workspace: git, DVC, params.yaml and dvc.yaml.

    Example: everloop init shop
    """
    from everloop.init import init as make

    make(directory, typer.echo)


def check(workspace: WorkspaceOption = Path()) -> None:
    """Validate params.yaml and report all faults together.

    Prints the whole strategy with its defaults and what each key means. Does no work.

    Example: everloop check -w shop
    """
    from core import params
    from core import workspace as places
    from everloop.reference import explained
    from flows.strategy import Strategy

    place = places.find(workspace)
    typer.echo(explained(params.load(place.params, Strategy)))
    typer.echo(f"# {place.params} has no fault")


def train(
    table: Annotated[Path, typer.Argument(help="Labelled rows: CSV, JSONL or Parquet.")],
    evaluation: Annotated[Path, typer.Option("--eval", help="Labelled rows to evaluate on.")],
    workspace: WorkspaceOption = Path(),
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    now: NowOption = None,
) -> None:
    """Train the first model of a workspace; it is the champion.

    Example: everloop train train.csv --eval eval.csv -w shop
    """
    from core.errors import ModelError
    from core.tables import Columns
    from everloop.inputs import rows
    from flows.first import first_model
    from flows.home import open_home

    home, when = open_home(workspace), at(now)
    champion = home.store.get("champion")
    if champion is not None:
        raise ModelError(
            "this workspace has its first model already",
            where=str(home.workspace.root),
            got=f"version {champion} is champion",
            do="everloop retrain makes the next, or choose another workspace",
        )
    home.listen = lambda d: typer.echo(f"{d.verdict}: {d.reason}")
    columns, quarantine = Columns(text=text_column, label=label_column), home.workspace.quarantine
    initial = rows(table, "initial", columns, home.strategy, quarantine)
    first_model(home, initial, rows(evaluation, "eval", columns, home.strategy, quarantine), when)


def serve(
    workspace: WorkspaceOption = Path(),
    host: Annotated[str | None, typer.Option(help="Instead of serving.host of params.yaml.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Instead of serving.port of params.yaml.")
    ] = None,
) -> None:
    """Serve the champion over HTTP.

    /v1/predict, /v1/feedback, /health, /ready, and /docs that explains them.

    Example: everloop serve -w shop --port 8000
    """
    from datetime import UTC, datetime

    import uvicorn

    from flows.home import open_home
    from serving.app import create_app
    from serving.engine import Engine
    from serving.metrics import Metrics
    from serving.service import Service

    home = open_home(workspace)
    settings = home.strategy.serving
    with _listening(host or settings.host, settings.port if port is None else port) as door:
        service = Service(home.store, home.registry.load, home.strategy.logging.max_text_characters)
        service.refresh(datetime.now(UTC))  # no model is better known now than at the first request
        clock = lambda: datetime.now(UTC)  # noqa: E731
        app = create_app(Engine(service, clock, Metrics()), home.store, clock, settings)
        where = "{}:{}".format(*door.getsockname()[:2])
        typer.echo(
            f"serving on http://{where}, explained at http://{where}/docs; Ctrl-C stops", err=True
        )
        uvicorn.Server(uvicorn.Config(app, log_level="info")).run(sockets=[door])


def _listening(host: str, port: int) -> socket.socket:
    """An open port. Raises EverloopError when it cannot be had."""
    from core.errors import EverloopError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as fault:
        raise EverloopError(
            "the server cannot listen here",
            where=f"{host}:{port}",
            got=(fault.strerror or str(fault)).partition(" (while")[0].lower(),
            expected="a free port on an address of this machine",
            do="everloop serve --port ANOTHER",
        ) from None


def stage(
    name: Annotated[
        Literal["datasets", "training", "testing"], typer.Argument(help="Which of the three.")
    ],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Run one stage of dvc.yaml; `dvc repro` calls this.

    Example: everloop stage training
    """
    from everloop.stage import run_stage

    typer.echo(run_stage(workspace, name))


def add_to(app: typer.Typer) -> None:
    for command in (init, check, train, serve, stage):
        app.command()(command)
