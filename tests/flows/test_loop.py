"""The loop goes all the way round, sees no truth it should not see, and survives being killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection

from core.arrays import Array
from core.errors import WorkspaceError
from core.models.classifier.encoder import Encoder
from core.state import Champion
from core.store import Store
from everloop.replay import Replay, run
from flows.retrain import retrain
from flows.session import Session
from pipelines.datasets.contents import rows_here
from pipelines.datasets.history import list_versions
from pipelines.datasets.partitions import read
from tests.small_loop import job, make_session

NOT_COMPARED = ("seconds", "seconds_per_stage", "texts_read")
KEYS = {
    "days", "requests", "prequential_accuracy", "daily_accuracy", "labels", "retrains", "promotions",
    "rollbacks", "drift_alerts", "encoder_passes_per_text", "seconds", "seconds_per_stage",
}  # fmt: skip


@pytest.fixture(scope="module")
def texts_read() -> Iterator[list[str]]:
    """Every text any encoder reads while this module's first loop turns, counted from outside."""
    seen: list[str] = []
    honest = Encoder.encode

    def counted(self: Encoder, texts: Sequence[str]) -> Array:
        seen.extend(texts)
        return honest(self, texts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "encode", counted)
        yield seen


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, texts_read: list[str]
) -> tuple[Session, dict[str, Any]]:
    session = make_session(tmp_path_factory.mktemp("whole") / "workspace")
    result = run(session, job())
    result["texts_read"] = list(texts_read)
    return session, result


def outcome(session: Session, result: dict[str, Any]) -> dict[str, Any]:
    """Everything a replay leaves behind that must not depend on when it was killed."""
    start, end = pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2027-01-01", tz="UTC")
    answers = session.store.answers.side_by_side(start, end).drop(columns=["latency_ms"])
    return {
        "result": {k: v for k, v in result.items() if k not in NOT_COMPARED},
        "answers": answers.to_csv(index=False),
        "decisions": [
            (d.key, d.verdict) for d in session.store.decisions.read() if d.stage != "rollout"
        ],
        "rollouts": [(r.rollout_id, r.stage) for r in session.store.decisions.rollouts()],
        "versions": [(v.id, v.revision, v.rows) for v in list_versions(session.workspace.root)],
        "models": [(c.version, c.dataset, c.metrics) for c in session.registry.versions()],
        "champion": (session.store.state.read(Champion).version, session.registry.version("champion")),
        "counters": session.store.state.counters(),
    }


def test_the_loop_turns(whole: tuple[Session, dict[str, Any]]) -> None:
    session, result = whole
    assert set(result) >= KEYS
    assert (result["days"], result["requests"]) == (3, 120)
    assert result["labels"] <= 36
    assert result["most_labels_in_a_day"] <= 12
    assert result["retrains"] >= 2
    assert result["promotions"] >= 1
    assert session.store.state.read(Champion).version == session.registry.version("champion") != "1"
    assert [v.id for v in list_versions(session.workspace.root)] == ["v0001", "v0002", "v0003", "v0004"]


def test_every_text_is_read_once(whole: tuple[Session, dict[str, Any]]) -> None:
    session, result = whole
    assert result["encoder_passes_per_text"] == 1.0
    counters = session.store.state.counters()
    assert counters["encoder_passes.serving"] == 120
    read = result["texts_read"]
    assert len(read) == len(set(read)) == sum(v for k, v in counters.items() if "passes" in k)
    assert counters["encoder_passes.initial"] == 90


def test_audit_rows_never_train(whole: tuple[Session, dict[str, Any]]) -> None:
    session, _ = whole
    rows = read(session.workspace.reservoir)
    audit, train = rows[rows["set"] == "audit"], rows[rows["set"] == "train"]
    assert len(audit) >= 3
    assert not set(audit["row_id"]) & set(rows_here(session.workspace)["row_id"])
    assert train[train["policy"] != "initial"]["propensity"].between(0, 1, inclusive="right").all()


