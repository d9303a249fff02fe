"""A scheduled run over whatever the log may hold: every signal is there, and one that cannot be measured
says why. From a real store, through the whole stage, for every reference."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from core.ids import uuid7
from core.records.answers import ClassificationDetail, Prediction
from core.records.signals import Signal
from everloop.laws.traffic import DAY, NOW
from flows.first import first_model
from flows.monitor import monitor
from flows.session import Session, open_session
from flows.topics import NEW
from tests.monitoring.changes import signal_names
from tests.small_loop import job, make_session

A_DAY = 60
Change = Callable[[Prediction], Prediction]
Traffic = Callable[[Session], Iterator[Prediction]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose champion has answered nobody."""
    session, rows = make_session(tmp_path_factory.mktemp("odd") / "shop"), job(days=1)
    first_model(session, rows.train, rows.evaluation, NOW - 30 * DAY)
    session.store.close()
    return session.workspace.root


@pytest.fixture
def session(template: Path, tmp_path: Path) -> Iterator[Session]:
    found = open_session(Path(shutil.copytree(template, tmp_path / "shop", symlinks=True)))
    yield found
    found.store.close()


@cache
def answered(root: Path) -> tuple[Prediction, ...]:
    """What the champion says of a day's texts."""
    session = open_session(root)
    version = session.store.state.champion()
    model = session.registry.load(version)
    texts = [f"where is my parcel {i}" if i % 3 else f"i want a refund for {i}" for i in range(A_DAY)]
    read = model.embed(texts)
    shares = model.trained.probabilities(read)
    session.store.close()
    return tuple(
        Prediction(
            prediction_id="",
            request_id="",
            timestamp=NOW,
            model_version=version,
            variant="champion",
            text=text,
            output=model.trained.labels[int(p.argmax())],
            confidence=float(p.max()),
            detail=ClassificationDetail(p.astype(np.float16)),
            embedding=e,
            encoder=model.encoder.identity,
            segments={"plan": "free" if i % 2 else "pro"},
            user_key="",
            latency_ms=2.0,
        )
        for i, (text, e, p) in enumerate(zip(texts, read, shares, strict=True))
    )


def day(
    session: Session, ago: int, change: Change = lambda p: p, rows: int = A_DAY
) -> Iterator[Prediction]:
    """A day of traffic that ends so many days before NOW."""
    for i, one in enumerate(answered(session.workspace.root)[:rows]):
        when = NOW - DAY * (ago + 1) + DAY * (i + 0.5) / A_DAY
        request = uuid7(when, str(i), str(ago))
        mine = replace(one, request_id=request, prediction_id=uuid7(when, request), timestamp=when)
        yield change(mine)


def days(
    session: Session, before: Change = lambda p: p, today: Change = lambda p: p
) -> Iterator[Prediction]:
    for ago in range(1, 29):
        yield from day(session, ago, before)
    yield from day(session, 0, today)


def one_class(p: Prediction) -> Prediction:
    return replace(p, output="track_order", confidence=1.0)


def constant(p: Prediction) -> Prediction:
    return replace(p, embedding=np.ones_like(p.embedding))


def not_numbers(p: Prediction) -> Prediction:
    nan = np.float16("nan")
    return replace(
        p,
        embedding=np.full_like(p.embedding, nan),
        detail=ClassificationDetail(p.detail.probabilities * nan),
    )


def other_model(p: Prediction) -> Prediction:
    """Of other labels and another encoder, whose embeddings are of another size."""
    few = ClassificationDetail(np.array([0.25, 0.75], np.float16))
    old = {"model_version": "old", "output": "gone", "encoder": "other", "detail": few}
    return replace(p, **old, embedding=np.ones(3, np.float16))


def new_segment(p: Prediction) -> Prediction:
    return replace(p, segments={"plan": "never seen", "shop": "new"})


def back(p: Prediction) -> Prediction:
    """The clock of one server goes back by six hours in the middle of the day."""
    return replace(p, timestamp=p.timestamp - timedelta(hours=6) * (p.timestamp.hour >= 12))


def ahead(p: Prediction) -> Prediction:
    return replace(p, timestamp=p.timestamp + 400 * DAY) if p.timestamp.minute % 2 else p


