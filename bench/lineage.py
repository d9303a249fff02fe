"""How long lineage takes with ten million predictions in the store.

    python -m bench.lineage              (about 3 GB in a temporary folder, some minutes)
    python -m bench.lineage --quick      (200,000 predictions)

The rows are tiny texts with 8-dimensional embeddings, written by SQL in one go, and the workspace has a
reservoir of a thousand days (bench/datasets.py). The peer is a scan of the same store: what counting a
model's answers costs without the running count.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.datasets import fill
from core.records import uuid7
from core.store import Store
from core.workspace import Workspace
from pipelines.datasets.history import rows_of
from pipelines.datasets.holders import held
from pipelines.datasets.manifest import Manifest

START = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = """
import sys, time
from pathlib import Path
from core import workspace
from core.store import Store
start = time.perf_counter()
from flows.lineage import as_json, trace
place = workspace.find(Path(sys.argv[1]))
found = as_json(trace(place, Store(place.store_url), sys.argv[2]))
print(time.perf_counter() - start, len(found))
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
            b"\0" * 4,
            b"\0" * 16,
            "e",
            "{}",
            f"u{i % 100_000}",
            1.0,
            1.0,
        )


def log(place_url: str, count: int) -> str:
    """Fill the store; the id of a prediction in its middle, which no partition took."""
    Store(place_url).close()
    with sqlite3.connect(place_url.removeprefix("sqlite:///")) as db:
        db.execute("PRAGMA journal_mode=OFF")  # it is made again if the power goes
        db.execute("PRAGMA synchronous=OFF")
        db.executemany(f"INSERT INTO predictions VALUES ({','.join('?' * 15)})", rows(count))
    db.close()
    store = Store(place_url)
    store.count_served()
    store.close()
    return uuid7(START + timedelta(seconds=count // 2), str(count // 2))


def timed(root: Path, id: str) -> tuple[float, float]:
    """Seconds of a fresh process without and with the interpreter's start."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", TRACE, root, id], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[0]), time.perf_counter() - start


def manifests(folder: Path, days: int) -> float:
    """Seconds to find a row of the first day in as many manifests, each a day longer."""
    paths = []
    for n in range(1, days + 1):
        names = tuple(f"v{i:04d}" for i in range(1, n + 1))
        made = Manifest(names, np.full(n, 20), np.ones(20 * n, np.uint8))
        paths.append(folder / f"{n}.parquet")
        made.write(paths[-1])
    start = time.perf_counter()
    found = [held(Manifest.load(path), [("v0001", 3)]) for path in paths]
    assert found == ["train"] * days
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--predictions", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--at", type=Path, help="a folder to work in, and keep")
    given = parser.parse_args()
    count, days = (200_000, 100) if given.quick else (given.predictions, given.days)
    with tempfile.TemporaryDirectory() as temporary:
        root = (given.at or Path(temporary)) / "shop"
        place = Workspace(root) if root.exists() else fill(root, days, 20)
        prediction = log(place.store_url, count)
        middle = f"v{days:04d}"
        first = str(rows_of(root, middle, columns=["row_id"])["row_id"].iloc[0])
        run = "0123456789abcdef0123456789abcdef"
        store = Store(place.store_url)
        made = {"version": "2", "run_id": run, "dataset": middle, "recipe": "head", "metrics": {}}
        store.once(f"training/{middle}", lambda: made)
        store.close()
        for kind, id in (
            ("prediction", prediction),
            ("row of all", first),
            ("request", f"r{count // 3}"),
            ("dataset", middle),
            ("model", "2"),
            ("run", run),
        ):
            inside, outside = zip(*(timed(root, id) for _ in range(5)), strict=True)
            print(f"{kind:<12}{min(inside):7.3f} .. {max(inside):.3f} s", end="")
            print(f"   with the interpreter {min(outside):.2f} .. {max(outside):.2f} s")
        print(f"{days} manifests {manifests(Path(temporary), days):.3f} s")
        start = time.perf_counter()
        with sqlite3.connect(place.store_url.removeprefix("sqlite:///")) as db:
            db.execute("SELECT count(*) FROM predictions WHERE model_version = '2'").fetchone()
        print(f"peer: counting one model's rows by a scan {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
