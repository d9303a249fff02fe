"""Who chooses what is labelled: our policies through their own `pick`, and the peers' strategies.

A peer is a process of bench/.venv-curation (bench/peers_curation/run.py). It is asked once a day for
the day's number of rows, with our head's probabilities and all rows labelled so far.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.rounds import Day, Picked
from core.arrays import Array
from core.records.labels import AnnotationTask
from pipelines.curation.cover import wants
from pipelines.curation.pacing.pacing import Account, RoundNeed
from pipelines.curation.picking import Curation
from pipelines.curation.pool import HeldOut, KnownRows, Pool

HERE = Path(__file__).parent
PYTHON = HERE / ".venv-curation" / "bin" / "python"
NOBODY = np.array([], dtype=int)


@dataclass
class Ours:
    """A curation policy, its pacing and its audit slice, one round a day."""

    policy: Curation
    account: Account = field(default_factory=Account)
    looks: list[RoundNeed] = field(default_factory=list)

    def choose(self, day: Day) -> Picked:
        place = {p: i for i, p in enumerate(day.window.rows["prediction_id"])}
        rows = [(place[t.prediction_id], t.audit) for t in self.tasks(day)]
        return Picked(
            _of([i for i, audit in rows if not audit]), _of([i for i, audit in rows if audit])
        )

    def tasks(self, day: Day) -> list[AnnotationTask]:
        """The day's picks, as the store would have them."""
        known, held = day.known, day.held_out
        pool = Pool(
            day.window,
            known=KnownRows(known.embeddings, known.labels),
            held_out=HeldOut(held.texts.tolist(), held.embeddings),
        )
        rate = self.policy.labels_per_day
        self.looks.append(RoundNeed(day.end, len(pool), float(wants(pool).sum())))
        size, account = self.policy.pacing.budget(rate, 1.0, self.account, self.looks)
        tasks = self.policy.pick(pool, size, f"{day.end:%Y-%m-%d}/{day.seed}", day.end)
        self.account = account.less(len(tasks) - size)
        return tasks


@dataclass
class Peer:
    """`small_text:breaking-ties`, say, with `size` labels a day that all train."""

    strategy: str
    size: int
    version: str = ""
    process: subprocess.Popen[str] | None = None

    def choose(self, day: Day) -> Picked:
        known = day.known
        rows: dict[str, Any] = {
            "embedding": day.window.embeddings,
            "share": day.head.probabilities(day.window.embeddings),
            "known": known.embeddings,
            "known_share": day.head.probabilities(known.embeddings),
            "label": known.labels,
            "size": min(self.size, len(day.window)),
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "day.npz"
            np.savez(path, **rows)
            answer = self._ask(str(path), day.seed)
        self.version = answer["version"]
        return Picked(_of(answer["rows"]), NOBODY)

    def close(self) -> None:
        if self.process:
            self.process.communicate()
            self.process = None

    def _ask(self, path: str, seed: int) -> dict[str, Any]:
        if self.process is None:
            command = [str(PYTHON), str(HERE / "peers_curation" / "run.py"), self.strategy, str(seed)]
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"DO_NOT_TRACK": "1"},
            )
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(path + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f"{self.strategy} ended with {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


def _of(rows: list[int]) -> Array:
    return np.array(rows, dtype=int)
