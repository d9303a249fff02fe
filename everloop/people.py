"""The people of a replay: annotators who know the truth, and users who say what they think of answers.

    everloop replay stream.csv --initial train.csv --eval eval.csv --thumbs 0.2 --corrections 0.05

Which users speak hangs on the request alone, so a replay that was killed goes on. What they say goes
the way of POST /v1/feedback, as soon as the answer is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.ids import bucket
from core.records.answers import Prediction
from core.tasks import RIGHT, Task
from serving.feedback import Remark, check, taken
from serving.service import Service


@dataclass(frozen=True)
class People:
    """How long annotators take; and the shares of the answers that users give thumbs, and that they
    correct where they are wrong."""

    label_delay: timedelta = timedelta(0)
    thumbs: float = 0.0
    corrections: float = 0.0

    def speak(self, service: Service, answers: Sequence[Prediction], truth: Mapping[str, str]) -> None:
        """Store what users say of these answers. Again changes nothing. truth: request id -> answer."""
        store = service.store
        known = [(a, truth[a.request_id]) for a in answers if a.request_id in truth]
        said = [
            taken(remark, answer.timestamp, "", store.task, service)
            for answer, right in known
            for remark in self._remarks(answer, right, store.task)
        ]
        for item in said:
            check(item, service, store)
        store.feedback.add(said)

    def _remarks(self, answer: Prediction, right: str, task: Task) -> Iterator[Remark]:
        is_right = (task.score(answer.output, right) or 0.0) >= RIGHT
        who = answer.user_key or answer.request_id
        if bucket(answer.request_id, "thumbs") < self.thumbs:
            yield Remark(answer.prediction_id, "thumbs", "up" if is_right else "down", who)
        if bucket(answer.request_id, "corrections") < self.corrections and not is_right:
            yield Remark(
                answer.prediction_id, "correction" if task.labelled else "demonstration", right, who
            )