def test_lineage_can_be_walked_from_a_prediction_to_a_model(
    whole: tuple[Session, dict[str, Any]],
) -> None:
    session, _ = whole
    rows = read(session.workspace.reservoir)
    picked = rows[(rows["set"] == "train") & (rows["policy"] == "margin")].iloc[0]
    prediction = session.store.answers.get(picked["row_id"])
    assert prediction is not None
    assert prediction.text == picked["input"]
    candidates = session.registry.versions()
    assert {c.dataset for c in candidates} == {v.id for v in list_versions(session.workspace.root)}
    served = session.store.answers.window(
        pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2027-01-01", tz="UTC")
    )
    assert set(served.rows["model_version"]) <= {c.version for c in candidates}


def test_truth_is_seen_only_where_a_label_was_asked_for(
    whole: tuple[Session, dict[str, Any]], tmp_path: Path
) -> None:
    session, result = whole
    start, end = pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2027-01-01", tz="UTC")
    window = session.store.answers.window(start, end).rows
    asked = set(window[window["propensity"].notna()]["request_id"])
    lying = job()
    stream = lying.stream.copy()
    stream.loc[~stream["request_id"].isin(asked), "label"] = "a lie"
    other = make_session(tmp_path / "workspace")
    lied = run(other, replace(lying, stream=stream))
    ours, theirs = outcome(session, result), outcome(other, lied)
    assert theirs["answers"] == ours["answers"]
    assert theirs["versions"] == ours["versions"]
    assert lied["prequential_accuracy"] < result["prequential_accuracy"]


def test_running_a_finished_replay_again_changes_nothing(whole: tuple[Session, dict[str, Any]]) -> None:
    session, result = whole
    before = outcome(session, result)
    assert outcome(session, run(session, job())) == before


def test_a_workspace_holds_one_stream(whole: tuple[Session, dict[str, Any]]) -> None:
    session, _ = whole
    with pytest.raises(WorkspaceError, match="already holds another stream"):
        run(session, job(days=2))


def test_frozen_never_retrains(tmp_path: Path) -> None:
    result = run(make_session(tmp_path / "workspace"), job(days=2, frozen=True))
    assert (result["retrains"], result["labels"], result["promotions"]) == (0, 0, 0)
    assert result["prequential_accuracy"] == result["frozen_accuracy"]


def test_no_retrain_ends_the_rollout_under_way(tmp_path: Path) -> None:
    session = make_session(tmp_path / "workspace")
    run(session, job(days=2, each_day=44))
    under_way = session.store.decisions.live_rollout()
    assert under_way is not None
    waits = retrain(session, datetime(2026, 1, 7, 1, tzinfo=UTC), "asked for")["waits"]
    assert waits.startswith(f"a rollout is under way: version {under_way.candidate}, ")
    assert session.store.decisions.live_rollout() == under_way


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing catches it."""


@contextmanager
def killed_at(store: Store, write: int) -> Iterator[None]:
    """The process dies just after a write was committed."""
    honest, seen = store.database.write, 0

    @contextmanager
    def dying() -> Iterator[Connection]:
        nonlocal seen
        with honest() as db:
            yield db
        seen += 1
        if seen == write:
            raise Killed

    store.database.write = dying  # type: ignore[method-assign]  # the fault is injected here
    try:
        yield
    finally:
        store.database.write = honest  # type: ignore[method-assign]


def die_and_go_on(session: Session, work: Replay, write: int) -> dict[str, Any]:
    with killed_at(session.store, write), pytest.raises(Killed):
        run(session, work)
    return run(session, work)


@pytest.mark.parametrize("write", [4, 30, 40])
def test_killed_and_run_again_ends_the_same(
    whole: tuple[Session, dict[str, Any]], tmp_path: Path, write: int
) -> None:
    session = make_session(tmp_path / "workspace")
    assert outcome(session, die_and_go_on(session, job(), write)) == outcome(*whole)


@pytest.mark.slow
@pytest.mark.parametrize("write", range(1, 75, 3))
def test_killed_anywhere_and_run_again_ends_the_same(
    whole: tuple[Session, dict[str, Any]], tmp_path: Path, write: int
) -> None:
    session = make_session(tmp_path / "workspace")
    assert outcome(session, die_and_go_on(session, job(), write)) == outcome(*whole)
