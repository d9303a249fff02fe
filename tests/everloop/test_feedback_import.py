"""Feedback from a file goes the way of POST /v1/feedback: checked, stored once, or refused with a reason."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import DataError
from core.ids import hash_user
from flows.feedback import import_feedback
from flows.session import Session
from tests.command_line import everloop
from tests.fake_models import NOW
from tests.generation_loop import make_session
from tests.serving.test_written_feedback import OTHER, A, B, C

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    made = make_session(tmp_path_factory.mktemp("made") / "shop")
    made.store.answers.log([A, B, C])
    return made


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def say(kind: str, value: object, about: str = A.prediction_id, **more: object) -> dict[str, object]:
    return {"prediction_id": about, "kind": kind, "value": value, **more}


def test_each_row_is_stored_once(session: Session, tmp_path: Path) -> None:
    early = (NOW + DAY / 2).isoformat()
    rows = [
        say("rating", 0.5, user="ana", time=early),
        say("thumbs", "up", user="ana"),
        say("demonstration", json.loads(OTHER)),
        say("preference", B.prediction_id),
        say("rating", 0.5, user="ana", time=early),
    ]
    done = import_feedback(session, write(tmp_path / "said.jsonl", *rows), NOW + DAY)
    assert (done.new, done.known, done.refused) == (4, 1, [])
    stored = {f.kind: f for f in session.store.feedback.within(NOW, NOW + 2 * DAY)}
    assert (stored["rating"].value, stored["rating"].timestamp) == ("0.5", NOW + DAY / 2)
    assert (stored["thumbs"].source, stored["thumbs"].timestamp) == (hash_user("ana"), NOW + DAY)
    assert stored["demonstration"].value == OTHER
    again = import_feedback(session, tmp_path / "said.jsonl", NOW + DAY)
    assert (again.new, again.known) == (0, 5)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (say("stars", 3), "no kind of feedback, expected one of rating, thumbs"),
        (say("rating", 3), "this rating cannot be taken: a rating is a number from 0 to 1"),
        (say("demonstration", "{"), "the answer is no JSON"),
        (say("thumbs", "up", "nobody"), "no such prediction"),
        (say("preference", C.prediction_id), "these answers cannot be compared"),
        (say("thumbs", "up", time="2999-01-01"), "not a time up to now"),
        (say("thumbs", "up", time="soon"), "not a time up to now"),
        (say("comment", "a\x00b"), "NUL"),
    ],
    ids=["kind", "rating", "json", "unknown", "compared", "later", "time", "nul"],
)
def test_a_bad_row_is_refused_with_its_reason(
    session: Session, tmp_path: Path, row: dict[str, object], why: str
) -> None:
    done = import_feedback(
        session, write(tmp_path / "x.jsonl", row, say("comment", str(row))), NOW + DAY
    )
    assert (done.new, len(done.refused)) == (1, 1)
    assert why in done.refused[0].reason


def test_a_file_without_its_columns_is_refused(session: Session, tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", {"predictionid": "x", "kind": "thumbs", "value": "up"})
    with pytest.raises(DataError, match=r"(?s)prediction_id.*rename 'predictionid' to prediction_id"):
        import_feedback(session, file, NOW)


def test_the_command_says_what_it_took_and_where_the_rest_is(session: Session, tmp_path: Path) -> None:
    root = session.workspace.root
    file = tmp_path / "said.csv"
    file.write_text(
        "prediction_id,kind,value,user,time\n"
        f"{A.prediction_id},thumbs,down,u1,2026-01-05 12:00:00\n"
        f"{A.prediction_id},rating,9,u1,\n"
    )
    done = everloop("feedback", "import", file, "-w", root)
    assert done.code == 1
    assert done.out == "1 new word of users, 0 known already\n"
    assert "said.csv: 1 row refused (row 3: this rating cannot be taken" in done.err
    page = root / ".everloop/quarantine/feedback-said.csv"
    assert str(page) in done.err
    assert page.read_text().splitlines()[1].startswith("3,this rating cannot be taken")
