"""Monitoring beside Evidently, alibi-detect, frouros and NannyML, in one run on one machine.

    make bench-monitoring                              the full bench, about an hour
    python -m bench.monitoring --quick                 few streams without drift, small sizes: minutes
    python -m bench.monitoring --only detection        one part: detection, synthetic, scale, ...

Peers run at their documented defaults in bench/.venv-monitoring. Everybody judges the same days of the
same streams against the same references; how alarms are counted is in bench/curves.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.curves import Point, Watch, best, curve, delay, false_alarms, kind_of, point, sought
from bench.detectors import DETECTORS, peer, write_job
from bench.form import Row, report
from bench.monitoring_pictures import draw_detection, draw_scale
from bench.ours import Policy, ours
from bench.scale import OURS, PEERS, SIZES, costs, scale_rows
from bench.streams import OUT, Event, Stream, read_events, read_stream, shuffled, weekly
from core.arrays import Array
from monitoring import Monitoring

REAL = "clinc"
GRID = (
    0.0,
    0.25,
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    15.0,
)  # false alarms in 60 days at which curves are compared
TESTED = ", tested"  # the default of a detector whose curve needs no test
SETTLED = 14  # days after which weekends are known
POLICIES = (
    Policy("sliding", Monitoring().reference_days, Monitoring().reference_days),
    Policy("fixed", 12, 14),  # the first drift is on day 12
)
WEEKENDS = Policy("weekends", Monitoring().reference_days, Monitoring().reference_days)
TITLES = {
    "weekends": "Reference: the 7 days before; no drift, but weekends",
    "sliding": "Reference: the 7 days before",
    "fixed": "Reference: the first days (12; 14 without drift)",
}


@dataclass(frozen=True)
class Length:
    nulls: int  # shuffled copies of each stream
    policies: tuple[Policy, ...]
    budget: float  # seconds a peer and policy may take, beyond the first stream
    sizes: tuple[int, ...]
    seeds: int
    made: int  # streams of each kind


FULL = Length(20, POLICIES, 150.0, SIZES, 10, 7)
QUICK = Length(1, POLICIES[:1], 20.0, SIZES[:2], 2, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="for a look")
    parser.add_argument("--only", choices=list(PARTS), action="append", help="these parts only")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with the streams"
    )
    args = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    length, rows = QUICK if args.quick else FULL, []
    for name in args.only or PARTS:
        print(f"== {name}", file=sys.stderr)
        rows += PARTS[name](args.data, length)
    report("monitoring", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def detection(data: Path, length: Length) -> list[Row]:
    """Delay against false alarms, ours and the peers', by both references; and by the sliding one on
    copies that have no drift, but weekends."""
    events, streams = read_events(data), quiet_and_real(data, length.nulls)
    rows, panels = [], {}
    for policy in length.policies:
        watches = judged(streams, policy, length.budget)
        panels[TITLES[policy.name]], found = compared(policy.name, watches, events)
        rows += found + (our_rows(watches[0], events) if policy.name == "sliding" else [])
    copies = [weekly(streams[0], seed) for seed in range(max(2, length.nulls // 2))]
    watches = judged([streams[0], *copies], WEEKENDS, length.budget / 5)
    watches = [settled(w) for w in watches]
    panels[TITLES[WEEKENDS.name]], found = compared(WEEKENDS.name, watches, events)
    draw_detection(panels, OUT / "monitoring-detection.png")
    return [*rows, *found, *week_rows(watches[0])]


def judged(streams: Sequence[Stream], policy: Policy, budget: float) -> list[Watch]:
    """What every detector says of every day of the streams; ours first."""
    job = OUT / f"monitoring-{policy.name}.npz"
    write_job(streams, policy, job)
    watches = [ours(streams, policy, Monitoring())]
    for name in DETECTORS:
        watches.append(peer(name, job, policy, budget))
        print(f"{policy.name}: {watches[-1].name} {watches[-1].note}", file=sys.stderr)
    return watches


def compared(
    name: str, watches: Sequence[Watch], events: Sequence[Event]
) -> tuple[dict[str, tuple[list[Point], Point | None]], list[Row]]:
    """A panel of the picture, and its rows."""
    able = [w for w in watches if w.scores]
    lines = {w.name: curve(w, REAL, events) for w in able if not w.name.endswith(TESTED)}
    marks = {w.name: default(w, events) for w in able}
    panel = {w.name: (lines.get(w.name, []), marks[w.name]) for w in able}
    return panel, [row for w in watches for row in watch_rows(w, name, lines, marks)]


def settled(watch: Watch) -> Watch:
    """Without the first two weeks of the copies, in which a weekend is news."""
    early = {n: np.arange(len(s)) < SETTLED for n, s in watch.scores.items() if n != REAL}
    scores = {n: np.where(early[n], np.nan, s) if n in early else s for n, s in watch.scores.items()}
    drift = {n: a & ~early[n] if n in early else a for n, a in watch.drift.items()}
    return replace(watch, scores=scores, drift=drift)


def quiet_and_real(data: Path, nulls: int) -> list[Stream]:
    """The stream with drift first, then those without."""
    read = [read_stream(name, data) for name in ("clinc", "banking77")]
    return [*read, *(shuffled(s, seed) for seed in range(nulls) for s in read)]


def default(watch: Watch, events: Sequence[Event]) -> Point | None:
    """Where its documented default lies; None where it has none."""
    return None if watch.default.startswith("none") else point(watch, watch.drift, REAL, events)


def watch_rows(
    watch: Watch,
    panel: str,
    lines: dict[str, list[Point]],
    marks: dict[str, Point | None],
) -> list[Row]:
    name = f"{panel}: {watch.name}"
    if watch.name not in marks:
        return [Row(f"{name} cannot", 0, "", peer=watch.note)]
    rows, mark = [], marks[watch.name]
    if mark:
        bar = "<= 1" if watch.name == OURS else ""
        said = f"{mark.delay:.1f} days; {watch.default}"
        rows.append(Row(f"{name}, default", mark.false_alarms, "a 60 d", bar, watch.note, said))
    if watch.name in lines:
        line = lines[watch.name]
        about = ", ".join(f"{best(line, f):.1f} at {f:g}" for f in (0.25, 1, 4, 15))
        cost = f"{watch.seconds:.2f} s a window"
        rows.append(Row(f"{name}, at most 1 false alarm", best(line, 1.0), "days", "", about, cost))
    if watch.name in lines and watch.name != OURS:
        behind = max(best(lines[OURS], f) - best(lines[watch.name], f) for f in GRID)
        rows.append(Row(f"{name}: ahead of ours, at most", behind, "days", "<= 0"))
    return rows


def our_rows(watch: Watch, events: Sequence[Event]) -> list[Row]:
    """Every drift at our default, beside its bar."""
    limits = {"instantaneous": 1, "gradual": 7, "temporary": 0}
    rows = [
        Row(
            f"{e.kind} drift of day {e.start}: {e.domain}",
            delay(watch.drift[REAL], e),
            "days",
            f"<= {limits[e.kind]}",
        )
        for e in sought(events)
    ]
    rows += [_kind_row(e, watch) for e in events]
    each = [false_alarms([watch.drift[n]], [watch.scores[n]]) for n in watch.drift if n != REAL]
    days = ", ".join(str(d) for d in np.flatnonzero(watch.drift[REAL]))
    return [
        *rows,
        Row("false alarms, the worst stream", max(each, default=0.0), "a 60 d"),
        Row("alarms on the stream with drift", int(watch.drift[REAL].sum()), "days", peer=days),
    ]


def _kind_row(event: Event, watch: Watch) -> Row:
    """Was it given its kind, and a burst on the day that it ended?"""
    named = watch.kinds[REAL]
    kind = kind_of(event, named)
    ended = any(n.kind == kind and (n.since, n.until) == (event.start, event.end) for n in named)
    right = kind == event.kind and (event.kind != "temporary" or ended)
    when = "weekends" if event.start is None else f"day {event.start}"
    said = f"named {kind or 'nothing'}" + (
        f", over on day {event.end}" if kind == "temporary" and ended else ""
    )
    return Row(f"{event.kind} drift of {when} is named so", float(right), "", "== 1", peer=said)


def week_rows(watch: Watch) -> list[Row]:
    """Alarms on weekends that are like those before, at our default."""
    weekends, others = [], []
    for name, alarms in watch.drift.items():
        days: Array = np.arange(len(alarms))
        late, weekend = days >= SETTLED, days % 7 >= 5  # day 0 is a Monday
        if name != REAL:
            weekends.append(alarms[late & weekend].mean())
            others.append(alarms[late & ~weekend].mean())
    return [
        Row(
            "weekends known from before: days that alarm", float(np.mean(weekends)), "share", "<= 0.02"
        ),
        Row("weekdays beside them: days that alarm", float(np.mean(others)), "share", "<= 0.02"),
    ]


def synthetic(_data: Path, length: Length) -> list[Row]:
    """Made streams that the rule was not shaped on."""
    from bench.synthetic import rows

    return rows(length.made)


def scale(_data: Path, length: Length) -> list[Row]:
    """Seconds and memory of one judgement."""
    found = {}
    for name in (OURS, *PEERS):
        found[name] = costs(name, length.sizes)
        print(name, found[name], file=sys.stderr)
    draw_scale(found, OUT / "monitoring-scale.png")
    return scale_rows(found)


def estimates(data: Path, length: Length) -> list[Row]:
    from bench.cbpe import rows

    return [*_others("bench.estimates", data, length.seeds), *rows(data)]


def triggers(data: Path, length: Length) -> list[Row]:
    return _others("bench.triggers", data, length.seeds)


def topics(data: Path, _length: Length) -> list[Row]:
    return _others("bench.topics", data)


def whole_pass(_data: Path, _length: Length) -> list[Row]:
    return _others("bench.monitoring_pass")


def _others(module: str, *arguments: object) -> list[Row]:
    if importlib.util.find_spec(module) is None:
        return [Row(f"{module}: not there", 0, "")]
    rows: list[Row] = importlib.import_module(module).rows(*arguments)
    return rows


PARTS: dict[str, Callable[[Path, Length], list[Row]]] = {
    "detection": detection,
    "synthetic": synthetic,
    "scale": scale,
    "estimates": estimates,
    "triggers": triggers,
    "topics": topics,
    "pass": whole_pass,
}


if __name__ == "__main__":
    main()
