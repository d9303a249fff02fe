"""Commands in processes that are forked warm, killed when they have done so much work.

Work is counted in processor time, so a moment is the same one on a busy machine. A cold start would
cost more than the work; the server that forks has imported everything.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.flows.warmed", "tests.flows.killing"])
WAIT = 0.0005
DONE = "this workspace has its first model already"  # what `train` says once it is done


def _command(arguments: list[str], log: str, begun: Any) -> None:
    """The command line, in the forked process."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["everloop", *arguments]
    from everloop.__main__ import main

    begun.set()
    main()


@dataclass(frozen=True)
class Ran:
    code: int  # -9: it was killed
    work: float  # seconds of processor time it had done by then
    wrote: bool  # it had changed files of its folder by then


def run(folder: Path, arguments: list[object], work: float | None = None) -> Ran:
    """Run a command to its end, or kill it once it has done so much work. `folder`: where it writes."""
    before, begun = _files(folder), SERVER.Event()
    log = str(folder.parent / f"{folder.name}.log")
    process = SERVER.Process(target=_command, args=([str(a) for a in arguments], log, begun))
    with patch.dict(os.environ, EVERLOOP_TESTS_WARM="1", OMP_NUM_THREADS="1"):  # for the server
        process.start()
    begun.wait(300)
    start, done = _work(process.pid), 0.0
    while process.is_alive():
        done = max(done, _work(process.pid) - start)
        if work is not None and done >= work:
            time.sleep(random.random() * 0.01)  # into what waits for the disk or for git, too
            process.kill()
            break
        time.sleep(WAIT)
    process.join()
    code, said = process.exitcode, Path(log).read_text()
    assert code in (0, -9) or DONE in said, said
    return Ran(int(code or 0), done, _files(folder) != before)


@dataclass
class Kills:
    """What was seen of the kills of one command."""

    calm: float  # work of a run that nobody kills
    landed: list[float] = field(default_factory=list)  # work done when killed, between start and end
    wrote: int = 0  # of the killed runs, those that had written something
    ended: int = 0  # runs that came to their end

    def check(self, wanted: int) -> None:
        assert len(self.landed) == wanted
        assert all(0 < work <= 2 * self.calm for work in self.landed)
        assert self.wrote >= wanted // 2, f"{self.wrote} of {wanted} had written anything"


def kill_anywhere(
    fresh: Callable[[str], Path],
    command: Callable[[Path], list[object]],
    left: Callable[[Path], Any],
    kills: int = 25,
    share: float = 1.0,
) -> Kills:
    """Kill a command so often at random moments, run it again until it ends, and compare what is left
    with what a calm run leaves. `share`: the latest moment, as a share of a calm run's work.
    """
    calm = fresh("calm")
    seen, expected = Kills(run(calm, command(calm)).work), left(calm)
    draw = random.Random(0)
    while len(seen.landed) < kills:
        place, alive = fresh(f"killed-{seen.ended}"), True
        while alive and len(seen.landed) < kills:
            ran = run(place, command(place), draw.uniform(0, share) * seen.calm)
            alive = ran.code == -9
            if alive:
                seen.landed.append(ran.work)
                seen.wrote += ran.wrote
        run(place, command(place))
        seen.ended += 1
        found = left(place)
        assert found == expected, differing(found, expected)
    seen.check(kills)
    return seen


def differing(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """What of it is not the same, in a few lines."""
    parts = (k for k in expected if found.get(k) != expected[k])
    return "\n".join(
        f"{k}: {str(found.get(k))[:2000]}\n  calm: {str(expected[k])[:2000]}" for k in parts
    )


def _work(pid: int | None) -> float:
    """Seconds on a processor, of all threads; Linux counts them to the nanosecond."""
    total = 0
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, ValueError, IndexError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            stat = path.lstat()
            found[str(path)] = (stat.st_size, stat.st_mtime_ns)
    return found


def rows(root: Path, without: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every table of a workspace's store, sorted, less these columns and the workspace's name."""
    store = root / ".everloop/store.db"
    db = sqlite3.connect(store)
    db.row_factory = sqlite3.Row
    names = [r[0] for r in db.execute("select name from sqlite_master where type = 'table'")]
    found = {}
    for name in names:
        dicts = [dict(r) for r in db.execute(f'select * from "{name}"')]
        found[name] = sorted(
            str({k: v for k, v in row.items() if k not in without}).replace(str(root), "")
            for row in dicts
        )
    db.close()
    return found
