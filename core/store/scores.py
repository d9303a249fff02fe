"""How right an answer is, stored when somebody knows the truth: 0..1, see `Task.score`.

A score holds under the label set that it was made under. Read under another one (the past, or a set
that was changed a moment ago) the answer is judged anew, until `LabelRepository.rescore` has stored it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, FromClause, Join, and_, delete, select

from core import schema
from core.arrays import Array
from core.database import insert_new, parts
from core.store.naming import Naming
from core.tasks import Task

_A, _P, _S = schema.annotations, schema.predictions, schema.scores


def write_scores(db: Connection, naming: Naming, prediction_ids: Sequence[str]) -> None:
    """Score every answer to the requests of these predictions by the label that there is now; where
    there is none any more, they have no score."""
    asked = _P.alias("asked")
    answers = _P.join(asked, asked.c.request_id == _P.c.request_id)
    for part in parts(prediction_ids):
        here = asked.c.prediction_id.in_(part)
        gone = select(_P.c.prediction_id).select_from(answers).where(here)
        db.execute(delete(_S).where(_S.c.prediction_id.in_(gone)))
        known = select(_P.c.prediction_id, naming.called(_P.c.output), naming.held(_A.c.value))
        known = known.select_from(answers.join(_A, _A.c.prediction_id == asked.c.prediction_id))
        found = [(i, naming.task.score(o, t)) for i, o, t in db.execute(known.where(here))]
        rows = [{"prediction_id": i, "value": v} for i, v in found if v is not None]
        insert_new(db, _S, [{**row, "label_set": naming.labels.fingerprint} for row in rows])


def with_scores(answers: FromClause, naming: Naming) -> Join:
    """Answers beside the scores that hold under these names."""
    holds = _S.c.label_set == naming.labels.fingerprint
    return answers.outerjoin(_S, and_(_S.c.prediction_id == _P.c.prediction_id, holds))


def score_columns(naming: Naming) -> list[ColumnElement[Any]]:
    """What `score_of` takes, after the task."""
    output, truth = naming.called(_P.c.output), naming.held(_A.c.value)
    return [_S.c.value.label("score"), output.label("output"), truth.label("truth")]


def score_of(task: Task, stored: float | None, output: str, truth: str | None) -> float | None:
    """The score that is stored, or what it would be."""
    if truth is None or truth != truth:  # pandas calls what is not there NaN
        return None
    return task.score(output, truth) if stored is None or stored != stored else stored


def all_scores(
    task: Task, stored: Iterable[Any], outputs: Iterable[str], truths: Iterable[str | None]
) -> Array:
    """(n,) `score_of` each answer, NaN where nobody knows the truth."""
    known = zip(stored, outputs, truths, strict=True)
    return np.array([score_of(task, *row) for row in known], dtype=float)
