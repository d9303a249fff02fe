"""Many days: blocks, the light copies of full ones, and what a day adds."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import DatasetError
from core.workspace import Workspace
from everloop.init import init
from pipelines.datasets import layout
from pipelines.datasets.all import All
from pipelines.datasets.contents import rows_here
from pipelines.datasets.diff import diff
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.fence import marks
from pipelines.datasets.form import form_dataset
from pipelines.datasets.history import rows_of
from pipelines.datasets.light import COUNTS, HELD, PLAIN, WORDS, Light, light
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


def copies(shop: Workspace) -> list[Path]:
    return sorted((shop.state / "light").glob("*.parquet"))


def as_is(shop: Workspace) -> pa.Table:
    """What the partitions say, as the copies should."""
    table = scan(in_folder(shop.reservoir), NAMES, SCHEMA.names).table
    return table.append_column(WORDS, pa.array(marks(table["text"].to_pylist())))


def same(found: Light, shop: Workspace) -> None:
    wanted = as_is(shop)
    for name in (*PLAIN, WORDS):
        assert found.read([name])[name].to_pylist() == wanted[name].to_pylist()
    places = np.arange(len(wanted))[::-1]
    vectors = found.vectors(places)
    assert vectors["embedding"].to_pylist() == wanted["embedding"].to_pylist()[::-1]
    assert vectors["encoder"].to_pylist() == wanted["encoder"].to_pylist()[::-1]


def test_a_light_copy_is_what_the_partitions_say(shop: Workspace) -> None:
    for _ in range(2):  # made, then read
        found = light(shop, NAMES)
        same(found, shop)
        assert found.counts.tolist() == [5, 2, 2, 2, 2]
    assert len(copies(shop)) == 2  # the last block can still grow
    assert not any(b"day 2" in p.read_bytes() for p in copies(shop))


def test_embeddings_of_what_evaluates_are_read_alone(shop: Workspace) -> None:
    found = light(shop, NAMES)
    assert found.read(["set"])["set"].to_pylist()[4] == "eval"
    (vector,) = found.vectors(np.array([4]))["embedding"].to_pylist()
    assert vector == as_is(shop)["embedding"][4].as_py()
    assert found.vectors(np.array([], int)).num_rows == 0


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_damaged_light_copy_is_made_again(shop: Workspace, kept: int) -> None:
    light(shop, NAMES)
    whole = [p.read_bytes() for p in copies(shop)]
    for path in copies(shop):
        path.write_bytes(path.read_bytes()[:kept])
    same(light(shop, NAMES), shop)
    assert [p.read_bytes() for p in copies(shop)] == whole


def test_a_light_copy_of_an_older_everloop_is_made_again(shop: Workspace) -> None:
    """It had all columns, and no hash of the words."""
    light(shop, NAMES)
    whole = [p.read_bytes() for p in copies(shop)]
    for path in copies(shop):
        table = pq.read_table(path)
        counts = {COUNTS: table.schema.metadata[COUNTS]}
        pq.write_table(table.drop_columns([WORDS, HELD]).replace_schema_metadata(counts), path)
    before = manifest(shop)
    form_dataset(shop, ALL)
    assert manifest(shop) == before
    assert [p.read_bytes() for p in copies(shop)] == whole


def manifest(shop: Workspace) -> list[bytes]:
    return [
        (shop.dataset / "manifest.parquet").read_bytes(),
        (shop.metrics / "datasets.json").read_bytes(),
    ]


def test_a_light_copy_goes_when_its_block_is_another(shop: Workspace) -> None:
    """What was taken out of the reservoir is in no copy of it."""
    light(shop, NAMES)
    before = copies(shop)
    path = shop.reservoir / "v0001" / "v0002.parquet"
    path.unlink()
    pd.testing.assert_frame_equal(read(shop.reservoir, partitions=[]), read(shop.reservoir).iloc[:0])
    from pipelines.datasets.partitions import add_partition

    add_partition(shop.reservoir, "v0002", rows(["other"], day=1 + timedelta(0).days))
    Repository(shop.root).track(["data/reservoir/v0001"], layout.STAGE)
    same(light(shop, NAMES), shop)
    assert len(copies(shop)) == 2
    assert len(set(copies(shop)) & set(before)) == 1


# -- how near rows are, kept --------------------------------------------------------------------


def apart(count: int, day: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = rows([f"row {i} of day {day}" for i in range(count)], day=day)
    vectors = rng.standard_normal((count, 24)).astype(np.float16)
    return made.assign(embedding=[v.tobytes() for v in vectors])


def beside(some: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The first of these rows, each at a cosine of 0.99 with one of the others."""
    moved = some.copy()
    for i, raw in enumerate(others["embedding"]):
        base = np.frombuffer(raw, np.float16).astype(float)
        aside = np.random.default_rng(i).standard_normal(24)
        near = base + 0.1 * aside * np.linalg.norm(base) / np.linalg.norm(aside)
        moved.at[i, "embedding"] = near.astype(np.float16).tobytes()
    return moved


def test_what_is_kept_of_distances_changes_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days with audit rows beside rows that trained before, and after: formed day by day, and at once
    without anything kept, the bytes are the same."""
    monkeypatch.setattr(layout, "BLOCK", 2)
    shop = init(tmp_path / "days")
    shop.params.write_text("datasets:\n  policy: all\n  recent_days: 2\n")
    policy = All(policy="all", recent_days=2)
    first_day = apart(40, 0, 0)
    first_day.loc[:19, "set"] = "eval"
    make_version(shop, first_day, plan(1), policy, None)
    known, fenced = [first_day], []
    for n in range(2, 7):
        new = apart(20, n - 1, n).assign(policy="margin")
        audit = beside(apart(3, n - 0.5, 100 + n), known[n // 2 - 1].tail(3)).assign(set="audit")
        new = beside(new, audit) if n % 2 else new
        known.append(new)
        make_version(shop, pd.concat([new, audit], ignore_index=True), plan(n), policy, None)
        made = manifest(shop)
        fenced.append(json.loads(made[1])["fenced_by"]["near_copy"])
        if n > 4:
            assert (shop.state / "light" / "nearest.npz").exists()
        (shop.state / "light").mkdir(exist_ok=True)
        (shop.state / "light").rename(shop.state / "aside")
        form_dataset(shop, policy)
        assert manifest(shop) == made
        shutil.rmtree(shop.state / "light", ignore_errors=True)
        (shop.state / "aside").rename(shop.state / "light")
    assert fenced == sorted(fenced)
    assert fenced[-1] > 8
    assert not any(c.faults for c in verify(shop.root))


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_damaged_distances_are_worked_out_again(shop: Workspace, content: bytes) -> None:
    form_dataset(shop, ALL)
    kept = shop.state / "light" / "nearest.npz"
    before, whole = manifest(shop), dict(np.load(kept))
    kept.write_bytes(content)
    form_dataset(shop, ALL)
    assert manifest(shop) == before
    assert {k: v.tolist() for k, v in np.load(kept).items()} == {
        k: v.tolist() for k, v in whole.items()
    }
