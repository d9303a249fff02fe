"""everloop predict: a whole file through the serving path."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.commands.options import NowOption, TextColumn, WorkspaceOption, at

if TYPE_CHECKING:
    from serving.batch import Done, Job


def predict(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Texts to answer: CSV, JSONL or Parquet.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The same rows with answers.")],
    workspace: WorkspaceOption = Path(),
    text_column: TextColumn = "text",
    now: NowOption = None,
) -> None:
    """Answer every row of a file.

    OUT has the columns of IN and label (answer, of a model that writes), score, model_version,
    variant and prediction_id (predicted_label where IN has a label already); its suffix says the
    format. In CSV and JSONL, bytes of other columns are base64. The answers are logged as those of the
    server are. Killed and run again, it goes on where it stopped.

    Example: everloop predict tickets.csv answers.parquet -w shop
    """
    from core.progress import doing
    from core.readers import about_rows
    from flows.batch_predict import check_answered, predict_file, quarantine_of
    from flows.clock import check_ahead
    from flows.session import open_session
    from serving.batch import Job

    session, job, when = open_session(workspace), Job(source, out, text_column), at(now)
    check_ahead(session, when)
    began, answered = time.perf_counter(), 0
    total = about_rows(source) if source.is_file() else None

    def advance(rows: int, new: int) -> None:
        nonlocal answered, began
        began = began if rows else time.perf_counter()
        answered += new
        doing("answering", rows, total, "rows")

    done = predict_file(session, job, when, advance)
    _tell(job, done, answered, time.perf_counter() - began, quarantine_of(session, job))
    check_answered(session, job, done)


def _tell(job: Job, done: Done, answered: int, seconds: float, quarantine: Path) -> None:
    if done.refused:
        count = f"{done.refused} row{'s' * (done.refused > 1)}"
        typer.echo(
            f"warning: {job.source.name}: {count} refused; the reasons are in {quarantine}", err=True
        )
    said = f"{job.out}: {done.rows} rows, {done.refused} refused"
    if answered:
        typer.echo(f"{said}, {seconds:.1f} s, {answered / seconds:.0f} texts/s")
    else:
        typer.echo(f"{said}, done already")
