"""The task generation goes through every room: three days of requests, answered by a tiny causal model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import DataError, LabelError, WorkspaceError
from core.label_set import Operation
from core.models import families
from core.models.base import Answer
from core.models.causal.model import CausalModel
from core.records.answers import GenerationDetail
from everloop.demo import write_pages
from everloop.replay import run
from everloop.show import Files, show_replay
from flows.answers import outputs
from flows.label_set import change
from flows.labels import review
from flows.model_stages import opinions
from flows.session import Session
from flows.teachers import requests, teacher
from pipelines.datasets.contents import TESTED, rows_here, show
from pipelines.datasets.partitions import read
from tests.flows.test_loop import die_and_go_on, outcome
from tests.generation_loop import START, job, make_session
from tests.logs import EVER

Whole = tuple[Session, dict[str, Any]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    session = make_session(tmp_path_factory.mktemp("whole") / "shop")
    return session, run(session, job())


def test_the_loop_turns(whole: Whole) -> None:
    session, result = whole
    assert (result["days"], result["requests"]) == (3, 72)
    assert 0 < result["labels"] <= 36
    assert result["retrains"] >= 1
    assert result["promotions"] >= 1
    assert len(result["frozen_daily_accuracy"]) == 3
    assert session.store.answers.served("2")


def test_a_right_answer_is_a_row_as_it_was_written(whole: Whole) -> None:
    session, _ = whole
    rows, work = read(session.workspace.reservoir), job()
    assert set(rows["kind"]) == {"demonstration"}
    truth = dict(zip(work.stream["request_id"], work.stream["label"], strict=True))
    served = rows[rows["annotator"] == "oracle"]
    window = session.store.answers.window(*EVER).rows.set_index("prediction_id")
    assert [truth[window.loc[i, "request_id"]] for i in served["row_id"]] == list(served["target"])
    counts = show(session.workspace.root, "v0002").counts
    assert list(counts.index) == ["demonstration"]


def test_some_users_say_what_they_think(whole: Whole) -> None:
    session, result = whole
    work = job()
    truth = dict(zip(work.stream["request_id"], work.stream["label"], strict=True))
    answers = session.store.answers.window(*EVER).rows.set_index("prediction_id")
    said = session.store.feedback.within(*EVER)
    assert {f.kind for f in said} == {"thumbs", "demonstration"}
    assert result["feedback"] == len(said)
    for word in said:
        answer = answers.loc[word.prediction_id]
        right = truth[answer["request_id"]]
        wrong = session.task.score(answer["output"], right) == 0
        assert word.value == (("down" if wrong else "up") if word.kind == "thumbs" else right)
        assert word.source == answer["user_key"]


def test_corrections_of_users_are_checked_by_people_and_train(whole: Whole) -> None:
    session, _ = whole
    said = {f.prediction_id: f.value for f in session.store.feedback.within(*EVER)}
    rows = read(session.workspace.reservoir)
    checked = rows[rows["policy"] == "verify"].set_index("row_id")["target"]
    assert len(checked)
    assert dict(checked) == {i: said[i] for i in checked.index}
    assert set(rows_here(session.workspace)["row_id"]) & set(checked.index)  # some are fenced
    verdicts = [d.verdict for d in session.store.decisions.read("labeling")]
    assert any("asked" in v and not v.startswith("0 train, 0 asked") for v in verdicts)


def test_pairs_and_ratings_are_part_of_a_version(whole: Whole) -> None:
    session, _ = whole
    found = opinions(session)
    answers = session.store.answers.window(*EVER).rows.set_index("prediction_id")
    trained = rows_here(session.workspace).set_index("row_id")
    served = trained[trained["annotator"] == "oracle"]
    wrong = {i: t for i, t in served["target"].items() if answers.loc[i, "output"] != t}
    assert dict(zip(found.pairs["id"], found.pairs["chosen"], strict=True)) == wrong
    assert list(found.pairs["rejected"]) == [answers.loc[i, "output"] for i in found.pairs["id"]]
    words = {f.feedback_id: f for f in session.store.feedback.within(*EVER)}
    assert len(found.ratings) > 0
    for rating in found.ratings.itertuples():
        said = words[rating.id]
        assert (said.kind, said.value) == ("thumbs", "up" if rating.score == 1 else "down")
        assert rating.output == answers.loc[said.prediction_id, "output"]
        assert rating.source == said.source


def test_answers_carry_what_only_a_writer_says(whole: Whole) -> None:
    session, _ = whole
    rows = session.store.answers.window(*EVER).rows
    assert (rows["completion_tokens"] > 0).all()
    assert (rows["min_logprob"] <= rows["mean_logprob"]).all()
    answer = session.store.answers.get(rows["prediction_id"].iloc[0])
    assert answer is not None
    assert isinstance(answer.detail, GenerationDetail)
    assert answer.confidence == pytest.approx(np.exp(answer.detail.mean_logprob))
    doubt = session.task.doubt(session.store.answers.window(*EVER))
    assert doubt == pytest.approx(1 - np.exp(rows["min_logprob"].to_numpy(dtype=float)))


def test_no_signal_of_labels_is_there(whole: Whole) -> None:
    session, _ = whole
    names = {s.name for s in session.store.signals.read(START)}
    assert {"output.schema", "drift.outputs", "confidence", "accuracy", "text.length"} <= names
    assert not {n for n in names if n.startswith("drift.labels") or n == "entropy"}


class Silent(CausalModel):
    def answer(self, inputs: Any, embeddings: Any = None) -> list[Answer]:
        raise AssertionError(f"asked again: {inputs[:1]}")


def test_what_a_model_answered_when_it_was_tested_is_not_asked_again(whole: Whole) -> None:
    session, _ = whole
    place = session.workspace
    champion, rows = families.load(place.champion), rows_here(place, TESTED)
    assert isinstance(champion, CausalModel)
    silent = Silent(**{n: getattr(champion, n) for n in CausalModel.__dataclass_fields__})
    read_ = np.zeros((len(rows), 32), np.float32)
    said = outputs(session, silent, session.inputs(rows), read_)
    assert len(said) == len(rows)
    with pytest.raises(AssertionError, match="asked again"):
        outputs(session, silent, ["a new text"], read_[:1])


def test_running_it_again_changes_nothing(whole: Whole) -> None:
    session, result = whole
    before = outcome(session, result)
    assert outcome(session, run(session, job())) == before


@pytest.mark.parametrize(
    "write", [30, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 75, 5))]
)
def test_killed_and_run_again_ends_the_same(whole: Whole, tmp_path: Path, write: int) -> None:
    session = make_session(tmp_path / "shop")
    assert outcome(session, die_and_go_on(session, job(), write)) == outcome(*whole)


def test_the_picture_and_the_page_are_drawn(whole: Whole, tmp_path: Path) -> None:
    session, result = whole
    picture, page = write_pages(tmp_path, session.store, result)
    assert picture.stat().st_size > 10_000
    assert "of all answers right with the loop" in page.read_text(encoding="utf-8")


def test_what_is_for_labels_is_refused(whole: Whole) -> None:
    session, _ = whole
    with pytest.raises(LabelError, match=r"(?s)answers are no labels here.*task: generation"):
        change(session, Operation("retire", ("a",)))
    with pytest.raises(LabelError, match="answers are no labels here"):
        review(session, START)


def test_a_workspace_of_another_task_is_not_replayed_in(whole: Whole, tmp_path: Path) -> None:
    session, _ = whole
    some = tmp_path / "some.csv"
    with pytest.raises(WorkspaceError, match=r"(?s)another task.*task: generation.*classification"):
        show_replay(Files(some, some, some), session.workspace.root)


def test_answers_that_are_no_json_are_refused_at_the_door(tmp_path: Path) -> None:
    first = tmp_path / "train.csv"
    first.write_text('text,answer\nhi,"{""a"": 1}"\nho,{\n')
    bad = tmp_path / "bad.csv"
    bad.write_text("text,answer\nhi,hello\n")
    stream = tmp_path / "stream.csv"
    stream.write_text("timestamp,text,answer\n2026-01-05,hi,{}\n")
    with pytest.raises(DataError, match=r"(?s)no row of this file can be used.*the answer is no JSON"):
        show_replay(Files(stream, first, bad), tmp_path / "shop", task="generation")
    refused = (tmp_path / "shop/.everloop/quarantine/initial-train.csv").read_text()
    assert json.loads(json.dumps(refused)).count("the answer is no JSON") == 1


def test_recipes_read_requests_that_do_not_evaluate(whole: Whole) -> None:
    session, _ = whole
    identity = session.base.identity
    found = requests(session, identity, 20)
    tested = set(session.texts(rows_here(session.workspace, TESTED)))
    assert 0 < len(found) <= 20
    assert len(set(found)) == len(found)
    assert not tested & set(found)
    assert found == requests(session, identity, 20)
    assert requests(session, identity, 0) == requests(session, "another encoder", 20) == []


def test_a_version_can_teach(whole: Whole) -> None:
    session, _ = whole
    model = session.registry.load("1")
    asked = ["pay my card", "is it cold"]
    said = [a.output if a.detail.finish_reason == "stop" else "" for a in model.answer(asked)]
    older = teacher(session, "1")
    assert older.write(asked) == said
    assert older.model is not None
