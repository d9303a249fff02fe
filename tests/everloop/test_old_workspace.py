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

import pandas as pd
import pyarrow.parquet as pq
import pytest

from flows.session import open_session
from pipelines.datasets.contents import rows_here, rows_of
from pipelines.datasets.diff import diff
from pipelines.datasets.manifest import SETS
from pipelines.datasets.partitions import SCHEMA, in_folder
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import Plan, checkout, make_version
from tests import ROOT
from tests.command_line import everloop
from tests.core.models.tiny import said

FIXTURES = ROOT / "tests" / "fixtures"
OLD = ("v0001", "v0002", "v0003")
AT = datetime(2026, 1, 8, tzinfo=UTC)


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
    from core.tracking import quiet_mlflow

    session = open_session(shop)
    texts = ["where is my parcel", "i want my money back", "cancel it please"]
    folder = session.registry.path("1").parent.parent
    answers = quiet_mlflow().pyfunc.load_model(str(folder)).predict(texts)
    assert answers["label"].tolist() == [learnt, "refund_status", "cancel_order"]
    assert answers["score"].tolist() == pytest.approx([0.7744337, 0.9302726, 0.9785619], abs=1e-5)
    model = session.registry.load("1")
    assert said(model, texts) == list(answers.itertuples(index=False, name=None))
    today = model.under(session.store.label_set_at(datetime(2026, 1, 8, tzinfo=UTC)))
    assert said(today, texts)[0][0] == "track order"
    session.store.close()


@pytest.mark.slow
def test_new_rows_join_those_of_the_earlier_columns(shop: Path) -> None:
    """Partitions with `text` and `label` are read beside one with `input`, `target` and `kind`, and are
    not rewritten; a row of theirs is labelled anew."""
    session = open_session(shop)
    place, files = session.workspace, in_folder(session.workspace.reservoir)
    before = {name: (rows_of(shop, name), files(name).read_bytes()) for name in OLD}
    rows = before["v0003"][0]
    again = rows[rows["set"] == "train"].iloc[[0]].assign(target="gift_card")
    new = pd.concat([again, again.assign(row_id="new", input="is there a gift card?")])
    policy = session.strategy.datasets
    made = make_version(place, new, Plan("v0004", AT, 4, "v0003"), policy, place.champion)
    shapes = [set(pq.read_schema(files(name)).names) for name in (*OLD, "v0004")]
    assert [{"text", "label"} <= shape for shape in shapes] == [True, True, True, False]
    assert shapes[-1] == set(SCHEMA.names)

    found = diff(shop, "v0003", "v0004")
    [(text, was, now)] = found.relabelled[["input", "target_before", "target"]].to_numpy().tolist()
    assert (text, was, now) == (again["input"].iloc[0], "track order", "gift_card")
    assert found.added["input"].tolist() == ["is there a gift card?"]
    assert (len(found.removed), len(found.moved)) == (0, 0)

    for name, (held, content) in before.items():
        checkout(shop, name)
        assert files(name).read_bytes() == content
        assert pd.read_parquet(files(name))["text"].isin(held["input"]).all()
        pd.testing.assert_frame_equal(rows_here(place, SETS), held)
    checkout(shop, "v0004")
    assert len(rows_here(place, SETS)) == sum(made.rows.values())
    assert [v.faults for v in verify(shop)] == [[]] * 4
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
