"""How long lineage takes with ten million predictions in the store.

    make bench-datasets, or: python -m bench.lineage    (about 3 GB in a temporary folder, some minutes)
    python -m bench.lineage --quick                     (200,000 predictions, 100 days)

The rows are tiny texts with 8-dimensional embeddings, written by SQL in one go, and the workspace has a
reservoir of a thousand days (bench/datasets.py). Each id is traced in a process of its own, the imports
of the trace included, and then again in the same process. The peer is a scan of the same store: what
counting a model's answers costs without the running count.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.datasets import fill
from bench.form import Row, report
from core.ids import uuid7
from core.store import Store
from core.workspace import Workspace
from pipelines.datasets.contents import rows_of
from pipelines.datasets.holders import sets_at
from pipelines.datasets.manifest import Manifest

START = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = """
INSERT INTO served
SELECT model_version, variant, COUNT(*), MIN(timestamp), MAX(timestamp) FROM predictions GROUP BY 1, 2
"""
TRACE = """
import sys, time
from pathlib import Path
from core import workspace
from core.store import Store
for _ in range(2):
    start = time.perf_counter()
    from flows.lineage import as_json, trace
    place = workspace.find(Path(sys.argv[1]))
    store = Store(place.store_url)
    as_json(trace(place, store, sys.argv[2]))
    print(time.perf_counter() - start)
    store.close()
"""


def rows(count: int) -> Iterator[tuple[object, ...]]:
    for i in range(count):
        when = START + timedelta(seconds=i)
        yield (
            uuid7(when, str(i)),
            f"r{i}",
            when.isoformat(" ", "microseconds")[:26],
            str(1 + 3 * i // count),
            "champion",
            f"text {i}",
            "card",
            0.9,
            b"\0" * 16,
            "e",
            "{}",
            f"u{i % 100_000}",
            1.0,
            1.0,
        )


def log(place_url: str, count: int) -> None:
    """Fill the store."""
    Store(place_url).close()
    with sqlite3.connect(place_url.removeprefix("sqlite:///")) as db:
        db.execute("PRAGMA journal_mode=OFF")  # it is made again if the power goes
        db.execute("PRAGMA synchronous=OFF")
        db.executemany(f"INSERT INTO predictions VALUES ({','.join('?' * 14)})", rows(count))
        db.execute(COUNT)
    db.close()


def timed(root: Path, id: str) -> tuple[float, float]:
    """Seconds of the first trace of a process, and of the next one."""
    done = subprocess.run(
        [sys.executable, "-c", TRACE, root, id], capture_output=True, text=True, check=True
    )
    first, again = map(float, done.stdout.split())
    return first, again


def traced(root: Path, ids: dict[str, str], peer: str) -> list[Row]:
    """Each kind of id: in a fresh process, and once more in it."""
    found = []
    for kind, id in ids.items():
        for when, seconds in zip(
            ("first", "again"), zip(*(timed(root, id) for _ in range(5)), strict=True), strict=True
        ):
            spread = f"{min(seconds):.3f}..{max(seconds):.3f}"
            name = f"lineage of a {kind}, {when} in its process"
            found.append(Row(name, statistics.median(seconds), "s", "<= 0.5", spread, peer))
    return found


def manifests(folder: Path, days: int) -> Row:
    """Seconds to find rows of the first day in as many manifests, each a day longer."""
    paths = []
    for n in range(1, days + 1):
        names = tuple(f"v{i:04d}" for i in range(1, n + 1))
        made = Manifest(names, np.full(n, 20), np.ones(20 * n, np.uint8))
        paths.append(folder / f"{n}.parquet")
        made.write(paths[-1])
    start = time.perf_counter()
    found = [sets_at(Manifest.load(path), [("v0001", i) for i in range(20)]) for path in paths]
    assert found == [["train"] * 20] * days
    return Row(f"20 rows in {days:,} manifests", time.perf_counter() - start, "s")


def scan(url: str) -> float:
    """Seconds to count one model's rows in the log itself."""
    start = time.perf_counter()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
        db.execute("SELECT count(*) FROM predictions WHERE model_version = '2'").fetchone()
    return time.perf_counter() - start


def measure(root: Path, count: int, days: int) -> list[Row]:
    made_before = root.exists()
    place = Workspace(root) if made_before else fill(root, days, 20)
    if not made_before:
        log(place.store_url, count)
    prediction = uuid7(START + timedelta(seconds=count // 2), str(count // 2))  # no partition took it
    newest, run = f"v{days:04d}", "0123456789abcdef0123456789abcdef"
    first = str(rows_of(root, newest, columns=["row_id"])["row_id"].iloc[0])
    store = Store(place.store_url)
    made = {"version": "2", "run_id": run, "dataset": newest, "recipe": "head", "metrics": {}}
    store.state.once(f"training/{newest}", lambda: made)
    store.close()
    ids = {
        "prediction": prediction,
        f"row of {days:,} datasets": first,
        "request": f"r{count // 3}",
        "dataset": newest,
        "model": "2",
        "run": run,
    }
    found = traced(root, ids, f"a scan: {scan(place.store_url):.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        return [*found, manifests(Path(folder), days)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--predictions", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--at", type=Path, help="a folder to work in, and keep")
    given = parser.parse_args(arguments)
    count, days = (200_000, 100) if given.quick else (given.predictions, given.days)
    with tempfile.TemporaryDirectory() as temporary:
        found = measure((given.at or Path(temporary)) / "shop", count, days)
    report("lineage", found, given.json)
    return int(any(row.holds is False for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
