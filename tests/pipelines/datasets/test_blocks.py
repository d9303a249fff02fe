"""Many days: blocks, what a day adds, and the rows that forming reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from core.errors import DatasetError
from core.workspace import Workspace
from everloop.init import init
from pipelines.datasets import layout
from pipelines.datasets.all import AllFormation
from pipelines.datasets.contents import rows_here, rows_of
from pipelines.datasets.diff import diff
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.form import form_dataset
from pipelines.datasets.partitions import SCHEMA, add_partition, in_folder, scan
from pipelines.datasets.rows import COLUMNS, read_rows, word_hashes
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import checkout, make_version
from tests.pipelines.datasets.small_versions import ALL, first, plan, rows

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
        shown = rows_here(shop, columns=["input"])["input"].tolist()
        assert shown == rows_of(shop.root, f"v{n:04d}", ["train"], ["input"])["input"].tolist()
    assert Repository(shop.root).git("status", "--porcelain") == ""


def test_versions_of_many_blocks_differ_by_their_rows(shop: Workspace) -> None:
    found = diff(shop.root, "v0002", "v0006")
    assert sorted(found.added["input"]) == sorted(
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


# -- rows in memory ------------------------------------------------------------------------------


def test_rows_are_what_the_partitions_say(shop: Workspace) -> None:
    found = read_rows(in_folder(shop.reservoir), NAMES)
    wanted = scan(in_folder(shop.reservoir), NAMES, SCHEMA.names).table
    for name in COLUMNS:
        assert found.table[name].to_pylist() == wanted[name].to_pylist()
    assert found.words.tolist() == word_hashes(wanted["input"].to_pylist()).tolist()
    assert found.counts.tolist() == [5, 2, 2, 2, 2]
    places = np.arange(len(wanted))[::-1]
    (vectors,) = found.vectors(places).values()
    assert vectors.places.tolist() == places.tolist()
    assert [v.tobytes() for v in vectors.matrix] == wanted["embedding"].to_pylist()[::-1]


def test_rows_are_compared_by_encoder_and_length() -> None:
    some = rows(["a", "b", "c", "d", "e"])
    some["encoder"] = ["x", "y", "x", "x", "x"]
    some["embedding"] = [bytes(8), bytes(8), bytes(6), None, b"\1" * 8]
    with TemporaryDirectory() as folder:
        add_partition(Path(folder), "v0001", some)
        found = read_rows(in_folder(Path(folder)), ["v0001"])
    vectors = found.vectors(np.array([4, 3, 2, 1, 0]))
    assert {space: v.places.tolist() for space, v in vectors.items()} == {
        ("x", 8): [4, 0],
        ("y", 8): [1],
        ("x", 6): [2],
    }
    assert found.vectors(np.array([3])) == {}


def test_copies_that_an_older_everloop_kept_go_and_it_is_said_once(
    shop: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    copies = shop.state / "light"
    copies.mkdir()
    (copies / "nearest.npz").write_bytes(b"PK")
    for n in (7, 8):
        add(shop, n)
    assert not copies.exists()
    said = [r.getMessage() for r in caplog.records if "light" in r.getMessage()]
    assert said == [f"removed {copies}: copies of the reservoir that nothing reads any more"]


def manifest(shop: Workspace) -> list[bytes]:
    return [
        (shop.dataset / "manifest.parquet").read_bytes(),
        (shop.metrics / "datasets.json").read_bytes(),
    ]


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


def test_audit_rows_fence_what_trained_before_and_what_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every day has audit rows beside rows that trained before, every other one rows beside these."""
    monkeypatch.setattr(layout, "BLOCK", 2)
    shop = init(tmp_path / "days")
    shop.params.write_text("datasets:\n  policy: all\n  recent_days: 2\n")
    policy = AllFormation(policy="all", recent_days=2)
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
        form_dataset(shop, policy)
        assert manifest(shop) == made
    assert fenced == sorted(fenced)
    assert fenced[-1] > 8
    assert not any(c.faults for c in verify(shop.root))
