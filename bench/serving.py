"""Everloop's server beside LitServe, BentoML and `mlflow models serve`, in one run on one machine.

    make bench-serving                  the full bench, about half an hour
    python -m bench.serving --quick     two short rounds, a short run of swaps: five minutes
    python -m bench.serving --sweep     what each peer's settings give, about four minutes

Every server runs the same MiniLM classifier on the same texts of twelve tokens, which never repeat. A
round starts each in turn, so that a machine that slows down slows all; ratios are taken in a round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.form import Row, report
from bench.log import log_rows
from bench.material import logged, make_workspace, write_texts
from bench.picture import draw
from bench.swaps import swaps
from bench.sweep import best, sweep
from bench.systems import System, everloop, running
from flows.runtimes import runtimes
from flows.session import open_session

OUT = Path(__file__).parent / "out"
TEXTS = 80_000
Measured = dict[str, dict[int, list[dict[str, Any]]]]  # by system, by callers, one a round


@dataclass(frozen=True)
class Length:
    rounds: int
    seconds: float
    callers: tuple[int, ...]
    swaps: tuple[float, float]  # for so long, one every so many seconds
    log_rows: int


FULL = Length(5, 8.0, (32, 8, 1), (300.0, 20.0), 400_000)
QUICK = Length(2, 3.0, (32,), (24.0, 6.0), 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="for a look")
    parser.add_argument("--sweep", action="store_true", help="try the peers' settings instead")
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        workspace = make_workspace(place / "torch")
        texts = write_texts(place / "texts.json", TEXTS)
        if args.sweep:
            rows = sweep(workspace, texts, 3.0 if args.quick else 6.0)
        else:
            rows = bench(workspace, texts, QUICK if args.quick else FULL)
    report("serving", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def bench(workspace: Path, texts: Path, length: Length) -> list[Row]:
    ours = everloop(workspace)
    unlogged = everloop(workspace, "everloop torch, no log", "bench.unlogged")
    fast, agreement = fastest(workspace)
    peers = best(workspace)
    contenders = [ours, *fast, *peers]
    measured: Measured = {}
    for number in range(length.rounds):
        turned = contenders[number % len(contenders) :] + contenders[: number % len(contenders)]
        for system in turned:
            measure(measured, system, texts, length.seconds, length.callers)
            if system is ours:  # what is compared closely stands close in time
                before = logged(workspace)
                measure(measured, unlogged, texts, length.seconds, (32,))
                if logged(workspace) != before:
                    sys.exit("the server that should not log did: bench.unlogged is out of date")
    sent = sum(r["sent"] for results in measured[ours.name].values() for r in results)
    missing = sent + length.rounds - logged(workspace)  # each start is asked one text more
    draw(measured, OUT / "serving.png")
    return [
        *plain(measured),
        *against(measured, ours.name, {p.name: b for p, b in zip(peers, (3.0, 1.1, 1.1), strict=True)}),
        *agreement,
        *(ratio(measured, f.name, ours.name, ">= 2") for f in fast),
        ratio(measured, ours.name, unlogged.name, ">= 0.95"),
        Row("answers that the log does not know", missing, "", "== 0"),
        *log_rows(length.log_rows),
        *swaps(workspace, texts, *length.swaps),
    ]


def fastest(workspace: Path) -> tuple[list[System], list[Row]]:
    """Our fastest runtime beside torch, of those whose labels are torch's; nothing where none is."""
    session = open_session(workspace)
    found = [(m, m.agreement) for m in runtimes(session) if m.agreement and m.agreement.passed]
    session.store.close()
    if not found:
        return [], []
    best, agreement = max(found, key=lambda pair: pair[0].together)
    name = f"everloop {best.runtime}"
    made = make_workspace(workspace.with_name(best.runtime), best.runtime)
    return [everloop(made, name)], [
        Row(f"{name}: torch's labels", agreement.worst, "share", ">= 0.995")
    ]


def measure(
    measured: Measured, system: System, texts: Path, seconds: float, callers: tuple[int, ...]
) -> None:
    """Start a server and ask it at each concurrency; no text comes twice to it."""
    skip = 0
    with running(system) as server:
        for count in callers:
            how = ("--concurrency", str(count), "--seconds", str(seconds), "--warm", "2")
            result = server.load(texts, skip, *how)
            skip += result["sent"]
            if skip > TEXTS:
                sys.exit(f"{system.name} read all {TEXTS} texts: raise TEXTS")
            measured.setdefault(system.name, {}).setdefault(count, []).append(result)
            print(system.name, count, result, file=sys.stderr)


def plain(measured: Measured) -> list[Row]:
    rows = []
    for name, by in measured.items():
        for callers, results in sorted(by.items()):
            rates = [r["rate"] for r in results]
            about = "p50 {:.0f}, p99 {:.0f}, cpu {:.2f} ms".format(
                *(median([r[k] for r in results]) for k in ("p50", "p99", "cpu_ms"))
            )
            failed = sum(r["failed"] for r in results)
            about += f", {failed} FAILED: {results[-1]['faults']}" if failed else ""
            what = f"{name}, {callers} caller{'s' * (callers > 1)}"
            rows.append(Row(what, median(rates), "calls/s", "", spread(rates, 0), about))
    return rows


def against(measured: Measured, ours: str, bars: dict[str, float]) -> list[Row]:
    """Our throughput and p99 at 32 callers in those of each peer."""
    rows = []
    for peer, bar in bars.items():
        rows.append(ratio(measured, ours, peer, f">= {bar:g}"))
        rows.append(ratio(measured, ours, peer, "<= 1", "p99"))
    return rows


def ratio(measured: Measured, one: str, other: str, bar: str, what: str = "rate") -> Row:
    pairs = zip(measured[one][32], measured[other][32], strict=True)
    ratios = [a[what] / b[what] for a, b in pairs]
    name = f"{what}: {one} / {other}"
    return Row(name, median(ratios), "times", bar, spread(ratios, 2))


def spread(values: list[float], digits: int) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


if __name__ == "__main__":
    main()
