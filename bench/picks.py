"""How long a curation policy takes to pick 1,000 of a million candidates, and how much memory; and
beside small-text and scikit-activeml, of 100,000.

python -m bench.picks --json bench/out/picks.json      # needs bench/.venv-curation: peers-curation.txt

The candidates are made: 384 numbers around 150 middles, 77 labels, one text in fifty a copy. Each
measurement is a process of its own on two cores, after its imports; what is measured is the call
that picks, everything it works out included (near-copies, places, chances, the draw).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from bench.form import Row, report
from core.records.windows import Window
from pipelines.curation import CurationPolicy
from pipelines.curation.picking import Curation
from pipelines.curation.pool import KnownRows, Pool

MILLION, DIM, LABELS, MIDDLES, KNOWN, PICKS = 1_000_000, 384, 77, 150, 5_000, 1_000
START = datetime(2026, 1, 5, tzinfo=UTC)
SIMPLE = ("random", "stratified", "least-confidence", "margin", "entropy", "feedback")
BESIDE = {  # ours -> who picks by the same strategy
    "margin": ["small_text:breaking-ties", "skactiveml:margin"],
    "least-confidence": ["small_text:least-confidence", "skactiveml:least-confidence"],
    "entropy": ["small_text:entropy", "skactiveml:entropy"],
    "representative": ["small_text:core-set", "skactiveml:core-set"],
    "impact": ["skactiveml:badge"],
    "novelty": ["skactiveml:discriminative"],
    "stratified": ["small_text:k-means"],
}
CLUSTERS = {"stratified": {"by": "cluster", "clusters": 100}}
PEER_SECONDS = 600
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE",
}  # fmt: skip


def make(folder: Path, count: int) -> None:
    """Candidates and known rows as .npy files."""
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((MIDDLES, DIM), dtype=np.float32)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    weight = rng.standard_normal((DIM, LABELS), dtype=np.float32) * 6
    for name, rows in (("candidates", count), ("known", KNOWN)):
        shape = {"embeddings": DIM, "probabilities": LABELS}
        out = {
            n: np.lib.format.open_memmap(
                folder / f"{name}-{n}.npy", "w+", dtype=np.float16, shape=(rows, k)
            )
            for n, k in shape.items()
        }
        for at in range(0, rows, 10_000):
            some = slice(at, min(rows, at + 10_000))
            size = some.stop - at
            lying = middles[rng.integers(0, MIDDLES, size)]
            lying = lying + 0.04 * rng.standard_normal((size, DIM), dtype=np.float32)
            lying /= np.linalg.norm(lying, axis=1, keepdims=True)
            scores = np.exp(lying @ weight)
            out["embeddings"][some] = lying
            out["probabilities"][some] = scores / scores.sum(axis=1, keepdims=True)


def pool_of(folder: Path) -> Pool:
    embeddings = np.load(folder / "candidates-embeddings.npy")
    shares = np.load(folder / "candidates-probabilities.npy")
    n = len(embeddings)
    texts = [f"Where is my order number {i - (i % 50 == 0)}, please?" for i in range(n)]
    copies = np.arange(0, n, 50)
    embeddings[copies] = embeddings[copies - 1]
    rows = pd.DataFrame(
        {
            "prediction_id": [f"{i:036d}" for i in range(n)],
            "request_id": np.arange(n),
            "timestamp": START,
            "text": texts,
            "output": [f"label {k}" for k in shares.argmax(axis=1)],
            "kept": 1.0,
            "model_version": "1",
        }
    )
    truth = np.load(folder / "known-probabilities.npy").argmax(axis=1)
    known = KnownRows(
        np.load(folder / "known-embeddings.npy"), np.array([f"label {k}" for k in truth], object)
    )
    return Pool(Window(START, START + timedelta(days=1), rows, embeddings, shares), known=known)


def once(folder: Path, settings: dict[str, object]) -> dict[str, float]:
    """Seconds and memory of one pick in this process."""
    import sklearn.cluster
    import sklearn.linear_model  # noqa: F401  imports are not the pick's

    policy: Curation = TypeAdapter(CurationPolicy).validate_python(settings)
    pool = pool_of(folder)
    began, used = time.perf_counter(), time.process_time()
    tasks = policy.pick(pool, PICKS, "round", START)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    began = time.perf_counter()
    policy.worth(pool)
    return {
        "seconds": seconds,
        "processor": processor,
        "scoring": time.perf_counter() - began,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "picks": len(tasks),
    }


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.picks", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _ours(folder: Path, name: str, **more: object) -> dict[str, float]:
    return _child("--once", json.dumps({"policy": name, **more}), "--folder", str(folder))


def _peer(folder: Path, strategy: str) -> tuple[float, str]:
    """Seconds a peer takes, and what stopped it if anything did."""
    python = Path(__file__).parent / ".venv-curation" / "bin" / "python"
    run = Path(__file__).parent / "peers_picks" / "run.py"
    command = [str(python), str(run), strategy, str(folder), str(PICKS)]
    try:
        done = subprocess.run(
            command, env=ENVIRONMENT, timeout=PEER_SECONDS, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return float(PEER_SECONDS), "stopped"
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return float("nan"), told[-1][:60]
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"]), ""


def scale(names: list[str], count: int) -> list[Row]:
    """Seconds and memory of each policy."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        make(Path(place), count)
        for name in names:
            found = _ours(Path(place), name)
            seconds, note = found["seconds"], f"{found['processor']:.1f} s of processor"
            bar = "<= 5" if name in SIMPLE else "<= 60"
            rows.append(Row(f"{name}, {count:,} rows", seconds, "s", bar, note))
            rows.append(Row(f"{name}, {count:,} rows, memory", found["memory"], "GiB", "<= 3"))
    return rows


def beside(count: int) -> list[Row]:
    """How many times as long each peer takes."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        make(Path(place), count)
        for name, peers in BESIDE.items():
            runs = [_ours(Path(place), name, **CLUSTERS.get(name, {})) for _ in range(3)]
            ours, scoring = (min(run[what] for run in runs) for what in ("seconds", "scoring"))
            for peer in peers:
                seconds, fault = _peer(Path(place), peer)
                bar = "" if np.isnan(seconds) else ">= 10"  # no ratio to one that cannot
                told = f"ours {ours:.2f} s, {seconds:.2f} s {fault}"
                rows.append(Row(f"{name} against {peer}", seconds / ours, "x", bar, told))
                alone = f"ours {scoring:.2f} s: what a row is worth, nothing drawn"
                rows.append(Row(f"{name} against {peer}, scoring", seconds / scoring, "x", "", alone))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=MILLION)
    parser.add_argument(
        "--beside", type=int, default=100_000, help="rows that peers pick from; 0: none"
    )
    parser.add_argument("--only", default="", help="policies, with commas between them")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--once", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.folder, options.once)))
        return
    every = [*SIMPLE, "representative", "novelty", "impact", "disagreement", "predicted-loss"]
    names = options.only.split(",") if options.only else every
    rows = scale(names, options.rows) if options.rows else []
    report("picks", [*rows, *(beside(options.beside) if options.beside else [])], options.json)


if __name__ == "__main__":
    main()
