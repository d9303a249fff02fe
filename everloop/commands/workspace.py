"""Commands that make and check a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from everloop.commands.options import (
    NowOption,
    TargetColumn,
    TaskOption,
    TextColumn,
    WorkspaceOption,
    acting,
)


def init(
    directory: Annotated[Path, typer.Argument(help="Folder to make the workspace in.")],
    task: TaskOption = "classification",
) -> None:
    """Make a workspace: git, DVC, params.yaml and dvc.yaml.

    Example: everloop init shop
    """
    from everloop.init import init as make

    make(directory, typer.echo, task)


def check(
    workspace: WorkspaceOption = Path(),
    trust: Annotated[
        bool, typer.Option("--trust", help="Let the code that params.yaml names run here.")
    ] = False,
    clock: Annotated[
        bool,
        typer.Option("--clock", help="Show this machine's clock and the newest records."),
    ] = False,
    back: Annotated[
        bool, typer.Option("--set-back", help="Call all that claims to be later of now.")
    ] = False,
) -> None:
    """Validate params.yaml and report all faults together.

    Prints the whole strategy with its defaults and what each key means. Does no work. What the file
    names must be there: guideline, collections, a local encoder, the package of the hook; and
    data/labels.json must be one. It does not look at models on the Hub, environment variables, and
    files that a scheduled batch waits for.

    Where params.yaml names functions (logging.redact_with, monitoring.hook) or policies by their import
    path (policy: package.module:Class), the workspace is code. No other command opens it before
    --trust, and again after that code has changed; the settings of such a policy are checked after
    it, too. Where the workspace was copied or moved, its absolute paths are put right.

    A turn before what the workspace knows is refused (a minute between machines is allowed, an hour
    before answers and labels). Where a clock ran ahead and was mended, every turn would be refused;
    --set-back is the way out: each record of later than now gets the time of now. Nothing is dropped
    but signals of windows that have not been. Stop servers and schedules first.

    Example: everloop check -w shop
    """
    if clock or back:
        from everloop.clock import clock as told

        for words in told(workspace, back):
            typer.echo(words)
        return
    from core import params
    from core import trust as trusted
    from core import workspace as places
    from core.label_set import LabelSet
    from core.plugins import NO_CODE
    from core.relocation import follow
    from everloop.reference import explained
    from flows.fits import check_task
    from flows.references import check_references, renamed
    from flows.strategy import Strategy, clashes, load
    from pipelines.datasets.local import settle

    place = places.find(workspace)
    strategy = params.load(place.params, Strategy, NO_CODE)
    if trust and strategy.code:
        granted = trusted.grant(place.root, strategy.code)
    if known := trusted.known(place.root, strategy.code):
        strategy = load(place.params, place.root)
    check_task(place, strategy, strategy.task)
    check_references(place, strategy)
    LabelSet.load(place.root)
    typer.echo(explained(strategy))
    for name in renamed(place):
        typer.echo(f"# {name}")
    typer.echo(f"# {place.params} has no fault")
    for words in trusted.in_words(place.root, strategy.code):
        typer.echo(f"# it names code: {words}")
    for words in clashes():
        typer.echo(f"# {words}")
    if trust and strategy.code:
        typer.echo(f"# trusted, as it is now: {granted}")
    elif not known:
        typer.echo(f"# not trusted yet: read it, then: everloop check --trust -w {place.root}")
    settle(place.root)
    follow(place.tracking, place.artifacts)


def train(
    table: Annotated[Path, typer.Argument(help="Labelled rows: CSV, JSONL or Parquet.")],
    evaluation: Annotated[Path, typer.Option("--eval", help="Labelled rows to evaluate on.")],
    workspace: WorkspaceOption = Path(),
    text_column: TextColumn = "text",
    label_column: TargetColumn = None,
    now: NowOption = None,
) -> None:
    """Train the first model of a workspace; it is the champion.

    Example: everloop train train.csv --eval eval.csv -w shop
    """
    from core.errors import ModelError
    from core.state import Champion
    from core.tables import Columns
    from everloop.inputs import pair
    from flows.first import first_model
    from flows.session import open_session

    session = open_session(workspace)
    when = acting(session, now)
    champion = session.store.state.read(Champion).version
    if champion is not None:
        raise ModelError(
            "this workspace has its first model already",
            where=str(session.workspace.root),
            got=f"version {champion} is champion",
            do="everloop retrain makes the next, or choose another workspace",
        )
    session.listen = lambda d: typer.echo(f"{d.verdict}: {d.reason}")
    columns = Columns(text=text_column, label=label_column or session.task.column)
    quarantine = session.workspace.quarantine
    names = session.store.label_set_at(when)
    initial, judged = pair((table, evaluation), columns, session.strategy, quarantine, names)
    first_model(session, initial, judged, when)


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
