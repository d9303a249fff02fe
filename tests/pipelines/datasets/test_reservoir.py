"""The reservoir: append-only, the same bytes every time, and nothing held out ever trains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core.errors import DatasetError
from pipelines.datasets import reservoir
from pipelines.datasets.partitions import (
    SCHEMA,
    add_partition,
    in_folder,
    read,
    read_partition,
    scan,
)
from pipelines.datasets.reservoir import first_rows, from_claim

START = datetime(2026, 1, 5, tzinfo=UTC)


def rows(*texts: str, kind: str = "train", label: str = "card") -> pd.DataFrame:
    times = [START + timedelta(minutes=i) for i in range(len(texts))]
    table = pd.DataFrame({"text": list(texts), "label": label, "timestamp": times})
    vectors = np.arange(len(texts) * 4).reshape(-1, 4)
    return first_rows(table, vectors, kind, "tiny", START)  # type: ignore[arg-type]  # a str here


def claimed(**changes: object) -> pd.DataFrame:
    row = {
        "prediction_id": "p1",
        "timestamp": START,
        "input": "where is my card",
        "target": "card",
        "kind": "label",
        "embedding": np.ones(4, np.float16).tobytes(),
        "encoder": "tiny",
        "segments": {"topic": "cards", "channel": "app"},
        "user_key": "u1",
        "policy": "margin",
        "round": "2026-01-05",
        "propensity": 0.25,
        "audit": False,
        "annotator": "ann",
    }
    return pd.DataFrame([{**row, **changes}])


def test_a_partition_comes_back_as_it_was_written(tmp_path: Path) -> None:
    add_partition(tmp_path, "v0001", from_claim(claimed()))
    row = read(tmp_path).iloc[0].to_dict()
    assert row == {
        "row_id": "p1",
        "timestamp": pd.Timestamp(START),
        "input": "where is my card",
        "target": "card",
        "kind": "label",
        "set": "train",
        "embedding": np.ones(4, np.float16).tobytes(),
        "encoder": "tiny",
        "segments": '{"channel": "app", "topic": "cards"}',
        "user_key": "u1",
        "policy": "margin",
        "round": "2026-01-05",
        "propensity": 0.25,
        "annotator": "ann",
    }


def test_audit_rows_go_to_the_audit_set() -> None:
    assert from_claim(claimed(audit=True))["set"].tolist() == ["audit"]


def test_feedback_without_a_propensity_is_kept(tmp_path: Path) -> None:
    add_partition(tmp_path, "v0001", from_claim(claimed(propensity=None)))
    assert np.isnan(read(tmp_path)["propensity"].iloc[0])


def test_no_claimed_rows_are_no_reservoir_rows() -> None:
    assert from_claim(claimed().iloc[:0]).columns.tolist() == SCHEMA.names


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = add_partition(tmp_path / "a", "v0001", rows("x", "y")).read_bytes()
    assert add_partition(tmp_path / "b", "v0001", rows("x", "y")).read_bytes() == first
    assert [p.name for p in (tmp_path / "a" / "v0001").iterdir()] == ["v0001.parquet"]


def test_writing_a_partition_again_changes_nothing(tmp_path: Path) -> None:
    path = add_partition(tmp_path, "v0001", rows("x"))
    before = path.stat().st_mtime_ns
    assert add_partition(tmp_path, "v0001", rows("x")) == path
    assert path.stat().st_mtime_ns == before


def test_a_partition_is_never_rewritten(tmp_path: Path) -> None:
    add_partition(tmp_path, "v0001", rows("x"))
    with pytest.raises(DatasetError, match="cannot be rewritten"):
        add_partition(tmp_path, "v0001", rows("other"))
    assert read(tmp_path)["input"].tolist() == ["x"]


def earlier(folder: Path, name: str, *texts: str) -> Path:
    """A partition as versions before `input`, `target` and `kind` wrote it."""
    path = add_partition(folder, name, rows(*texts))
    table = pq.read_table(path).drop_columns("kind")
    pq.write_table(table.rename_columns({"input": "text", "target": "label"}), path)
    return path


def test_partitions_of_earlier_columns_are_read_beside_new_ones(tmp_path: Path) -> None:
    path = earlier(tmp_path, "v0001", "x", "y")
    before = path.read_bytes()
    add_partition(tmp_path, "v0002", rows("z", label="fee").assign(kind="demonstration"))
    both = scan(in_folder(tmp_path), ["v0001", "v0002"], SCHEMA.names)
    assert both.table.schema == SCHEMA
    assert both.counts.tolist() == [2, 1]
    told = both.table.select(["input", "target", "kind"]).to_pylist()
    assert [tuple(row.values()) for row in told] == [
        ("x", "card", "label"),
        ("y", "card", "label"),
        ("z", "fee", "demonstration"),
    ]
    alone = read_partition(path, ["kind", "target", "row_id"])
    assert alone == both.table.slice(0, 2).select(["kind", "target", "row_id"])
    assert add_partition(tmp_path, "v0001", rows("x", "y")) == path  # they are the same rows
    assert path.read_bytes() == before


@pytest.mark.parametrize("column", ["target", "kind"])
def test_a_partition_that_lacks_a_column_is_no_earlier_one(tmp_path: Path, column: str) -> None:
    earlier(tmp_path, "v0001", "x")
    path = add_partition(tmp_path, "v0002", rows("y"))
    pq.write_table(pq.read_table(path).drop_columns(column), path)
    with pytest.raises(DatasetError, match=rf"(?s)not of the reservoir.*v0002\.parquet.*no {column}\n"):
        read(tmp_path)


def test_writing_leaves_its_input_alone(tmp_path: Path) -> None:
    given = claimed()
    before = given.copy(deep=True)
    add_partition(tmp_path, "v0001", from_claim(given))
    pd.testing.assert_frame_equal(given, before)


def test_the_last_annotation_of_a_row_wins(tmp_path: Path) -> None:
    add_partition(tmp_path, "v0001", from_claim(claimed(target="wrong")))
    add_partition(tmp_path, "v0002", from_claim(claimed(target="right")))
    assert read(tmp_path)["target"].tolist() == ["right"]
    assert read(tmp_path, partitions=["v0001"])["target"].tolist() == ["wrong"]


def test_only_the_sets_and_columns_asked_for(tmp_path: Path) -> None:
    add_partition(tmp_path, "v0001", pd.concat([rows("a", "b"), rows("c", kind="eval")]))
    assert read(tmp_path, sets=["eval"], columns=["input"]).to_dict("list") == {"input": ["c"]}


def test_an_empty_reservoir_has_all_columns(tmp_path: Path) -> None:
    assert read(tmp_path).columns.tolist() == SCHEMA.names


def test_embeddings_are_float16_rows() -> None:
    assert reservoir.embeddings(rows("a", "b")).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert reservoir.embeddings(rows()).shape == (0, 0)


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_truncated_partition_is_named(tmp_path: Path, kept: int) -> None:
    path = add_partition(tmp_path, "v0001", rows("x", "y"))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        DatasetError, match=r"(?s)file is damaged.*v0001\.parquet.*everloop data checkout"
    ):
        read(tmp_path)


def test_a_missing_partition_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"(?s)not here.*v0007\.parquet"):
        read(tmp_path, partitions=["v0007"])


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v0001").mkdir()
    pd.DataFrame({"input": ["x"]}).to_parquet(tmp_path / "v0001" / "v0001.parquet")
    with pytest.raises(DatasetError, match=r"(?s)not of the reservoir.*no row_id"):
        read(tmp_path)


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not reservoir rows"):
        add_partition(tmp_path, "v0001", pd.DataFrame({"input": ["x"]}))
    with pytest.raises(DatasetError, match="target: string not null"):
        add_partition(tmp_path, "v0001", rows("x").assign(target=None))
    assert list(tmp_path.iterdir()) == []
