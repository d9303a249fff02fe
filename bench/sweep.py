"""What each peer's settings give at 32 callers; the best of each stand in BEST."""

from __future__ import annotations

import sys
from pathlib import Path

from bench import systems
from bench.form import Row
from bench.material import model_of
from bench.systems import System, running

Settings = dict[str, float]

# threads: of torch in each worker. LitServe's own default is one worker that waits for nobody.
MLFLOW: list[Settings] = [{}, {"workers": 2}, {"workers": 2, "threads": 1}]
LITSERVE: list[Settings] = [
    {"batch": 32, "wait_ms": 0},
    {"batch": 32, "wait_ms": 2},
    {"batch": 32, "wait_ms": 10},
    {"batch": 16, "wait_ms": 2},
    {"batch": 64, "wait_ms": 2},
    {"batch": 32, "wait_ms": 2, "threads": 1},
    {"batch": 32, "wait_ms": 2, "fast_queue": 1},
    {"batch": 32, "wait_ms": 2, "api_servers": 2},
    {"batch": 32, "wait_ms": 2, "workers": 2, "threads": 1},
    {"batch": 16, "wait_ms": 2, "workers": 2, "threads": 1},
    {"batch": 16, "wait_ms": 10, "workers": 2, "threads": 1},
    {"batch": 16, "wait_ms": 10, "workers": 2, "threads": 1, "fast_queue": 1},
]
BENTOML: list[Settings] = [
    {"batch": 16},
    {"batch": 32},
    {"batch": 64},
    {"batch": 32, "latency_ms": 100},
    {"batch": 32, "threads": 1},
    {"batch": 32, "workers": 2, "threads": 1},
    {"batch": 16, "workers": 2, "threads": 1},
]
BEST: dict[str, Settings] = {
    "mlflow": {"workers": 2, "threads": 1},
    "litserve": {"batch": 16, "wait_ms": 10, "workers": 2, "threads": 1},
    "bentoml": {"batch": 16},
}


def best(workspace: Path) -> list[System]:
    pyfunc, model = model_of(workspace)
    return [
        systems.mlflow(pyfunc, **BEST["mlflow"]),
        systems.litserve(model, **BEST["litserve"]),
        systems.bentoml(model, **BEST["bentoml"]),
    ]


def sweep(workspace: Path, texts: Path, seconds: float) -> list[Row]:
    """Each setting once."""
    pyfunc, model = model_of(workspace)
    tried = [("mlflow", s, systems.mlflow(pyfunc, **s)) for s in MLFLOW]
    tried += [("litserve", s, systems.litserve(model, **s)) for s in LITSERVE]
    tried += [("bentoml", s, systems.bentoml(model, **s)) for s in BENTOML]
    rows = []
    for name, settings, system in tried:
        with running(system) as server:
            result = server.load(
                texts, 0, "--concurrency", "32", "--seconds", str(seconds), "--warm", "2"
            )
        about = " ".join([name, *(f"{key} {value:g}" for key, value in settings.items())])
        peer = "p99 {p99:.0f} ms, cpu {cpu_ms:.2f} ms, {failed} failed".format(**result)
        rows.append(Row(about, result["rate"], "calls/s", peer=peer))
        print(about, round(result["rate"]), peer, file=sys.stderr)
    return rows
