"""Workspaces that older versions made (store schema 4 and 5) keep working, wherever they lie.

Each was made by that version's commands alone: three dataset versions, a promotion, a rollout under
way, feedback, votes of two annotators, a merged label, one label with two spaces in it, three open
tasks. They are unpacked elsewhere than they were made.
"""

from __future__ import annotations

import csv
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.session import open_session
from tests import ROOT
from tests.command_line import everloop
from tests.core.models.tiny import said

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture(params=["v4", "v5"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(FIXTURES / f"workspace-{request.param}.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "shop"


def test_it_can_be_read(shop: Path) -> None:
    listed = everloop("data", "list", "-w", shop)
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["v0001", "v0002", "v0003"]
    assert everloop("data", "verify", "-w", shop).out.count("whole") == 3
    assert everloop("label", "status", "-w", shop).out.startswith("3 open, 13 done")
    status = everloop("rollout", "status", "-w", shop, "--now", "2026-01-08").out
    assert status.startswith("champion: version 2\nunder way: version 3, shadow\n")


@pytest.mark.parametrize(
    ("shop", "learnt"), [("v4", "track  order"), ("v5", "track order")], indirect=["shop"]
)
def test_its_models_answer_as_they_did(shop: Path, learnt: str) -> None:
    """In the labels that they learnt: a served answer is in those of today."""
    import mlflow

    session = open_session(shop)
    texts = ["where is my parcel", "i want my money back", "cancel it please"]
    folder = session.registry.path("1").parent.parent
    answers = mlflow.pyfunc.load_model(str(folder)).predict(texts)
    assert answers["label"].tolist() == [learnt, "refund_status", "cancel_order"]
    assert answers["score"].tolist() == pytest.approx([0.7744337, 0.9302726, 0.9785619], abs=1e-5)
    model = session.registry.load("1")
    assert said(model, texts) == list(answers.itertuples(index=False, name=None))
    today = model.under(session.store.label_set_at(datetime(2026, 1, 8, tzinfo=UTC)))
    assert said(today, texts)[0][0] == "track order"
    session.store.close()


@pytest.mark.slow
def test_the_loop_goes_on(shop: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.csv"
    everloop("label", "export", tasks, "-w", shop, "--now", "2026-01-08")
    with tasks.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with tasks.open("w", newline="") as file:
        said = csv.DictWriter(file, rows[0])
        said.writeheader()
        said.writerows({**row, "label": row["predicted"]} for row in rows)
    took = everloop("label", "import", tasks, "-w", shop, "--now", "2026-01-08T01:00")
    assert (took.code, took.out.split(",")[0]) == (0, "3 new labels"), took
    turn = everloop("loop", "-w", shop, "--now", "2026-01-08T02:00")
    assert turn.code == 0, turn
    assert everloop("rollout", "rollback", "-w", shop, "--now", "2026-01-08T02:30").code == 0
    made = everloop("retrain", "-w", shop, "--now", "2026-01-08T03:00")
    assert "candidate 4: head on v0004" in made.out, made
    assert everloop("data", "verify", "-w", shop).out.count("whole") == 4
