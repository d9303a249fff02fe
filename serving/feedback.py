"""What users say of answers, on its way into the store: one path for calls, files and replays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from core.errors import DataError
from core.records.answers import WRITTEN, Feedback, Said
from core.store import Store
from core.tasks import Task
from serving.protocols.faults import SEE, NotFoundError, quoted


@dataclass(frozen=True)
class Remark:
    """What somebody says of an answer, as it comes in."""

    prediction_id: str
    kind: Said
    value: Any
    source: str = ""
    feedback_id: str = ""  # made from the content where there is none


class Answerer(Protocol):
    """Who gave the answers."""

    def knows(self, prediction_id: str, /) -> bool:
        """Whether this can be the id of an answer."""

    def storable(self, text: str, /) -> str:
        """A user's own text as the log may have it. Raises DataError where no text is kept."""


def taken(remark: Remark, now: datetime, caller: str, task: Task, answerer: Answerer) -> Feedback:
    """A remark as it is stored. Raises DataError for one that says nothing of this kind."""
    try:
        value = task.said(remark.kind, remark.value)
    except ValueError as why:
        what = f"this {remark.kind} cannot be taken: {why}"
        raise DataError(what, where="value", got=quoted(remark.value), do=SEE) from None
    if remark.kind in WRITTEN:
        value = answerer.storable(value)
    content = "\x1f".join((remark.prediction_id, remark.kind, value, remark.source))
    made = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    return Feedback(
        feedback_id=remark.feedback_id or made,
        prediction_id=remark.prediction_id,
        timestamp=now,
        kind=remark.kind,
        value=value,
        source=remark.source,
        caller=caller,
    )


def check(item: Feedback, answerer: Answerer, store: Store) -> None:
    """Raises NotFoundError for an answer that was never given, DataError for two that cannot be
    compared."""
    compared = item.kind == "preference"
    for field, key in (("prediction_id", item.prediction_id), ("value", item.value))[: 1 + compared]:
        if not answerer.knows(key):
            raise NotFoundError(
                "no such prediction",
                where=field,
                got=key,
                expected="the prediction_id of an answer of POST /v1/predict",
            )
    if not compared:
        return
    one, other = (store.answers.get(key) for key in (item.prediction_id, item.value))
    if item.prediction_id == item.value or (one and other and one.text != other.text):
        raise DataError(
            "these answers cannot be compared",
            where="value",
            got=item.value,
            expected="another answer to the same request",
        )
