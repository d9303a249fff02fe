"""A store of an older version is brought to this one, wherever the migration is killed.

`as_version_5` takes back what schemas 6 and 7 changed; a store that version 5 itself made is in
test_old_workspace.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from sqlalchemy import create_engine, delete, inspect, select

from core import schema
from core.database import Database, insert_new
from core.records.answers import ClassificationDetail
from core.records.labels import Annotation
from core.store import Store, migrations
from core.store.tasks import keep_history
from tests.logs import EVER, NOW, row

ROWS = [row(i, detail=ClassificationDetail(np.float16([i / 16, 1 - i / 16]))) for i in range(12)]
OLD_KEY = (  # of corrected annotations, before schema 7
    "CREATE TABLE kept AS SELECT prediction_id, timestamp, value, partition, annotator, kind FROM relabelled",
    "DROP TABLE relabelled",
    "ALTER TABLE kept RENAME TO relabelled",
)
TAKEN_BACK = (
    "DROP TABLE classification_details",
    "DROP TABLE scores",
    "ALTER TABLE predictions RENAME COLUMN output TO label",
    "ALTER TABLE predictions RENAME COLUMN confidence TO score",
    "ALTER TABLE annotations RENAME COLUMN value TO label",
    "ALTER TABLE annotations DROP COLUMN kind",
    *OLD_KEY,
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


@pytest.fixture
def corrected(store: Store) -> Store:
    """An annotation that was corrected twice at the same time, as version 6 had it."""
    store.answers.log(ROWS)
    with store.database.write() as db:
        for value in ("a", "b" * 5000):
            said = Annotation(ROWS[0].prediction_id, value, "ana", NOW)
            insert_new(db, schema.annotations, [asdict(said)])
            keep_history(db, db.execute(select(schema.annotations)).one())
            db.execute(delete(schema.annotations))
    engine = create_engine(store.url)
    with engine.begin() as db:
        for change in (*OLD_KEY, "UPDATE state SET value = '6' WHERE key = 'schema'"):
            db.exec_driver_sql(change)
    engine.dispose()
    return store


def check_corrections(store: Store) -> None:
    again = Store(store.url)
    assert again.state.read(migrations.SchemaVersion).number == schema.VERSION
    labels = again.lineage.story(ROWS[0].prediction_id).labels
    assert sorted(x["value"] for x in labels) == ["a", "b" * 5000]
    assert {x["partition"] for x in labels} == {""}
    again.close()
    keys = inspect(create_engine(store.url)).get_pk_constraint("relabelled")["constrained_columns"]
    assert set(keys) == {"prediction_id", "timestamp", "value_hash", "partition"}


def test_corrections_of_version_6_are_all_there_and_may_be_long(corrected: Store) -> None:
    check_corrections(corrected)


@pytest.mark.parametrize("step", ["create", "insert"])
def test_killed_while_the_table_of_corrections_is_made_it_goes_on(
    corrected: Store, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as change:
        if step == "create":
            change.setattr(type(schema.relabelled), "create", killed)
        else:
            change.setattr(migrations, "insert_new", killed)
        half = Database(corrected.url, schema.metadata)
        with pytest.raises(Killed):
            migrations.to_7(half)
        half.close()
    check_corrections(corrected)


def test_migrated_twice_nothing_is_there_twice(corrected: Store) -> None:
    half = Database(corrected.url, schema.metadata)
    migrations.to_7(half)
    migrations.to_7(half)
    half.close()
    check_corrections(corrected)


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
