"""The rows that a model learnt from: drawn once for each dataset, and kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.workspace import Workspace
from flows.learnt import MOST, learnt
from pipelines.datasets.layout import MANIFEST
from pipelines.datasets.manifest import Manifest
from pipelines.datasets.partitions import add_partition
from pipelines.datasets.reservoir import first_rows


def dataset(root: Path, n: int, encoder: str = "minilm") -> Workspace:
    place = Workspace(root)
    place.state.mkdir(exist_ok=True, parents=True)
    times = pd.date_range("2026-01-05", periods=n, freq="min", tz="UTC")
    table = pd.DataFrame({"text": "a", "label": "b", "timestamp": times}, index=range(n))
    embeddings = np.repeat(np.arange(n)[:, None] % 2000, 4, axis=1)
    rows = first_rows(table, embeddings, "train", encoder, datetime(2026, 1, 5, tzinfo=UTC))
    rows.loc[::10, "encoder"] = "another"
    for old in place.reservoir.glob("*/*.parquet"):
        old.unlink()
    add_partition(place.reservoir, "v0001", rows)
    Manifest(("v0001",), np.array([n]), np.ones(n, np.uint8)).write(place.dataset / MANIFEST)
    return place


@pytest.mark.parametrize("rows", [5, 3000, 7000, 12_000])
def test_rows_of_the_encoder_are_drawn_evenly(tmp_path: Path, rows: int) -> None:
    found = learnt(dataset(tmp_path, rows), "minilm")
    mine = [i % 2000 for i in range(rows) if i % 10]
    step = -(-len(mine) // MOST)
    assert found is not None
    assert found.dtype == np.float32
    assert len(found) <= MOST
    assert found[:, 0].tolist() == mine[::step]


def test_where_nothing_was_learnt(tmp_path: Path) -> None:
    assert learnt(Workspace(tmp_path), "minilm") is None
    assert learnt(dataset(tmp_path, 5), "tuned") is None


def test_a_dataset_is_read_once_and_the_next_one_anew(tmp_path: Path) -> None:
    place = dataset(tmp_path, 50)
    first = learnt(place, "minilm")
    [kept] = place.state.glob("learnt-*.npy")
    np.save(kept, np.load(kept) + np.float16(1))  # only who reads it here sees that
    again = learnt(place, "minilm")
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again, first + 1)
    fresh = learnt(dataset(tmp_path, 60), "minilm")
    assert fresh is not None
    assert len(fresh) == 54
    assert len(list(place.state.iterdir())) == 1
