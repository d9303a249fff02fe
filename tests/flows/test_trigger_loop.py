"""Triggers in a whole loop: what they suggest, what they see, and the labels they ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.records.decisions import Decision
from core.state import Champion, Retrains
from everloop.replay import run
from flows.session import Session
from flows.situation import situation
from tests.small_loop import job, make_session

END = datetime(2026, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def suggested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, Any]]:
    triggers = {"policy": "labels", "at_least": 8, "mode": "suggest"}
    session = make_session(tmp_path_factory.mktemp("suggest") / "workspace", triggers=triggers)
    return session, run(session, job())


def test_a_suggestion_is_stored_and_nothing_retrains(suggested: tuple[Session, dict[str, Any]]) -> None:
    session, result = suggested
    said = session.store.decisions.read("triggers")
    assert [d.verdict for d in said] == ["suggest"] * 3
    assert said[-1].reason == f"labels: {situation(session, END).new_labels} new labels, 8 needed"
    assert (result["retrains"], result["promotions"]) == (0, 0)
    assert session.store.state.read(Champion).version == "1"
    assert session.store.decisions.rollouts() == []


def test_what_was_promised_is_the_first_models_evaluation(
    suggested: tuple[Session, dict[str, Any]],
) -> None:
    session, _ = suggested
    promise = situation(session, END).promise
    [first] = session.registry.versions()
    assert promise is not None
    assert promise.rows == 30
    assert 1 - promise.wrong / 30 == pytest.approx(first.metrics["evaluation_accuracy"])


def test_each_round_stands_for_all_answers_it_drew_from(
    suggested: tuple[Session, dict[str, Any]],
) -> None:
    session, _ = suggested
    rounds = situation(session, END).rounds
    assert [r.timestamp for r in rounds] == [END - timedelta(days=d) for d in (2, 1, 0)]
    for r in rounds:
        rows = session.store.answers.window(r.timestamp - timedelta(days=1), r.timestamp).rows
        picked = rows[rows["propensity"].notna()]
        wrong = picked[picked["output"] != picked["truth"]]
        assert r.answers == len(rows) == 40
        assert r.share == 12 / 40
        assert r.labels == r.picks == len(picked)
        assert sorted(r.wrong) == pytest.approx(sorted(wrong["propensity"]))
        assert r.error == pytest.approx((1 / wrong["propensity"]).sum() / 40)


def test_requests_a_day_are_those_of_the_days_there_were(
    suggested: tuple[Session, dict[str, Any]],
) -> None:
    assert situation(suggested[0], END).requests_per_day == pytest.approx(40)


def test_an_alarm_moves_labels_to_a_uniform_draw(tmp_path: Path) -> None:
    triggers = {"policy": "error-budget", "labels": 6, "budget": 0.9}
    session = make_session(tmp_path / "workspace", triggers=triggers)
    alarmed = END - timedelta(days=1)
    session.record(Decision("alert/x", "monitoring", alarmed, "alert", "moved", {"kind": "drift"}))
    run(session, job())
    told = [
        d.reason.partition(" of them for audit")[2] for d in session.store.decisions.read("curation")
    ]
    assert told[0] == ""
    assert all(words.endswith("for the trigger's test") for words in told[1:])
    rows = session.store.labels.claim("v0002", END)
    assert rows.groupby("round").size().max() <= 12
    later = rows[rows["policy"] == "test"]
    assert set(later["round"]) == {"2026-01-07T00:00", "2026-01-08T00:00"}
    assert 8 <= len(later) <= 12  # a row that the audit drew too is an audit row
    assert not later["audit"].any()
    assert (rows["audit"] == (rows["policy"] == "audit")).all()


def test_a_retrain_begins_a_new_test(tmp_path: Path) -> None:
    """An untrained encoder errs far more than a budget of nothing allows."""
    triggers = {"policy": "error-budget", "budget": 0.001, "alpha": 0.4}
    session = make_session(tmp_path / "workspace", triggers=triggers)
    result = run(session, job(days=4))
    said = session.store.decisions.read("triggers")
    fired = [d for d in said if d.verdict == "retrain"]
    assert len(fired) == result["retrains"]
    for d in said:
        assert d.reason.startswith(("error-budget: ", "a rollout is under way"))
    last = session.store.state.read(Retrains).last
    assert all(r.timestamp > last for r in situation(session, END + timedelta(days=1)).rounds)
