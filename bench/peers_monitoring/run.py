"""One detector of one library, in a process of its own: over streams, or once at a size.

    python run.py evidently:mmd --streams streams.npz --policy sliding --budget 120
    python run.py evidently:mmd --rows 10000 --dim 384
    python run.py nannyml:cbpe --estimate predictions.npz

Writes one line of JSON on standard output; everything a library prints goes to standard error.
"""

import argparse
import contextlib
import importlib
import json
import os
import resource
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
from rows import Rows, in_turn

PACKAGES = {
    "evidently": "evidently",
    "alibi_detect": "alibi-detect",
    "frouros": "frouros",
    "nannyml": "nannyml",
}
GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector")
    parser.add_argument("--streams")
    parser.add_argument("--policy", choices=["fixed", "sliding"], default="sliding")
    parser.add_argument(
        "--budget", type=float, default=120.0, help="seconds; the first stream is whole"
    )
    parser.add_argument("--rows", type=int)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--memory", type=float, help="GiB of address space")
    parser.add_argument("--estimate")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.memory:
        resource.setrlimit(resource.RLIMIT_AS, (int(args.memory * GIB),) * 2)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing a library prints may stand beside the answer
    library, name = args.detector.split(":")
    with contextlib.redirect_stdout(sys.stderr):
        module = importlib.import_module(f"with_{library}")
        if args.estimate:
            answer = module.estimate(args.estimate)
        elif args.rows:
            answer = once(module.DETECTORS[name], args.rows, args.dim)
        else:
            answer = over_streams(module.DETECTORS[name], args)
    json.dump({"version": version(PACKAGES[library]), **answer}, out)
    out.flush()
    os._exit(0)  # some libraries leave threads behind


def over_streams(detector, args) -> dict:
    data = np.load(args.streams)
    names = json.loads(str(data["names"]))
    too_slow(detector, data, args)
    found, began, windows = {}, time.perf_counter(), 0
    for i, name in enumerate(names):
        if i and time.perf_counter() - began > args.budget:
            break
        rows, verdicts = stream(data, i), {}
        if detector.streaming:
            verdicts = detector.judge(rows.take(np.zeros(0, dtype=int)), rows)
        else:
            for reference, part in in_turn(rows, args.policy, int(data[f"size_{i}"])):
                verdicts |= detector.judge(reference, part)
        windows += len(verdicts)
        found[name] = {str(d): verdict for d, verdict in sorted(verdicts.items())}
    seconds = (time.perf_counter() - began) / max(1, windows)
    return {"verdicts": found, "seconds_a_window": seconds, "default": detector.default}


def too_slow(detector, data, args) -> None:
    """Ends here where one day says that a stream would take too long."""
    if detector.streaming:
        return
    rows, size = stream(data, 0), int(data["size_0"])
    began, days = time.perf_counter(), int(rows.day.max()) + 1 - size
    detector.judge(rows.days(0, size), rows.days(size, size + 1))
    seconds = time.perf_counter() - began
    if seconds * days > 4 * args.budget + 60:
        sys.exit(f"{seconds:.0f} s a window, {seconds * days / 60:.0f} minutes a stream")


def stream(data, i: int) -> Rows:
    """Stream i: some rows of one of the bases, each on a day."""
    base, source = str(data[f"base_{i}"]), data[f"source_{i}"]
    parts = [data[f"{base}_{n}"][source] for n in ("embedding", "label", "score", "length")]
    return Rows(*parts, data[f"day_{i}"])


def once(detector, rows: int, dim: int) -> dict:
    """As many rows in the window as in the reference: seconds and the most memory above the data."""
    rng = np.random.default_rng(0)
    reference, window = made(rng, rows, dim, range(7)), made(rng, rows, dim, range(7, 8))
    before = peak()
    began = time.perf_counter()
    detector.judge(reference, window)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "mebibytes": max(0.0, peak() - before)}


def made(rng: np.random.Generator, rows: int, dim: int, days: range) -> Rows:
    embedding = rng.standard_normal((rows, dim), dtype=np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    label = np.array([f"label {k}" for k in range(75)])[rng.integers(0, 75, rows)]
    score, length = rng.random(rows), rng.integers(5, 100, rows)
    return Rows(embedding, label, score, length, np.sort(rng.choice(list(days), rows)))


def peak() -> float:
    """MiB of resident memory, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