ODD: dict[str, Traffic] = {
    "usual": days,
    "nothing ever": lambda _: iter(()),
    "an empty window": lambda session: (p for ago in range(1, 9) for p in day(session, ago)),
    "one row ever": lambda session: day(session, 0, rows=1),
    "one row today": lambda session: (
        p for a in range(9) for p in day(session, a, rows=A_DAY if a else 1)
    ),
    "one class": lambda session: days(session, one_class, one_class),
    "one class today": lambda session: days(session, today=one_class),
    "a constant embedding": lambda session: days(session, constant, constant),
    "a constant embedding today": lambda session: days(session, today=constant),
    "NaN": lambda session: days(session, not_numbers, not_numbers),
    "NaN today": lambda session: days(session, today=not_numbers),
    "NaN before": lambda session: days(session, before=not_numbers),
    "a reference older than the retention": lambda session: day(session, 0),
    "a segment never seen": lambda session: days(session, today=new_segment),
    "a reference by another model": lambda session: days(session, before=other_model),
    "answers of another model": lambda session: days(session, today=other_model),
    "clocks that go back": lambda session: days(session, back, back),
    "clocks that go ahead": lambda session: days(session, ahead, ahead),
}
REFERENCES = ["sliding", "same-weekday", "since-promotion", "training"]
odd = pytest.mark.parametrize("case", ODD)


def look(session: Session, case: str, reference: str, now: datetime = NOW) -> dict[str, Signal]:
    """The signals of all traffic, as the stage stored them."""
    strategy = session.strategy.monitoring.model_copy(update={"reference": reference})
    session.strategy = session.strategy.model_copy(update={"monitoring": strategy})
    session.store.answers.log(list(ODD[case](session)))
    given = monitor(session, now)
    stored = session.store.signals.read(now, until=now)
    assert {(s.name, s.segment) for s in given} == {(s.name, s.segment) for s in stored}
    for signal in stored:
        check(signal)
    return {s.name: s for s in stored if not s.segment}


def check(signal: Signal) -> None:
    if signal.value is None:
        assert signal.note.startswith(("not enough", "not comparable")), signal
    numbers = (signal.value, signal.baseline, signal.low, signal.high)
    assert all(math.isfinite(x) for x in numbers if x is not None), signal


def expected(session: Session) -> set[str]:
    metrics = session.strategy.monitoring.metrics
    named = set(signal_names(metrics))
    return {*named, NEW.name, "alerts.week"}


@odd
def test_every_signal_is_there_and_says_why_it_has_no_value(session: Session, case: str) -> None:
    assert look(session, case, "sliding").keys() == expected(session)


@pytest.mark.slow
@odd
@pytest.mark.parametrize("reference", REFERENCES[1:])
def test_so_it_is_for_every_reference(session: Session, case: str, reference: str) -> None:
    assert look(session, case, reference).keys() == expected(session)


@pytest.mark.parametrize("case", ["nothing ever", "an empty window"])
def test_of_no_rows_nothing_is_said_but_how_many(session: Session, case: str) -> None:
    found = look(session, case, "sliding")
    assert {n for n, s in found.items() if s.value is not None} <= {"rows", "alerts.week"}
    assert found["rows"].value == 0


@pytest.mark.parametrize("case", ["NaN", "NaN today", "NaN before"])
def test_what_no_embedding_tells_is_not_taken_for_a_label(session: Session, case: str) -> None:
    found = look(session, case, "sliding")
    silent = [
        n for n, s in found.items() if n.startswith(("drift.l", "drift.c", "drift.e")) and s.value
    ]
    assert silent == []
    assert found["drift.labels"].value is None
    assert found["drift.labels"].note.startswith("not comparable: embeddings that are no numbers, ")


@pytest.mark.slow
@odd
def test_a_run_of_the_past_after_that_of_today(session: Session, case: str) -> None:
    """The scheduler's clock goes back: an earlier window is looked at after a later one."""
    look(session, case, "sliding")
    for now in (NOW - DAY, NOW - 400 * DAY, NOW + DAY):
        signals = monitor(session, now)
        for signal in signals:
            check(signal)
        assert {s.name for s in signals if not s.segment} == expected(session)
