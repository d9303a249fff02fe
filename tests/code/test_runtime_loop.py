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
from core.records import Request
from core.state import Champion
from everloop.commands import app
from everloop.replay import run
from flows.first import first_model
from flows.home import Home
from flows.retrain import retrain
from flows.runtimes import best, runtimes
from flows.stages import roll_back_now
from flows.undo import Requester
from serving.service import Service
from tests.code.small_loop import job, make_home

pytestmark = pytest.mark.slow
NOW = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of thirty rows may differ: the tiny encoder has random weights."""
    monkeypatch.setattr(agreement, "LEAST", 0.93)


def first(home: Home) -> str:
    rows = job(days=1)
    return first_model(home, rows.train, rows.evaluation, NOW)


def moved_to(home: Home, runtime: str) -> Home:
    """The workspace after its user has changed model.runtime."""
    model = home.strategy.model.model_copy(update={"runtime": runtime})
    return replace(home, strategy=home.strategy.model_copy(update={"model": model}))


def test_the_loop_turns_on_int8(tmp_path: Path, lenient: None) -> None:
    home = make_home(tmp_path / "workspace", model={"runtime": "onnx-int8"})
    result = run(home, job())
    assert (result["requests"], home.store.answers.count()) == (120, 120)
    assert result["promotions"] >= 1
    rows = home.store.answers.window(
        pd.Timestamp("2026-01-05", tz="UTC"), pd.Timestamp("2026-01-08", tz="UTC")
    ).rows
    assert {e.split("/")[-2] for e in rows["encoder"]} == {"onnx-int8"}
    assert "runtime_failed" in home.registry.versions()[-1].metrics
    folder = home.registry.path("1")  # as `mlflow models serve` has it
    assert _load_pyfunc(str(folder)).predict(["pay my card"]).columns.tolist() == ["label", "score"]
    assert "onnxruntime==" in (folder.parents[1] / "requirements.txt").read_text()


def end_rollout(home: Home, now: datetime) -> None:
    """No retrain begins while one is under way."""
    if home.store.decisions.live_rollout():
        roll_back_now(home, now, Requester("ana"))


def test_a_retrain_moves_to_the_new_runtime_and_reads_the_rows_once(tmp_path: Path) -> None:
    home = make_home(tmp_path / "workspace")
    run(home, job(days=2))
    moved, later = moved_to(home, "onnx"), NOW + timedelta(days=3)
    end_rollout(home, later)
    result = retrain(moved, later, "another runtime")
    assert result["passed"]
    assert home.registry.load(result["candidate"]).encoder.identity.split("/")[-2] == "onnx-fp32"
    read = home.store.state.counters()["encoder_passes.reread"]
    assert read > 60
    # while the rollout is live every request is read by both encoders
    before = home.store.state.counters()["encoder_passes.serving"]
    asked = [Request(f"r{i}", later, f"pay my card {i}", f"user-{i}") for i in range(20)]
    Service(home.store, home.registry.load, 1000).predict(asked)
    assert home.store.state.counters()["encoder_passes.serving"] - before == 2 * len(asked)
    end_rollout(home, later)
    assert retrain(moved, later + timedelta(days=1), "once more")["candidate"]
    assert home.store.state.counters()["encoder_passes.reread"] == read


def test_a_first_model_whose_runtime_disagrees_is_not_crowned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "LEAST", 1.01)  # nothing is good enough
    home = make_home(tmp_path / "workspace", model={"runtime": "onnx-int8"})
    with pytest.raises(ModelError, match=r"onnx-int8 is refused(?s:.*) texts alone"):
        first(home)
    assert home.store.state.read(Champion).version is None
    assert home.registry.versions() == []
    assert first(moved_to(home, "torch")) == "1"


def test_every_runtime_is_measured_and_the_fastest_that_passes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenient: None
) -> None:
    monkeypatch.setattr("flows.runtimes.SECONDS", 0.01)
    home = make_home(tmp_path / "workspace")
    first(home)
    measured = runtimes(home)
    assert [m.runtime for m in measured] == ["torch", "torch-bf16", "onnx", "onnx-int8"]
    assert all(m.alone > 0 and m.together > 0 and m.megabytes > 0 for m in measured)
    assert measured[2].agreement.worst == 1
    assert best(measured).together == max(
        m.together for m in measured if not m.agreement or m.agreement.passed
    )
    shown = CliRunner().invoke(app, ["runtimes", "-w", str(home.workspace.root)]).output
    assert re.search(r"(?s)^runtime +MB .*\nonnx +0 .*passes.*\nmodel:\n  runtime: ", shown)
