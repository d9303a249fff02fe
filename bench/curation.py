"""What labels are worth by who chooses them: ours, small-text and scikit-activeml, 60 days of CLINC150.

    make bench-curation                                 the full bench, two hours
    python -m bench.curation --quick                    ours alone, one seed, 1,200 labels: minutes
    python -m bench.curation --stream "banking77 0"     on a stream made to choose by

Each day the serving head answers and is scored; somebody chooses among the rows of that day; their
labels come at its end, and the head recipe is fitted again on the first labels and all since. An arm's
share is where it stands between `frozen` (never again) and `everything` (every label). Ours is the
default of params.yaml, audit slice, chances and pacing included; peers cut off, and all theirs trains.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import TypeAdapter

from bench.arrivals import make
from bench.choosers import PYTHON, Ours, Peer
from bench.form import Row, report
from bench.rounds import Everything, Outcome, frozen, serve
from bench.streams import Stream, read_stream
from pipelines.curation import CurationPolicy

HERE = Path(__file__).parent
RATES = {20: 0.95, 10: 0.85}  # labels a day: the share of the gap that is asked for
SEEDS = 5
T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % quantile of Student's t, n - 1 degrees
BARE: dict[str, dict[str, Any]] = {"margin": {"policy": "margin"}, "random": {"policy": "random"}}
# Seeds: one where nothing is drawn. TypiClust, 10 s a day, is left out.
PEERS = {
    "small_text:breaking-ties": 1,
    "small_text:least-confidence": 1,
    "small_text:contrastive": 1,
    "small_text:greedy-coreset": 1,
    "small_text:discriminative": 2,
    "small_text:embedding-k-means": 2,
    "small_text:lightweight-coreset": 2,
    "skactiveml:core-set": 1,
    "skactiveml:prob-cover": 1,
}


@dataclass
class Arm:
    """One chooser at one rate, over seeds."""

    name: str
    rate: int
    shares: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    @property
    def half(self) -> float:
        """Half of the 95 % interval of the mean share; 0 for a single run."""
        n = len(self.shares)
        return T[n] * float(np.std(self.shares, ddof=1)) / n**0.5 if n > 1 else 0.0

    @property
    def mean(self) -> float:
        return float(np.mean(self.shares))

    def row(self, bar: str = "") -> Row:
        spread = f"+-{self.half:.4f}, accuracy {np.mean(self.accuracies):.4f}"
        name = f"{60 * self.rate:,} labels: {self.name}"
        return Row(name, self.mean, "of gap", bar, spread, f"{max(self.labels)} labels")


@dataclass(frozen=True)
class Scale:
    """The two ends of the gap."""

    stream: Stream
    low: float
    high: float

    def arm(self, name: str, rate: int, seeds: int, chooser: Callable[[], Any]) -> Arm:
        arm = Arm(name, rate)
        for seed in range(seeds):
            with_whom = chooser()
            outcome = serve(self.stream, with_whom, seed)
            if isinstance(with_whom, Peer):
                with_whom.close()
            self._add(arm, outcome)
            print(f"  {name}, {rate} a day, seed {seed}: {arm.shares[-1]:.4f}", file=sys.stderr)
        return arm

    def _add(self, arm: Arm, outcome: Outcome) -> None:
        arm.accuracies.append(outcome.accuracy)
        arm.shares.append((outcome.accuracy - self.low) / (self.high - self.low))
        arm.labels.append(sum(outcome.labels))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ours alone, one seed, 20 labels a day")
    parser.add_argument("--stream", default="clinc", help="clinc, or a made one: 'banking77 0'")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    scale = measured(args.stream, args.data)
    rates = [20] if args.quick else list(RATES)
    rows = [
        Row("frozen: accuracy", scale.low, "share"),
        Row("everything labelled: accuracy", scale.high, "share"),
    ]
    for rate in rates:
        rows += compared(scale, rate, 1 if args.quick else args.seeds, args.peers and not args.quick)
    report(f"curation, {args.stream}", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def measured(name: str, data: Path) -> Scale:
    if name == "clinc":
        stream = read_stream(name, data)
    else:
        corpus, seed = name.split()
        stream = make(corpus, int(seed), data)
    return Scale(stream, frozen(stream), serve(stream, Everything()).accuracy)


def compared(scale: Scale, rate: int, seeds: int, peers: bool) -> list[Row]:
    ours = scale.arm("mix, the default", rate, seeds, partial(_ours, _default(), rate))
    rows = [ours.row(f">= {RATES[rate]}")]
    for name, settings in BARE.items():
        rows.append(scale.arm(name, rate, seeds, partial(_ours, settings, rate)).row())
    others = [
        scale.arm(_shown(n), rate, min(seeds, k), partial(Peer, n, rate))
        for n, k in PEERS.items()
        if peers and PYTHON.exists()
    ]
    rows += [a.row() for a in others]
    if others:
        best = max(others, key=lambda a: a.mean)
        beyond = best.mean - (ours.mean + ours.half)
        rows.append(
            Row(
                f"{60 * rate:,} labels: best peer beyond our interval",
                beyond,
                "of gap",
                "<= 0",
                "",
                best.name,
            )
        )
    return rows


def _default() -> dict[str, Any]:
    given = yaml.safe_load((HERE.parent / "params.yaml").read_text(encoding="utf-8"))
    section: dict[str, Any] = given["curation"]
    return section


def _ours(settings: dict[str, Any], rate: int) -> Ours:
    section = {**settings, "labels_per_day": rate}
    return Ours(TypeAdapter(CurationPolicy).validate_python(section))


def _shown(strategy: str) -> str:
    library, name = strategy.split(":")
    return {"small_text": "small-text", "skactiveml": "scikit-activeml"}[library] + f": {name}"


if __name__ == "__main__":
    main()
