"""How the servers fare: how long answers take, what fails, what waits, and what memory it takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.arrays import Array, Frame
from core.records.signals import Signal
from monitoring.limits import MIN_ROWS
from monitoring.view import Spec, View

PERCENTILES = (50, 95, 99)


def _spec(name: str, unit: str, words: str, held: bool = False) -> Spec:
    return Spec(f"system.{name}", unit, "system", "above", words, held=held)


LATENCY = {
    p: _spec(
        f"latency.p{p}",
        "ms",
        f"latency: {p} % of answers within {{value:,.1f}} ms, more than {{baseline:,.1f}} ms",
        held=True,
    )
    for p in PERCENTILES
}
ERRORS = _spec(
    "errors", "share", "errors: {value:.2%} of requests failed in the server, more than {baseline:.2%}"
)
QUEUE = _spec(
    "queue", "texts", "queue: {value:,.0f} texts waited for the model, more than {baseline:,.0f}"
)
TOOK = "a server took {value:,.0f} MiB, more than {baseline:,.0f} MiB"
MEMORY, GPU = _spec("memory", "MiB", f"memory: {TOOK}"), _spec("gpu", "MiB", f"GPU memory: {TOOK}")
SPECS = (*LATENCY.values(), ERRORS, QUEUE, MEMORY, GPU)
MIB = 2**20


def measure(view: View) -> Iterator[Signal]:
    """Latency of the rows; the rest from what servers said of themselves, which knows no segments."""
    yield from _latency(view)
    if not view.segment:
        yield from _servers(view)


def _latency(view: View) -> Iterator[Signal]:
    ours, theirs = _milliseconds(view.window.rows), _milliseconds(view.reference.rows)
    least = MIN_ROWS
    for percent, spec in LATENCY.items():
        if len(ours) < least:
            note = f"not enough rows: {len(ours)} with a latency, {least} needed"
            yield view.signal(spec, None, note)
            continue
        usual = f"{np.percentile(theirs, percent):.3g} in the reference" if len(theirs) >= least else ""
        note = usual or f"not comparable: {len(theirs)} rows in the reference, {least} needed"
        yield view.signal(spec, float(np.percentile(ours, percent)), note)


def _milliseconds(rows: Frame) -> Array:
    if "latency_ms" not in rows:
        return np.zeros(0)
    found = rows["latency_ms"].to_numpy(dtype=float)
    return np.asarray(found[np.isfinite(found)])


def _servers(view: View) -> Iterator[Signal]:
    told = view.system
    servers = len({s.source for s in told})
    note = f"{len(told):,} minutes of {servers} server{'s' if servers != 1 else ''}"
    none = "not enough samples: 0, no server wrote any in this window"
    requests = sum(s.requests for s in told)
    share = sum(s.errors for s in told) / requests if requests else None
    idle = none if not told else "not enough requests: 0"
    yield view.signal(ERRORS, share, idle if share is None else f"of {requests:,} requests; {note}")
    gpu = [s.gpu for s in told if s.gpu is not None]
    no_gpu = none if not told else "not enough samples: 0 with a GPU"
    for spec, values, missing in (
        (QUEUE, [float(s.queue) for s in told], none),
        (MEMORY, [s.memory / MIB for s in told], none),
        (GPU, [g / MIB for g in gpu], no_gpu),
    ):
        most = max(values, default=None)
        yield view.signal(spec, most, missing if most is None else f"the most in {note}")
