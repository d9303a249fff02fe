"""Who answers tasks in a replay: the stream knows its own truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from core.records.labels import Annotation, AnnotationTask, Kind


class Oracle:
    """Answers tasks in a replay: it knows the truth of the stream, and takes `delay` to tell it.

    What it says depends on the open tasks and the clock alone, so a replay that was killed goes on.
    """

    def __init__(
        self, truth: Mapping[str, str], delay: timedelta = timedelta(0), kind: Kind = "label"
    ) -> None:
        """truth: request id -> label, or the answer as it should have been; `kind` says which."""
        self._truth, self._delay, self._kind = truth, delay, kind

    def answer(self, tasks: Sequence[AnnotationTask], now: datetime) -> list[Annotation]:
        """The annotations of these open tasks that are ready by `now`, each with its own time."""
        return [
            Annotation(
                t.prediction_id,
                self._truth[t.request_id],
                "oracle",
                t.timestamp + self._delay,
                self._kind,
            )
            for t in tasks
            if t.timestamp + self._delay <= now and t.request_id in self._truth
        ]
