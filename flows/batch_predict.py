"""Batch prediction in a workspace: of the file somebody names, or of the one whose turn it is.

schedule:
  batch: {input: "inbox/{date}.csv", output: "answers/{date}.csv", hours: 24}
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from core.errors import DataError, ParamsError
from flows.home import Home
from serving.batch import Done, FileClassifier, Job
from serving.service import Service


def predict_file(
    home: Home, job: Job, now: datetime, tell: Callable[[int, int], None] = lambda *_: None
) -> Done:
    """Answer every row of a file with the models that serve. Raises as `Batch.run`."""
    logging = home.strategy.logging
    max_text = logging.max_text_characters
    service = Service(home.store, home.registry.load, max_text, policy=logging)
    return FileClassifier(home.store, service, max_text, quarantine_of(home, job)).run(job, now, tell)


def check_answered(home: Home, job: Job, done: Done) -> None:
    """Raises DataError when every row of the file was refused."""
    if done.refused and not done.rows:
        raise DataError(
            "not one row of this file could be answered",
            where=str(job.source),
            got=f"{done.refused} row{'s' * (done.refused > 1)}, all refused",
            expected="at least one text",
            do=f"see the reasons in {quarantine_of(home, job)}",
        )


def quarantine_of(home: Home, job: Job) -> Path:
    """Where the refused rows of a file go."""
    return home.workspace.quarantine / f"predict-{job.out.stem}.csv"


def scheduled_job(home: Home, now: datetime) -> Job:
    """The file of `schedule.batch` at this time. Raises ParamsError when there is none."""
    batch = home.strategy.schedule.batch
    if batch is None:
        raise ParamsError(
            "no batch prediction is scheduled",
            where=f"{home.workspace.params}, schedule.batch",
            got="nothing",
            expected="batch: {input: 'inbox/{date}.csv', output: 'answers/{date}.csv'}",
            do="add it, or name a file: everloop predict IN OUT",
        )
    source, out = (
        home.workspace.root
        / pattern.replace("{date}", f"{now:%Y-%m-%d}").replace("{hour}", f"{now:%H}")
        for pattern in (batch.input, batch.output)
    )
    return Job(source, out, batch.text_column)
