"""Numbers about a stretch of traffic, and what later traffic is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.arrays import Array


@dataclass(frozen=True)
class Signal:
    """One number about one window. A `value` of None was not enough to say; `note` says why."""

    name: str
    window_start: datetime
    window_end: datetime
    value: float | None
    unit: str
    baseline: float | None = None
    low: float | None = None  # 95 % interval, where one is known
    high: float | None = None
    segment: str = ""  # "" is the whole window, else "column=value"
    note: str = ""
    reference: str = ""  # what it was held against: a reference policy, "" where against nothing


@dataclass(frozen=True, eq=False)
class TrafficSample:
    """Some rows of a stretch of past traffic, evenly drawn: what later traffic is held against."""

    encoder: str
    start: datetime
    end: datetime
    rows: int  # there were
    embeddings: Array  # (k, dim) float16, k <= rows


@dataclass(frozen=True)
class SystemSample:
    """How one server fared in the time before `timestamp`."""

    source: str  # host and process
    timestamp: datetime
    requests: int
    errors: int  # requests answered with 5xx
    queue: int  # texts that waited for the model, at most
    memory: int  # bytes of the process
    gpu: int | None = None  # bytes of GPU memory in use; None without one
