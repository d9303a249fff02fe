"""The labelling page for answers that a model wrote, in a real browser: accept, mend, check, rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.ids import bucket, uuid7
from core.records.answers import Feedback, GenerationDetail, Prediction, Variant
from core.records.labels import AnnotationTask, Vote
from core.state import Champion
from core.store import Store
from core.tasks import Generation
from serving.labelling.annotation_queue import BLIND, AnnotationQueue, Labelling
from serving.service import Service
from tests.fake_models import NOW, Shelf
from tests.serving.labelling.label_reader import Reader, in_a_browser, reading, said
from tests.serving.real_server import running

SCHEMA = {
    "type": "object",
    "required": ["name", "arguments"],
    "properties": {"name": {"enum": ["pay", "play"]}, "arguments": {"type": "object"}},
}
TASK = Generation(policy="generation", judge="json", json_schema=SCHEMA)
RIGHT = '{"name": "pay", "arguments": {"card": "gold"}}'
WRONG = '{"name": "play", "arguments": {"card": "gold"}}'


def answer(i: int, output: str = RIGHT, variant: Variant = "champion") -> Prediction:
    return Prediction(
        prediction_id=uuid7(NOW + timedelta(minutes=i), str(i), variant),
        request_id=f"r{i}",
        timestamp=NOW + timedelta(minutes=i),
        model_version="1" if variant == "champion" else "2",
        variant=variant,
        text=f"pay number {i} with the gold card, please",
        output=output,
        confidence=0.9,
        detail=GenerationDetail(),
        embedding=None if variant == "shadow" else np.ones(4, np.float16),
        encoder="tiny",
        segments={"channel": "chat"},
        user_key="",
        latency_ms=1.0,
    )


ROWS = [p for p in map(answer, range(30)) if bucket(p.prediction_id, salt="blind") >= BLIND][:5]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/store.db", task=TASK)
    store.state.write(Champion("1"))
    yield store
    store.close()


def given(store: Store, rows: list[Prediction], rivals: dict[str, str] | None = None) -> None:
    """These answers as tasks; `rivals` are what the candidate answered to some requests."""
    store.answers.log(rows)
    for request, output in (rivals or {}).items():
        store.answers.log([answer(int(request[1:]), output, "shadow")])
    store.queue.add(
        [AnnotationTask(p.prediction_id, NOW, "2026-01-05", "margin", 0.5, False) for p in rows]
    )


@pytest.fixture
def ann(writer: Store, browser: Any) -> Iterator[Reader]:
    given(writer, ROWS, {ROWS[2].request_id: WRONG})
    service = Service(writer, Shelf().load, max_text=10_000)
    with running(service, writer) as url, reading(browser, url) as reader:
        yield reader


def field(ann: Reader) -> str:
    return str(ann.page.input_value("#answer"))


def left_says(ann: Reader, output: str) -> bool:
    return str(ann.page.text_content("#left .said")) == output


@in_a_browser
def test_accept_mend_check_rank_skip_and_undo_by_keys(writer: Store, ann: Reader) -> None:
    a, b, c, d, e = ROWS
    ann.shows(a.text)
    assert field(ann) == RIGHT
    ann.press("Enter")
    ann.shows(b.text)
    ann.press("e", "Control+End", "Backspace", "Control+Enter")
    ann.says("the answer is no JSON")
    ann.says("This cannot be taken as it is")
    assert ann.text == b.text
    ann.type("}")
    ann.press("Control+Enter")
    ann.shows(c.text)
    ann.says("Two models answered")
    ann.press("ArrowLeft" if left_says(ann, WRONG) else "ArrowRight")
    assert field(ann) == WRONG
    ann.press("Enter")
    ann.shows(d.text)
    ann.press("e", "Control+a")
    ann.type('{"name": "play", "arguments": {}}')
    assert ann.page.text_content("#diff ins") == "play"
    ann.says("valid")
    ann.press("Control+Enter")
    ann.shows(e.text)
    ann.press("s", "Enter")
    ann.says("Skipped")
    ann.press("u")
    ann.shows(e.text)
    ann.press("Enter")
    ann.saved()
    ann.says("5 done today, 0 left")
    assert {i: label for i, (_, label) in said(writer).items()} == {
        a.prediction_id: RIGHT,
        b.prediction_id: RIGHT,
        c.prediction_id: WRONG,
        d.prediction_id: '{"name": "play", "arguments": {}}',
        e.prediction_id: RIGHT,
    }
    (ranked,) = writer.feedback.within(NOW, NOW.replace(year=9000))
    candidate = answer(int(c.request_id[1:]), WRONG, "shadow")
    assert (ranked.prediction_id, ranked.value) == (candidate.prediction_id, c.prediction_id)
    assert (ranked.kind, ranked.source) == ("preference", "ann")
    ann.press("u", "u", "u")
    ann.saved()
    assert writer.feedback.within(NOW, NOW.replace(year=9000)) == []
    assert writer.labels.count() == 2
    assert ann.complaints == []


def test_two_people_agree_on_the_same_json(writer: Store) -> None:
    given(writer, ROWS)
    other = '{"arguments": {"card": "gold"}, "name": "pay"}'
    key = ROWS[0].prediction_id
    assert writer.queue.vote(Vote(key, "ann", RIGHT, NOW), 2) == "waiting"
    assert writer.queue.vote(Vote(key, "bob", other, NOW), 2) == "done"
    assert writer.queue.vote(Vote(ROWS[1].prediction_id, "ann", RIGHT, NOW), 2) == "waiting"
    assert writer.queue.vote(Vote(ROWS[1].prediction_id, "bob", WRONG, NOW), 2) == "disputed"
    rows = writer.labels.claim("p", NOW)
    assert rows[["target", "kind"]].values.tolist() == [[RIGHT, "demonstration"]]


CHAT = (
    {"role": "system", "content": "You answer with one function call."},
    {"role": "user", "content": "pay my card"},
    {"role": "assistant", "content": "Which one?"},
    {"role": "user", "content": "the gold one, please\nthank you"},
)


@pytest.fixture
def chat(writer: Store, browser: Any) -> Iterator[Reader]:
    """A chat of four messages, whose user wrote a comment on the answer; then a plain text."""
    asked = replace(ROWS[0], text=TASK.render(list(CHAT)), detail=GenerationDetail(messages=CHAT))
    given(writer, [asked, ROWS[1]])
    said = "It paid with <b>silver</b>."
    writer.feedback.add([Feedback("f1", asked.prediction_id, NOW, "comment", said, "u1")])
    service = Service(writer, Shelf().load, max_text=10_000)
    with running(service, writer) as url, reading(browser, url) as reader:
        yield reader


@in_a_browser
def test_a_chat_is_shown_turn_by_turn_with_what_its_user_says(chat: Reader) -> None:
    chat.says("pay my card")
    turns = chat.page.locator("#text .turn")
    assert turns.locator("small").all_text_contents() == ["system", "user", "assistant", "user"]
    assert turns.locator("span").all_text_contents() == [m["content"] for m in CHAT]
    comments = chat.page.locator("#comments li")
    assert comments.all_text_contents() == ["A user on the answer: It paid with <b>silver</b>."]
    chat.press("Enter")
    chat.shows(ROWS[1].text)
    assert chat.page.locator("#comments").is_hidden()
    assert chat.page.locator("#text .turn").count() == 0
    assert chat.complaints == []


def test_a_blind_task_shows_no_comment(writer: Store) -> None:
    given(writer, [ROWS[0]])
    audited = AnnotationTask(ROWS[1].prediction_id, NOW, "2026-01-05", "audit", 0.5, True)
    writer.answers.log([ROWS[1]])
    writer.queue.add([audited])
    rows = ROWS[:2]
    writer.feedback.add(
        [Feedback(f"f{i}", p.prediction_id, NOW, "comment", "No.", "u1") for i, p in enumerate(rows)]
    )
    key, right = rows[0].prediction_id, '{"name": "pay"}'
    writer.feedback.add([Feedback("g", key, NOW, "demonstration", right, "u1")])
    shown = AnnotationQueue(writer, Labelling()).next("ann", 2, NOW)
    assert {t.prediction_id: t.comments for t in shown} == {
        key: ["No.", f"It should be: {right}"],
        rows[1].prediction_id: [],
    }
