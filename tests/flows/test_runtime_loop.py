"""The loop on another runtime than torch: checked before anything is crowned, and left in mid-life."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from core.errors import ModelError
from core.models.classifier import agreement
from core.models.pyfunc import _load_pyfunc
from core.records.answers import Request
from core.state import Champion
from everloop.commands import app
from everloop.replay import run
from flows.first import first_model
from flows.retrain import retrain
from flows.runtimes import best, runtimes
from flows.session import Session
from flows.stages import roll_back_now
from flows.undo import Requester
from serving.service import Service
from tests.small_loop import job, make_session

pytestmark = pytest.mark.slow
NOW = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of thirty rows may differ: the tiny encoder has random weights."""
    monkeypatch.setattr(agreement, "LEAST", 0.93)


def first(session: Session) -> str:
    rows = job(days=1)
    return first_model(session, rows.train, rows.evaluation, NOW)


def moved_to(session: Session, runtime: str) -> Session:
    """The workspace after its user has changed model.runtime."""
    model = session.strategy.model.model_copy(update={"runtime": runtime})
    return replace(session, strategy=session.strategy.model_copy(update={"model": model}))


def test_the_loop_turns_on_int8(tmp_path: Path, lenient: None) -> None:
    session = make_session(tmp_path / "workspace", model={"runtime": "onnx-int8"})
    result = run(session, job())
    assert (result["requests"], session.store.answers.count()) == (120, 120)
    assert result["promotions"] >= 1
    rows = session.store.answers.window(
        pd.Timestamp("2026-01-05", tz="UTC"), pd.Timestamp("2026-01-08", tz="UTC")
    ).rows
    assert {e.split("/")[-2] for e in rows["encoder"]} == {"onnx-int8"}
    assert "runtime_failed" in session.registry.versions()[-1].metrics
    folder = session.registry.path("1")  # as `mlflow models serve` has it
    assert _load_pyfunc(str(folder)).predict(["pay my card"]).columns.tolist() == ["label", "score"]
    assert "onnxruntime==" in (folder.parents[1] / "requirements.txt").read_text()


def end_rollout(session: Session, now: datetime) -> None:
    """No retrain begins while one is under way."""
    if session.store.decisions.live_rollout():
        roll_back_now(session, now, Requester("ana"))


def test_a_retrain_moves_to_the_new_runtime_and_reads_the_rows_once(tmp_path: Path) -> None:
    session = make_session(tmp_path / "workspace")
    run(session, job(days=2))
    moved, later = moved_to(session, "onnx"), NOW + timedelta(days=3)
    end_rollout(session, later)
    result = retrain(moved, later, "another runtime")
    assert result["passed"]
    assert session.registry.load(result["candidate"]).encoder.identity.split("/")[-2] == "onnx-fp32"
    read = session.store.state.counters()["encoder_passes.reread"]
    assert read > 60
    # while the rollout is live every request is read by both encoders
    before = session.store.state.counters()["encoder_passes.serving"]
    asked = [Request(f"r{i}", later, f"pay my card {i}", f"user-{i}") for i in range(20)]
    Service(session.store, session.registry.load, 1000).predict(asked)
    assert session.store.state.counters()["encoder_passes.serving"] - before == 2 * len(asked)
    end_rollout(session, later)
    assert retrain(moved, later + timedelta(days=1), "once more")["candidate"]
    assert session.store.state.counters()["encoder_passes.reread"] == read


def test_a_first_model_whose_runtime_disagrees_is_not_crowned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "LEAST", 1.01)  # nothing is good enough
    session = make_session(tmp_path / "workspace", model={"runtime": "onnx-int8"})
    with pytest.raises(ModelError, match=r"onnx-int8 is refused(?s:.*) texts alone"):
        first(session)
    assert session.store.state.read(Champion).version is None
    assert session.registry.versions() == []
    assert first(moved_to(session, "torch")) == "1"


def test_every_runtime_is_measured_and_the_fastest_that_passes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenient: None
) -> None:
    monkeypatch.setattr("flows.runtimes.SECONDS", 0.01)
    session = make_session(tmp_path / "workspace")
    first(session)
    measured = runtimes(session)
    assert [m.runtime for m in measured] == ["torch", "torch-bf16", "onnx", "onnx-int8"]
    assert all(m.alone > 0 and m.together > 0 and m.megabytes > 0 for m in measured)
    assert measured[2].agreement.worst == 1
    assert best(measured).together == max(
        m.together for m in measured if not m.agreement or m.agreement.passed
    )
    shown = CliRunner().invoke(app, ["runtimes", "-w", str(session.workspace.root)]).output
    assert re.search(r"(?s)^runtime +MB .*\nonnx +0 .*passes.*\nmodel:\n  runtime: ", shown)
