"""Laws that hold for every exporter of dataset versions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from everloop.laws.members import every
from everloop.laws.reservoirs import many
from pipelines.datasets.exporters.exporter import Exporter, ExporterPolicy, written


@every(ExporterPolicy)
@pytest.mark.parametrize("count", [0, 1, 90])
def test_the_same_rows_give_the_same_bytes_and_are_not_changed(
    policy: Exporter, count: int, tmp_path: Path
) -> None:
    rows = many().drop(columns="embedding").iloc[:count]
    if policy.takes == "pairs":
        rows = rows.assign(id=rows["row_id"], chosen=rows["target"], rejected="other")
    before = rows.copy(deep=True)
    files = []
    for name in ("one", "two"):
        written(policy, rows, tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    pd.testing.assert_frame_equal(rows, before)
