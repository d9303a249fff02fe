"""Batch prediction in a workspace: of the file somebody names, or of the one whose turn it is.

schedule:
  batch: {input: "inbox/{date}.csv", output: "answers/{date}.csv", hours: 24}
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from core.errors import DataError, ParamsError
from flows.session import Session
from serving.batch import Done, FileClassifier, Job
from serving.service import Service


def predict_file(
    session: Session, job: Job, now: datetime, tell: Callable[[int, int], None] = lambda *_: None
) -> Done:
    """Answer every row of a file with the models that serve. Raises as `Batch.run`."""
    logging = session.strategy.logging
    max_text = logging.max_text_characters
    service = Service(session.store, session.registry.load, max_text, policy=logging)
    return FileClassifier(session.store, service, max_text, quarantine_of(session, job)).run(
        job, now, tell
    )


def check_answered(session: Session, job: Job, done: Done) -> None:
    """Raises DataError when every row of the file was refused."""
    if done.refused and not done.rows:
        raise DataError(
            "not one row of this file could be answered",
            where=str(job.source),
            got=f"{done.refused} row{'s' * (done.refused > 1)}, all refused",
            expected="at least one text",
            do=f"see the reasons in {quarantine_of(session, job)}",
        )


def quarantine_of(session: Session, job: Job) -> Path:
    """Where the refused rows of a file go."""
    return session.workspace.quarantine / f"predict-{job.out.stem}.csv"


def scheduled_job(session: Session, now: datetime) -> Job:
    """The file of `schedule.batch` at this time. Raises ParamsError when there is none."""
    batch = session.strategy.schedule.batch
    if batch is None:
        raise ParamsError(
            "no batch prediction is scheduled",
            where=f"{session.workspace.params}, schedule.batch",
            got="nothing",
            expected="batch: {input: 'inbox/{date}.csv', output: 'answers/{date}.csv'}",
            do="add it, or name a file: everloop predict IN OUT",
        )
    source, out = (
        session.workspace.root
        / pattern.replace("{date}", f"{now:%Y-%m-%d}").replace("{hour}", f"{now:%H}")
        for pattern in (batch.input, batch.output)
    )
    return Job(source, out, batch.text_column)
