"""Many days: blocks, the light copies of full ones, and what a day adds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from core.errors import DatasetError
from core.workspace import Workspace
from everloop.init import init
from pipelines.datasets import layout
from pipelines.datasets.contents import rows_here
from pipelines.datasets.diff import diff
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import rows_of
from pipelines.datasets.light import scan_light
from pipelines.datasets.partitions import SCHEMA, in_folder, read, scan
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import checkout, make_version
from tests.code.small_versions import ALL, first, plan, rows

DAYS = 6


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Six days in blocks of two; the third has no rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "BLOCK", 2)
        place = init(tmp_path_factory.mktemp("grown") / "shop")
        place.params.write_text("datasets:\n  policy: all\n")
        make_version(place, first(), plan(1), ALL, None)
        for n in range(2, DAYS + 1):
            add(place, n)
    return place


def add(place: Workspace, n: int) -> None:
    new = None if n == 3 else rows([f"day {n}", f"another of day {n}"], f"label {n}", day=n - 1)
    make_version(place, new, plan(n), ALL, None)


@pytest.fixture
def shop(grown: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    import shutil

    monkeypatch.setattr(layout, "BLOCK", 2)
    return Workspace(shutil.copytree(grown.root, tmp_path / "shop", symlinks=True))


NAMES = ("v0001", "v0002", "v0004", "v0005", "v0006")


def test_partitions_lie_in_blocks_with_a_pointer_each(shop: Workspace) -> None:
    found = sorted(p.relative_to(shop.reservoir).as_posix() for p in shop.reservoir.rglob("*.parquet"))
    assert found == [
        "v0001/v0001.parquet",
        "v0001/v0002.parquet",
        "v0003/v0004.parquet",
        "v0005/v0005.parquet",
        "v0005/v0006.parquet",
    ]
    pointers = sorted(p.name for p in (shop.root / "data/blocks").iterdir())
    assert pointers == ["v0001.dvc", "v0003.dvc", "v0005.dvc"]
    assert '"v0001-v0002",\n    "v0004-v0006"' in shop.version_file.read_text()
    assert not any(c.faults for c in verify(shop.root, deep=True))


def test_a_day_sends_its_own_objects_alone(shop: Workspace) -> None:
    def objects() -> set[str]:
        return {p.name for p in (shop.state / "remote/files/md5").rglob("*") if p.is_file()}

    before = objects()
    add(shop, 7)
    # the partition, the listing of its block, the manifest and the listing of that
    assert len(objects() - before) == 4
    changed = Repository(shop.root).git("diff", "--name-only", "HEAD~1").split()
    assert changed == [
        "data/blocks/v0007.dvc",
        "data/version.json",
        "dvc.lock",
        "metrics/datasets.json",
    ]


def test_checkout_goes_over_blocks_and_back(shop: Workspace) -> None:
    for n in (2, 5, 1, 6):
        checkout(shop.root, f"v{n:04d}")
        wanted = [x for x in NAMES if int(x[1:]) <= n]
        assert sorted(p.stem for p in shop.reservoir.rglob("*.parquet")) == wanted
        shown = rows_here(shop, columns=["text"])["text"].tolist()
        assert shown == rows_of(shop.root, f"v{n:04d}", ["train"], ["text"])["text"].tolist()
    assert Repository(shop.root).git("status", "--porcelain") == ""


def test_versions_of_many_blocks_differ_by_their_rows(shop: Workspace) -> None:
    found = diff(shop.root, "v0002", "v0006")
    assert sorted(found.added["text"]) == sorted(
        f"{x}day {n}" for n in (4, 5, 6) for x in ("", "another of ")
    )
    assert found.removed.empty


def test_a_stray_partition_of_another_branch_stops_a_version(shop: Workspace) -> None:
    stray = shop.reservoir / "v0007" / "v0008.parquet"
    stray.parent.mkdir()
    stray.write_bytes((shop.reservoir / "v0005/v0006.parquet").read_bytes())
    with pytest.raises(
        DatasetError, match=r"(?s)another version.*partition v0008.*data checkout v0006"
    ):
        add(shop, 7)


# -- the light copies ---------------------------------------------------------------------------


def light(shop: Workspace) -> list[Path]:
    return sorted((shop.state / "light").iterdir())


def test_a_light_copy_is_what_the_partitions_say(shop: Workspace) -> None:
    plain = scan(in_folder(shop.reservoir), NAMES, SCHEMA.names)
    for _ in range(2):  # made, then read
        found = scan_light(shop, NAMES)
        assert found.table.equals(plain.table)
        assert found.counts.tolist() == plain.counts.tolist() == [5, 2, 2, 2, 2]
    assert len(light(shop)) == 2  # the last block can still grow


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_damaged_light_copy_is_made_again(shop: Workspace, kept: int) -> None:
    scan_light(shop, NAMES)
    whole = [p.read_bytes() for p in light(shop)]
    for path in light(shop):
        path.write_bytes(path.read_bytes()[:kept])
    found = scan_light(shop, NAMES).table
    assert found.equals(scan(in_folder(shop.reservoir), NAMES, SCHEMA.names).table)
    assert [p.read_bytes() for p in light(shop)] == whole


def test_a_light_copy_goes_when_its_block_is_another(shop: Workspace) -> None:
    """Texts that were taken out of the reservoir are in no copy of it."""
    scan_light(shop, NAMES)
    before = light(shop)
    path = shop.reservoir / "v0001" / "v0002.parquet"
    path.unlink()
    pd.testing.assert_frame_equal(read(shop.reservoir, partitions=[]), read(shop.reservoir).iloc[:0])
    from pipelines.datasets.partitions import add_partition

    add_partition(shop.reservoir, "v0002", rows(["other"], day=1 + timedelta(0).days))
    Repository(shop.root).track(["data/reservoir/v0001"], layout.STAGE)
    found = scan_light(shop, NAMES).table
    assert "other" in found["text"].to_pylist()
    assert "day 2" not in found["text"].to_pylist()
    assert len(light(shop)) == 2
    assert len(set(light(shop)) & set(before)) == 1
