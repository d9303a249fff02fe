"""Seconds and memory of one judgement: n rows of 384 numbers against as many.

    python -m bench.scale --rows 100000     ours, once, as JSON

Every measurement is a process of its own with a time and a memory limit: to run into one is a result.
Imports and making the rows do not count; reading the reference does.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from bench.detectors import answer_of, run
from bench.form import Row

DIM = 384
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
LIMIT, MEMORY = 60.0, 12.0  # seconds, GiB
PEERS = (
    "evidently:model",
    "evidently:mmd",
    "evidently:ratio",
    "alibi_detect:mmd",
    "alibi_detect:ks",
    "alibi_detect:classifier",
    "frouros:mmd",
    "nannyml:reconstruction",
)
OURS = "everloop"
MMD_PEER = "alibi_detect:mmd"


@dataclass(frozen=True)
class Cost:
    rows: int
    seconds: float
    mebibytes: float  # above the rows themselves


def costs(detector: str, sizes: tuple[int, ...]) -> tuple[list[Cost], str]:
    """Up to the largest size it can run, and why not beyond."""
    found: list[Cost] = []
    for rows in sizes:
        answer = cost(detector, rows)
        if "cannot" in answer:
            return found, f"{rows:,} rows: {answer['cannot']}"
        found.append(Cost(rows, answer["seconds"], answer["mebibytes"]))
    return found, ""


def cost(detector: str, rows: int) -> dict[str, Any]:
    if detector != OURS:
        limit = LIMIT + 60  # its imports
        answer = run(detector, "--rows", str(rows), "--memory", str(MEMORY), limit=limit)
        if answer.get("seconds", 0.0) > LIMIT or "more than" in answer.get("cannot", ""):
            return {"cannot": f"more than {LIMIT:.0f} s"}
        return answer
    answers = [
        answer_of([sys.executable, "-m", "bench.scale", "--rows", str(rows)], 2 * LIMIT)
        for _ in range(3)
    ]
    wrong = [a for a in answers if "cannot" in a]
    middle = {n: median(a[n] for a in answers) for n in ("seconds", "mebibytes")} if not wrong else {}
    return wrong[0] if wrong else middle


def scale_rows(found: dict[str, tuple[list[Cost], str]]) -> list[Row]:
    rows = []
    for name, (measured, why) in found.items():
        said = name.replace("_", "-").replace(":", ": ")
        for c in measured:
            bar = "<= 1" if name == OURS and c.rows == 100_000 else ""
            about = f"{c.mebibytes:,.0f} MiB"
            rows.append(Row(f"{said}, {c.rows:,} rows", c.seconds, "s", bar, peer=about))
        if why:
            rows.append(Row(f"{said} cannot", 0, "", peer=why))
    ours, theirs = (found.get(n, ([], ""))[0] for n in (OURS, MMD_PEER))
    at = {c.rows: c.seconds for c in ours}
    if theirs and theirs[-1].rows in at:
        largest = theirs[-1]
        times = largest.seconds / at[largest.rows]
        rows.append(Row(f"MMD: times alibi-detect at {largest.rows:,} rows", times, "times", ">= 50"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="One judgement of ours.")
    parser.add_argument("--rows", type=int, required=True)
    rows = parser.parse_args().rows
    from monitoring import Monitoring
    from monitoring.drift import embedding_drift

    settings, rng = Monitoring(), np.random.default_rng(0)
    window, reference = (rng.standard_normal((rows, DIM), dtype=np.float32) for _ in range(2))
    for part in (window, reference):
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    days = np.arange(rows) * settings.reference_days // rows + 1
    before, began = _peak(), time.perf_counter()
    embedding_drift(window, reference, days, settings.drift_sd, settings.embedding_shift)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "mebibytes": max(0.0, _peak() - before)}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
