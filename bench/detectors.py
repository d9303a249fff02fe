"""The peers, each in a process of bench/.venv-monitoring (bench/peers_monitoring/run.py).

They get the rows and the references that we get. What they said of a stream is kept in bench/out, under
a name made of everything it depends on; what a judgement costs is measured every time.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.curves import Watch
from bench.ours import Policy
from bench.streams import OUT, Stream

HERE = Path(__file__).parent
PEERS = HERE / "peers_monitoring"
PYTHON = HERE / ".venv-monitoring" / "bin" / "python"
QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "CUDA_VISIBLE_DEVICES": ""}
DETECTORS = (
    "evidently:model",
    "evidently:mmd",
    "evidently:distance",
    "evidently:ratio",
    "evidently:preset",
    "alibi_detect:mmd",
    "alibi_detect:mmd, tested",
    "alibi_detect:lsdd",
    "alibi_detect:lsdd, tested",
    "alibi_detect:ks",
    "alibi_detect:classifier",
    "frouros:mmd",
    "frouros:mmd, tested",
    "frouros:emd",
    "frouros:ks",
    "frouros:adwin",
    "frouros:page-hinkley",
    "frouros:kswin",
    "nannyml:univariate",
    "nannyml:reconstruction",
    "nannyml:domain classifier",
)


def write_job(streams: Sequence[Stream], policy: Policy, path: Path) -> None:
    """Every base stream once, and of each stream which of its rows stand on which day."""
    held: dict[str, Any] = {"names": json.dumps([s.name for s in streams])}
    for i, stream in enumerate(streams):
        base = stream.base
        held[f"base_{i}"], held[f"size_{i}"] = base, policy.size(stream, streams[0].name)
        held[f"source_{i}"], held[f"day_{i}"] = stream.source, stream.day
        whole = np.sort(stream.source).tolist() == list(range(len(stream.source)))
        if whole and f"{base}_label" not in held:
            back = np.argsort(stream.source)
            held[f"{base}_embedding"] = stream.embeddings[back]
            held[f"{base}_label"] = stream.predicted[back].astype(str)
            held[f"{base}_score"] = stream.probabilities.max(axis=1)[back]
            lengths = stream.frame["text"].str.len().to_numpy()
            held[f"{base}_length"] = lengths[back]
    np.savez(path, **held)


def peer(detector: str, job: Path, policy: Policy, budget: float) -> Watch:
    """One peer over the streams of a job, or why there is nothing to say."""
    reference = "fixed" if policy.name == "fixed" else "sliding"
    what = ["--streams", str(job), "--policy", reference, "--budget", str(budget)]
    key = _key(detector, job, policy.name, str(budget))
    kept = OUT / f"peer-{detector.replace(':', '-').replace(', ', '-').replace(' ', '-')}-{key}.json"
    if kept.exists():
        answer = json.loads(kept.read_text())
    else:
        answer = run(detector, *what, limit=12 * budget + 600)
        kept.write_text(json.dumps(answer))
    name = detector.replace("_", "-").replace(":", ": ")
    if "cannot" in answer:
        return Watch(name, {}, {}, note=answer["cannot"])
    with np.load(job) as data:
        names = json.loads(str(data["names"]))
        days = {n: int(data[f"day_{i}"].max()) + 1 for i, n in enumerate(names)}
    scores, drift = {}, {}
    for stream, verdicts in answer["verdicts"].items():
        scores[stream] = np.full(days[stream], np.nan)
        drift[stream] = np.zeros(days[stream], dtype=bool)
        for day, (score, said) in verdicts.items():
            scores[stream][int(day)], drift[stream][int(day)] = score, said
    note = (
        f"{len(scores) - 1} of {len(names) - 1} streams without drift"
        if len(scores) < len(names)
        else ""
    )
    return Watch(name, scores, drift, answer["default"], answer["seconds_a_window"], note)


def run(detector: str, *arguments: str, limit: float, python: Path = PYTHON) -> dict[str, Any]:
    """What a peer answers, or {"cannot": why}."""
    if not python.exists():
        return {"cannot": "not installed: make bench/.venv-monitoring/installed"}
    command = [str(python), str(PEERS / "run.py"), detector, *arguments]
    return answer_of(command, limit)


def answer_of(command: Sequence[str], limit: float) -> dict[str, Any]:
    """The JSON a process prints, or {"cannot": why}: too slow, too large, or its last words."""
    try:
        done = subprocess.run(
            command, env=os.environ | QUIET, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"cannot": f"more than {limit:.0f} s"}
    if done.returncode:
        lines = [x for x in done.stderr.strip().splitlines() if x.strip()]
        return {"cannot": lines[-1][:200] if lines else f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _key(detector: str, job: Path, *how: str) -> str:
    library = detector.split(":")[0]
    parts = [PEERS / n for n in ("rows.py", "run.py", f"with_{library}.py")]
    made = hashlib.sha256("\x1f".join([detector, *how]).encode())
    for path in (*parts, HERE / "peers-monitoring.txt", job):
        made.update(path.read_bytes())
    return made.hexdigest()[:12]
