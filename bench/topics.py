"""New topics on the real streams, under a frozen model: on which day, how pure, and how many are false.

    python -m bench.topics --data ../shared/data

A topic is told each day as the monitoring stage does; the domain of its rows is read only to score it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.form import Row, report
from bench.streams import Event, Stream, read_events, read_stream
from monitoring import Monitoring
from monitoring.topics.clusters import Topic, new_topics
from monitoring.topics.tracking import TrackedTopic, followed

SETTINGS = Monitoring()


@dataclass(frozen=True)
class Found:
    """A topic on the day that opened it."""

    day: int
    name: str
    rows: int
    domain: str  # of most of its rows
    purity: float  # share of its rows of that domain


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with the streams"
    )
    args = parser.parse_args()
    found = rows(args.data)
    report("topics", found, args.json)
    sys.exit(any(r.holds is False for r in found))


def rows(data: Path) -> list[Row]:
    clinc, banking = read_stream("clinc", data), read_stream("banking77", data)
    opened, seconds = watched(clinc)
    told = [
        row
        for event in read_events(data)
        for row in _event(clinc, event, [f for f in opened if f.domain == event.domain])
    ]
    new = {event.domain for event in read_events(data)}
    false = sum(f.domain not in new for f in opened)
    usual, _ = watched(banking)
    return [
        *told,
        Row(
            "clinc: topics of what the model knows",
            false,
            "topics",
            peer=f"{len(opened)} topics in all",
        ),
        Row("banking77: topics in 60 days", len(usual), "topics", spread=_names(usual)),
        Row("clinc: one look, slowest", seconds, "s", "<= 2"),
    ]


def _event(stream: Stream, event: Event, found: list[Found]) -> Iterator[Row]:
    domain, start = event.domain, event.start
    days = stream.day[(stream.frame["domain"] == domain).to_numpy(dtype=bool)]
    begin = int(days.min()) if start is None else start
    if not found:
        yield Row(f"clinc: {domain}, days to its topic", float("inf"), "days", spread="never")
        return
    first, seen = found[0], int((days <= found[0].day).sum())
    yield Row(
        f"clinc: {domain}, days to its topic",
        first.day - begin,
        "days",
        spread=f"day {first.day}, {seen} rows had come, {_names(found)}",
    )
    share = float(np.average([f.purity for f in found], weights=[f.rows for f in found]))
    yield Row(f"clinc: {domain}, rows of it in its topics", share, "share")


def _names(found: list[Found]) -> str:
    return ", ".join(f.name for f in found[:3]) + (f" and {len(found) - 3} more" if found[3:] else "")


def watched(stream: Stream) -> tuple[list[Found], float]:
    """The topics that open over the days of a stream, and the seconds of the slowest day."""
    kept: list[TrackedTopic] = []
    domains = dict(zip(stream.frame["request_id"], stream.frame["domain"], strict=True))
    opened, slowest = [], 0.0
    for day in range(1, stream.days):
        view, begin = stream.view(day, SETTINGS), time.perf_counter()
        found = new_topics(view, stream.training.embeddings)
        before = {c.key for c in kept}
        kept = followed(kept, found, view.whole.end)
        slowest = max(slowest, time.perf_counter() - begin)
        new = [c for c in kept if c.key not in before]
        opened += [_scored(day, c, found, domains) for c in new]
    return opened, slowest


def _scored(day: int, candidate: TrackedTopic, found: list[Topic], domains: dict[str, str]) -> Found:
    topic = next(t for t in found if t.request_ids[:3] == list(candidate.examples))
    counts = Counter(domains[r] for r in topic.request_ids)
    (domain, most), *_ = counts.most_common(1)
    return Found(day, candidate.name, topic.size, domain, most / topic.size)


if __name__ == "__main__":
    main()
