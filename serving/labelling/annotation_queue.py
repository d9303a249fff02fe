"""What a person sees of a task, and what becomes of their answer. Blocking: call it from a thread.

The guess is that of the model that serves now, from the embedding that was stored when the text came:
a matrix product, and no text is read again. Where another encoder made the embedding, it is the answer
given then.

A guess that was seen pulls the label towards itself (anchoring), and labels of audit tasks are what the
model's accuracy is estimated from. So there it is hidden until it is asked for. That alone would say
which tasks are audit ones, and they would be labelled with more care than the rest; so one in five of
the others, by a hash of its id, hides it too. Why a text was picked would say it as well: where the
guess is hidden, nothing says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from core.errors import DataError
from core.ids import bucket, uuid7
from core.label_set import LabelSet
from core.models.base import Classifier
from core.readers import excerpt, nearest
from core.records.answers import Feedback, Prediction
from core.records.labels import AnnotationTask, TaskState, Vote
from core.store import Store
from core.tables import EPOCH
from core.texts import first_few
from serving.labelling.messages import (
    Choice,
    Near,
    ProgressShown,
    Rival,
    Setup,
    TaskMessage,
    Turn,
    VoteBody,
    WrittenVoteBody,
)
from serving.labelling.similar import Similar
from serving.protocols.faults import NotFoundError
from serving.scoring import LoadedModel

CHOICES = 9  # number keys
SURE_CHOICES = 5  # shown however unlikely they are
LIKELY = 0.01  # chance from which on a further one is worth a place
NEIGHBOURS = 4
BLIND = 0.2  # of the tasks that are not audit ones
SHOWN = 10  # labels that an error names
RELOAD = "GET /v1/label/setup has the labels there are"
LONGEST_GUIDELINE = 200_000  # characters
WHY = {
    "margin": "the model was unsure",
    "entropy": "the model was unsure",
    "least-confidence": "the model was unsure",
    "predicted-loss": "the model is probably wrong",
    "disagreement": "two models disagree",
    "novelty": "unlike what is labelled so far",
    "cover": "stands for texts that the model is unsure of",
    "impact": "would teach the model much",
    "representative": "typical of many texts",
    "stratified": "stands for a group of texts",
    "like-these": "like the texts of a collection",
    "feedback": "a user was unhappy with the answer",
    "verify": "a user says another label than the model",
    "topic": "part of a group that may be a new topic",
    "new-topics": "part of a group that may be a new topic",
}
OTHER = "drawn at random"  # by the policy `random`, for a trigger's test


@dataclass(frozen=True)
class Labelling:
    """What `labeling:` of params.yaml says, as the page needs it."""

    labels: tuple[str, ...] | None = None  # the only ones taken; None when a new one is a new class
    annotators: int = 1  # votes that have to agree
    lease: timedelta = timedelta(minutes=15)
    guideline: Path | None = None  # Markdown


class AnnotationQueue:
    """One server's side of the annotation queue. `served` gives the model that answers now."""

    def __init__(
        self,
        store: Store,
        settings: Labelling,
        served: Callable[[], LoadedModel | None] = lambda: None,
        storable: Callable[[str], str] = str,
    ) -> None:
        """`storable`: a text that an annotator wrote as the log may have it."""
        self._store, self._settings, self._served = store, settings, served
        self.task, self._storable = store.task, storable
        self._similar = Similar(store)

    def setup(self, key: str, now: datetime) -> Setup:
        """What the page needs once. `key`: name of the API key that asks, "" without keys."""
        labels = self._store.label_set_at(now)
        return Setup(
            annotator=key,
            labelled=self.task.labelled,
            labels=self._offered(labels),
            label_set=labels.version,
            open=self.task.labelled and self._settings.labels is None,
            annotators=self._settings.annotators,
            lease_seconds=self._settings.lease.total_seconds(),
            guideline=self.guideline(),
        )

    def _offered(self, labels: LabelSet, fresh: bool = False) -> list[str]:
        """Every label that may be given without a question, in order."""
        if not self.task.labelled:
            return []
        if self._settings.labels is not None:
            return labels.current(self._settings.labels)
        served = self._served()
        used = self._similar.known(labels, fresh).labels
        return labels.current(used.union(served.model.labels if served else ()))

    def guideline(self) -> str:
        """The guideline as HTML that is safe to show: HTML in it is text. "" without one."""
        from markdown_it import MarkdownIt

        path = self._settings.guideline
        if path is None:
            return ""
        try:
            text = path.read_text(encoding="utf-8", errors="replace")[:LONGEST_GUIDELINE]
        except OSError as fault:
            why = f"{fault.strerror}; labeling.guideline of params.yaml names it"
            text = f"The guideline cannot be read: {why}."
        made: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        return made

    def next(self, annotator: str, n: int, now: datetime) -> list[TaskMessage]:
        """Up to `n` tasks that are this annotator's for the time of a lease; asked again, the same."""
        settings, store = self._settings, self._store.at(now)
        until = now + settings.lease
        tasks = store.queue.lease(annotator, now, until, n, settings.annotators)
        found = [(task, store.answers.get(task.prediction_id)) for task in tasks]
        return [
            self._shown(task, prediction, store.label_set) for task, prediction in found if prediction
        ]

    def version(self, now: datetime) -> int:
        """Of the label set: a page that has an older one asks for the labels again."""
        return self._store.label_set_at(now).version

    def vote(self, body: VoteBody | WrittenVoteBody, annotator: str, now: datetime) -> TaskState:
        """Store a vote, or a skip; a label that was merged is taken under its name of now.

        Raises DataError for a label that is gone, or that is not known and not meant as a new one, for
        an answer that breaks its schema, and for answers that cannot be compared; LabelError where the
        store does not take it.
        """
        store = self._store.at(now)
        label = None if body.label is None else self._taken(body.label, body.new, store.label_set)
        vote = Vote(body.prediction_id, annotator, label, now, body.note.strip())
        ranked = self._ranked(body, annotator, now) if isinstance(body, WrittenVoteBody) else None
        state = store.queue.vote(vote, self._settings.annotators)
        if ranked:
            store.feedback.replace(ranked)
        return state

    def unvote(self, prediction_id: str, annotator: str, now: datetime) -> None:
        """Take a vote back; the text is this annotator's again for the time of a lease."""
        settings = self._settings
        until = now + settings.lease
        self._store.at(now).queue.unvote(prediction_id, annotator, now, until, settings.annotators)
        self._store.feedback.take_back(_rank_id(prediction_id, annotator))

    def fault(self, answer: str) -> str:
        """Why an answer cannot be taken; "" where it can."""
        try:
            self.task.target(answer)
        except ValueError as why:
            return str(why)
        return ""

    def progress(self, annotator: str, since: datetime, now: datetime) -> ProgressShown:
        """How much was done since a time, and what is left for this annotator."""
        whole = self._store.at(now).queue.progress(annotator)
        today = self._store.queue.said_since(annotator, since)
        return ProgressShown(
            today=today, labelled=whole.labelled, skipped=whole.skipped, left=whole.left
        )

    def similar(self, prediction_id: str, now: datetime) -> list[Near]:
        """The nearest labelled texts. Raises NotFoundError for no such prediction."""
        prediction = self._store.answers.get(prediction_id)
        if prediction is None:
            raise NotFoundError("no such prediction", where="prediction_id", got=prediction_id)
        found = self._similar.of(prediction, NEIGHBOURS, self._store.label_set_at(now))
        return [Near(text=x.text, label=x.label, similarity=x.similarity) for x in found]

    def _taken(self, label: str, new: bool, labels: LabelSet) -> str:
        """What is stored."""
        if self.task.labelled:
            self._check(label, new, labels)
            return labels.last(label)
        if why := self.fault(label):
            raise DataError(why, where="label", got=excerpt(label))
        return self._storable(self.task.target(label))

    def _ranked(self, body: WrittenVoteBody, annotator: str, now: datetime) -> Feedback | None:
        """Which of two answers somebody found better."""
        if not body.better:
            return None
        answers = [body.prediction_id, *(p.prediction_id for p in self._rivals(body.prediction_id))]
        if body.better not in answers or len(answers) == 1:
            raise DataError(
                "these answers cannot be compared",
                where="better",
                got=ascii(body.better),
                expected=", ".join(answers[1:] and answers) or "two answers to the same request",
            )
        worse = answers[1] if body.better == body.prediction_id else body.prediction_id
        key = _rank_id(body.prediction_id, annotator)
        return Feedback(key, body.better, now, "preference", worse, annotator)

    def _rivals(self, prediction_id: str) -> list[Prediction]:
        """What other models answered otherwise to the same request."""
        answer = self._store.answers.get(prediction_id)
        others = self._store.answers.beside(answer) if answer else []
        return [p for p in others if answer and not self.task.agree(p.output, answer.output)]

    def _rival(self, prediction: Prediction) -> Rival | None:
        if self.task.labelled or not (others := self._rivals(prediction.prediction_id)):
            return None
        left = bucket(prediction.prediction_id, salt="left") < 1 / 2
        return Rival(prediction_id=others[0].prediction_id, answer=others[0].output, left=left)

    def _check(self, label: str, new: bool, labels: LabelSet) -> None:
        if why := labels.refusal(label):
            raise _gone(label, why, labels.choices(label) or self._offered(labels))
        label = labels.last(label)
        if label in self._offered(labels) or label in self._offered(labels, fresh=True):
            return
        closed = self._settings.labels is not None
        if new and not closed:
            return
        near = nearest(label, self._offered(labels))
        raise DataError(
            "a label that was never declared" if closed else "a label that nobody has used yet",
            where="label",
            got=ascii(label),
            expected=f"a known label; did you mean '{near}'?" if near else "a known label",
            do="add it to labeling.labels of params.yaml"
            if closed
            else 'send "new": true if it is meant',
        )

    def unknown(self, label: str, now: datetime) -> str:
        """What to say of a label that nobody has used, or is gone; "" for one that may be given. What
        was said of it in the last half minute may not be known yet: no call pays for more."""
        labels = self._store.label_set_at(now)
        if why := labels.refusal(label):
            return why
        offered = self._offered(labels)
        if labels.last(label) in offered:
            return ""
        near = nearest(label, offered)
        return f"nobody has used the label {label!a} yet" + (
            f"; did you mean '{near}'?" if near else ""
        )

    def _shown(self, task: AnnotationTask, prediction: Prediction, labels: LabelSet) -> TaskMessage:
        choices = self._choices(prediction, labels)
        blind = task.audit or bucket(task.prediction_id, salt="blind") < BLIND
        return TaskMessage(
            prediction_id=task.prediction_id,
            text=task.text,
            timestamp=prediction.timestamp,
            segments=prediction.segments,
            why="" if blind else WHY.get(task.policy, OTHER),
            blind=blind,
            guess=choices[0] if choices else None,
            choices=choices,
            turns=self._turns(prediction),
            comments=[] if blind else self._store.feedback.comments(task.prediction_id),
            rival=self._rival(prediction),
        )

    def _turns(self, prediction: Prediction) -> list[Turn]:
        """The messages that were asked, where a text does not say it all."""
        turns = self.task.turns(prediction.input)
        return [Turn(**turn) for turn in turns] if len(turns) > 1 else []

    def _choices(self, prediction: Prediction, labels: LabelSet) -> list[Choice]:
        """The likeliest labels that may be given, likeliest first."""
        served, embedding = self._served(), prediction.embedding
        model = served.model.under(labels) if served else None
        same = model is not None and model.identity == prediction.encoder
        if same and embedding is not None and isinstance(model, Classifier):
            shares = map(float, model.probabilities(embedding[None])[0])
            likeliest = sorted(zip(model.labels, shares, strict=True), key=lambda x: -x[1])
        else:
            likeliest = [(labels.last(prediction.output), prediction.confidence)]
        closed = self._settings.labels
        given = None if closed is None else labels.current(closed)
        allowed = [
            (label, p)
            for label, p in likeliest
            if not labels.ended(label) and (given is None or label in given)
        ]
        kept = [x for i, x in enumerate(allowed) if i < SURE_CHOICES or x[1] >= LIKELY]
        return [Choice(label=label, score=round(p, 4)) for label, p in kept[:CHOICES]]


def _rank_id(prediction_id: str, annotator: str) -> str:
    return uuid7(EPOCH, prediction_id, annotator, "rank")


def _gone(label: str, why: str, choices: Sequence[str]) -> DataError:
    expected = f"one of {first_few(choices, SHOWN)}"
    return DataError(why, where="label", got=ascii(label), expected=expected, do=RELOAD)
