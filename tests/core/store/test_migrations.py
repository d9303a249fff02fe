"""A store of an older version is brought to this one, wherever the migration is killed.

`as_version_5` takes back what schema 6 changed; a store that version 5 itself made is in
test_old_workspace.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from sqlalchemy import create_engine, inspect

from core import schema
from core.database import Database
from core.records.answers import ClassificationDetail
from core.records.labels import Annotation
from core.store import Store, migrations
from tests.logs import EVER, NOW, row

ROWS = [row(i, detail=ClassificationDetail(np.float16([i / 16, 1 - i / 16]))) for i in range(12)]
TAKEN_BACK = (
    "DROP TABLE classification_details",
    "DROP TABLE scores",
    "ALTER TABLE predictions RENAME COLUMN output TO label",
    "ALTER TABLE predictions RENAME COLUMN confidence TO score",
    "ALTER TABLE annotations RENAME COLUMN value TO label",
    "ALTER TABLE annotations DROP COLUMN kind",
    "ALTER TABLE relabelled RENAME COLUMN value TO label",
    "ALTER TABLE relabelled DROP COLUMN kind",
    "UPDATE state SET value = '5' WHERE key = 'schema'",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "AT_ONCE", 5)


def as_version_5(store: Store) -> None:
    """The rows are logged, the first one labelled, and the tables as version 5 had them."""
    store.answers.log(ROWS)
    store.labels.annotate([Annotation(ROWS[0].prediction_id, "b", "ana", NOW)])
    engine = create_engine(store.url)
    kind = "BYTEA" if engine.dialect.name == "postgresql" else "BLOB"
    with engine.begin() as db:
        db.exec_driver_sql(f"ALTER TABLE predictions ADD COLUMN probabilities {kind}")
        db.exec_driver_sql(
            "UPDATE predictions SET probabilities = (SELECT d.probabilities FROM classification_details d "
            "WHERE d.prediction_id = predictions.prediction_id)"
        )
        for change in TAKEN_BACK:
            db.exec_driver_sql(change)
    engine.dispose()


def check_migrated(store: Store) -> None:
    again = Store(store.url)
    assert again.state.read(migrations.SchemaVersion).number == schema.VERSION
    window = again.answers.window(*EVER)
    assert window.rows["prediction_id"].tolist() == [p.prediction_id for p in ROWS]
    assert window.padded.tolist() == [p.detail.probabilities.tolist() for p in ROWS]
    assert set(zip(window.rows["output"], window.rows["confidence"], strict=True)) == {("a", 0.75)}
    assert window.rows["score"].tolist()[0] == 0.0
    assert window.rows["score"].isna().sum() == len(ROWS) - 1
    again.answers.log([row(99)])  # it takes new rows
    assert again.answers.count() == len(ROWS) + 1
    again.close()
    there = inspect(create_engine(store.url))
    assert "probabilities" not in {c["name"] for c in there.get_columns("predictions")}


@pytest.mark.usefixtures("few")
def test_answers_and_labels_of_version_5_are_all_there(store: Store) -> None:
    as_version_5(store)
    check_migrated(store)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("batches", [1, 2, 3, 4])
def test_killed_after_a_batch_it_goes_on(store: Store, batches: int) -> None:
    as_version_5(store)
    half = Database(store.url, schema.metadata)
    copied = [migrations.copy_details(half) for _ in range(batches)]
    assert copied == [5, 5, 2, 0][:batches]
    half.close()
    check_migrated(store)


@pytest.mark.usefixtures("few")
def test_killed_before_the_version_is_noted_it_finds_nothing_to_do(store: Store) -> None:
    as_version_5(store)
    half = Database(store.url, schema.metadata)
    migrations.to_6(half)
    migrations.to_6(half)
    half.close()
    check_migrated(store)


def test_a_row_that_an_old_server_wrote_meanwhile_is_not_lost(store: Store) -> None:
    """Its id is not the newest: it was older than the last row that was copied."""
    as_version_5(store)
    half = Database(store.url, schema.metadata)
    while migrations.copy_details(half):
        pass
    with half.write() as db:
        gone = ROWS[3].prediction_id
        db.exec_driver_sql(f"DELETE FROM classification_details WHERE prediction_id = '{gone}'")
    half.close()
    check_migrated(store)


@pytest.mark.usefixtures("few")
def test_two_may_open_an_old_store_at_once(store: Store) -> None:
    as_version_5(store)
    threads = [Thread(target=lambda: Store(store.url).close()) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_migrated(store)


@pytest.mark.slow
def test_killed_anywhere_it_goes_on(store: Store) -> None:
    """The process is killed after 1.0, 1.1 ... seconds, until one gets to the end."""
    as_version_5(store)
    opens = f"from core.store import Store, migrations; migrations.AT_ONCE = 1; Store('{store.url}')"
    for tenth in range(10, 60):
        process = subprocess.Popen([sys.executable, "-c", opens])
        time.sleep(tenth / 10)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
    assert process.returncode == 0
    check_migrated(store)
