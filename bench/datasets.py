"""What a dataset version costs after a thousand days, and what it costs to compare two.

    make bench-datasets, or: python -m bench.datasets --quick     (100 days instead of 1,000)

Synthetic rows of the size of CLINC150's under MiniLM: 384 float16 numbers, which do not compress. The
thousand days are written at once and tagged as a thousand versions; the days measured are made by
`make_version`, the same call as the loop's. Peers: DVC alone on one folder, and pandas on whole tables.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.form import Row, report
from core.files import write_whole
from core.workspace import Workspace
from everloop.init import init
from pipelines.datasets.all import AllFormation
from pipelines.datasets.contents import rows_of
from pipelines.datasets.diff import diff
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.form import form_dataset
from pipelines.datasets.formation import Formation
from pipelines.datasets.history import folders
from pipelines.datasets.inputs import Inputs, fingerprint
from pipelines.datasets.layout import CHAMPION, STAGE, blocks
from pipelines.datasets.mixed import MixedFormation
from pipelines.datasets.partitions import WITHOUT_EMBEDDING, add_partition, to_table
from pipelines.datasets.reservoir import first_rows
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import POINTERS, SHARED, Plan, make_version

START = datetime(2023, 1, 1, tzinfo=UTC)
MEASURED = 5  # days after the reservoir was filled, and one more with audit rows
AUDIT = 10  # of so many rows of that day one evaluates: all that trained before is held against it
MANY = 1_000_000  # rows, that may take a minute
PLACES = {
    ".everloop/remote": "remote",
    ".git": "git",
    ".dvc/cache": "cache",
    "data": "data",
}


def day(number: int, rows: int) -> pd.DataFrame:
    """The labelled rows of one day."""
    rng = np.random.default_rng(number)
    when = [START + timedelta(days=number, seconds=i) for i in range(rows)]
    table = pd.DataFrame(
        {
            "text": [
                f"how do I get number {i} of day {number} back on my account" for i in range(rows)
            ],
            "label": [f"intent_{x}" for x in rng.integers(0, 150, rows)],
            "timestamp": when,
            "segments": [{"channel": c} for c in rng.choice(["app", "web"], rows)],
        }
    )
    vectors = rng.normal(size=(rows, 384)) / 384**0.5
    made = first_rows(table, vectors, "train", "sentence-transformers/all-MiniLM-L6-v2@53aa5117", START)
    if number == 1:
        made["set"] = np.where(np.arange(rows) % 3 == 0, "eval", "train")
    return made


def fill(root: Path, days: int, rows: int) -> Workspace:
    """A workspace whose reservoir has so many days, each of them a tagged version."""
    place = init(root)
    place.params.write_text("datasets:\n  policy: all\n")
    names = tuple(f"v{n:04d}" for n in range(1, days + 1))
    for n, name in enumerate(names, 1):
        add_partition(place.reservoir, name, day(n, rows))
    place.champion.mkdir(parents=True)
    (place.champion / "head.safetensors").write_bytes(np.random.default_rng(0).bytes(230_000))
    parent = names[-2] if days > 1 else ""
    told = Inputs(
        names[-1], START + timedelta(days=days + 1), 1, parent, names, fingerprint(place.champion)
    )
    write_whole(place.version_file, told.to_json())
    form_dataset(place, AllFormation(policy="all"))
    repository = Repository(root)
    repository.track([*blocks(names), CHAMPION], STAGE)
    with repository.objects() as objects:
        objects.send(set(folders(root, names).values()))
    for n, name in enumerate(names[:-1], 1):
        (root / "data" / "day").write_text(f"{n}\n")
        repository.tag(name, repository.commit(["data/day"], f"Dataset {name}"))
    repository.tag(names[-1], repository.commit([*SHARED, *POINTERS], f"Dataset {names[-1]}"))
    return place


def next_day(place: Workspace, number: int, rows: pd.DataFrame, policy: Formation) -> None:
    plan = Plan(f"v{number:04d}", START + timedelta(days=number + 1), number, f"v{number - 1:04d}")
    make_version(place, rows, plan, policy, place.champion)


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


def sizes(root: Path) -> dict[Path, int]:
    return {p: p.stat().st_size for p in root.rglob("*") if p.is_file()}


def written(before: dict[Path, int], after: dict[Path, int], root: Path) -> dict[str, int]:
    """Bytes by place: of a new file all, of one that was there what it grew by."""
    found: dict[str, int] = dict.fromkeys(PLACES.values(), 0)
    for path, size in after.items():
        name = path.relative_to(root).as_posix()
        place = next((word for start, word in PLACES.items() if name.startswith(start)), None)
        if place:
            found[place] += max(size - before.get(path, 0), 0)
    return found


def a_day(place: Workspace, days: int, rows: int) -> list[Row]:
    """The next days, one after another: seconds, and bytes beside those of the rows."""
    seconds: list[float] = []
    processor: list[float] = []
    shares: list[dict[str, float]] = []
    for number in range(days + 1, days + 1 + MEASURED):
        new = day(number, rows)
        own = to_table(new, place.root).nbytes
        before = sizes(place.root)
        used = _processor()
        with timed(seconds):
            next_day(place, number, new, AllFormation(policy="all"))
        processor.append(_processor() - used)
        grown = written(before, sizes(place.root), place.root)
        shares.append({name: size / own for name, size in grown.items()})
    what = f"day {days + 1:,} of {rows:,} rows"
    audited, used = day(days + MEASURED + 1, rows), _processor()
    audited["set"] = np.where(np.arange(rows) % AUDIT == 0, "audit", "train")
    next_day(place, days + MEASURED + 1, audited, AllFormation(policy="all"))
    beside = _processor() - used
    kept = [s["remote"] + s["git"] for s in shares]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    peer, peer_bytes = dvc_alone(place, days + MEASURED + 1, rows)
    return [
        Row(
            f"{what}: time",
            _middle(seconds),
            "s",
            "<= 2" if days * rows < MANY else "<= 60",
            _spread(seconds),
            f"dvc add, push: {peer:.2f} s",
        ),
        Row(f"{what}: memory", memory, "GiB", "<= 3"),
        Row(f"{what}: processor", _middle(processor), "s", "", _spread(processor)),
        Row(f"{what}, {rows // AUDIT:,} of them audit: processor", beside, "s"),
        Row(
            f"{what}: kept (remote, git)",
            _middle(kept),
            "x rows",
            "<= 1.2",
            _spread(kept),
            f"dvc add, push: {peer_bytes:.2f}",
        ),
        *(
            Row(f"{what}: in {name}", _middle([s[name] for s in shares]), "x rows")
            for name in PLACES.values()
        ),
    ]


def dvc_alone(place: Workspace, days: int, rows: int) -> tuple[float, float]:
    """The same day by `dvc add` and `dvc push` of one folder; seconds, bytes kept a byte of rows.

    The rows alone: it forms no dataset, makes no commit and no tag.
    """
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "dvc"
        init(root)
        for path in place.reservoir.glob("*/*.parquet"):
            target = root / "data" / "reservoir" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        seconds: list[float] = []
        with Repo(str(root)) as dvc:
            dvc.add([str(root / "data/reservoir")])
            dvc.push()
        new = day(days + 1, rows)
        path = add_partition(place.state / "aside", f"v{days + 1:04d}", new)
        before = sizes(root)
        with timed(seconds):
            shutil.copyfile(path, root / "data/reservoir" / path.name)
            with Repo(str(root)) as dvc:
                dvc.add([str(root / "data/reservoir")])
                dvc.push()
        shutil.rmtree(place.state / "aside")
        return seconds[0], written(before, sizes(root), root)["remote"] / to_table(new, root).nbytes


def two_versions(place: Workspace, days: int, rows: int) -> list[Row]:
    """Compare versions a day apart, and versions of which a good part differs."""
    last = days + MEASURED + 1
    next_day(place, last + 1, day(last + 1, rows), AllFormation(policy="all"))
    mixed = MixedFormation(policy="mixed", days=max(1, days // 10), replay_share=0.8)
    place.params.write_text(f"datasets:\n  policy: mixed\n  days: {mixed.days}\n  replay_share: 0.8\n")
    next_day(place, last + 2, day(last + 2, rows), mixed)
    names = [f"v{n:04d}" for n in (last, last + 1, last + 2)]
    total = (last + 1) * rows
    found: list[Row] = []
    for what, a, b in (("a day apart", *names[:2]), ("half of it differs", *names[1:])):
        seconds: list[float] = []
        for _ in range(3):
            with timed(seconds):
                seen = diff(place.root, a, b)
        changed = len(seen.added) + len(seen.removed)
        row = f"diff of {total:,} rows, {what} ({changed:,})"
        peer = f"pandas: {pandas_diff(place, a, b):.2f} s"
        found.append(Row(row, _middle(seconds), "s", "<= 5", _spread(seconds), peer))
    seconds = []
    with timed(seconds):
        whole = all(not c.faults for c in verify(place.root, names[1:2]))
    found.append(Row(f"verify of {total:,} rows{'' if whole else ' FAILED'}", seconds[0], "s"))
    return found


def pandas_diff(place: Workspace, a: str, b: str) -> float:
    """Both versions as whole tables without embeddings, merged on their ids; files read included."""
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary) / f"{name}.parquet" for name in (a, b)]
        for file, name in zip(files, (a, b), strict=True):
            rows_of(place.root, name, columns=WITHOUT_EMBEDDING).to_parquet(file)
        seconds: list[float] = []
        with timed(seconds):
            old, new = (pd.read_parquet(f) for f in files)
            both = old.merge(new, on="row_id", how="outer", suffixes=("_old", "_new"), indicator=True)
            _ = both[(both["_merge"] != "both") | (both["target_old"] != both["target_new"])]
            _ = [t["target"].value_counts(normalize=True) for t in (old, new)]
        return seconds[0]


def _processor() -> float:
    """Seconds of processor of this process and of the git commands it ran."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _middle(values: list[float]) -> float:
    return statistics.median(values)


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f}..{max(values):.2f}"


def measure(days: int, sizes_of_a_day: list[int]) -> list[Row]:
    found: list[Row] = []
    for rows in sizes_of_a_day:
        with tempfile.TemporaryDirectory() as temporary:
            place = fill(Path(temporary) / "shop", days, rows)
            steps: list[Callable[[Workspace, int, int], list[Row]]] = [a_day]
            if rows == sizes_of_a_day[-1]:
                steps.append(two_versions)
            for step in steps:
                measured = step(place, days, rows)
                report("datasets", measured, None)  # half an hour's work is not lost to a fault later
                found += measured
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="100 days, at most 200 rows a day")
    parser.add_argument("--rows", type=int, nargs="+", help="rows a day; 20 and 1,000 unless told")
    chosen: Any = parser.parse_args(arguments)
    days = 100 if chosen.quick else 1000
    found = measure(days, chosen.rows or ([20, 200] if chosen.quick else [20, 1000]))
    if chosen.json:
        report("datasets", found, chosen.json)
    return int(any(row.holds is False for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
