"""What triggers cost and give: accuracy against retrains under drift, false retrains without.

    python -m bench.triggers --json bench/out/triggers.json

The real triggers and curation policy on stored embeddings, day by day; drift and confidence signals
raise the alarms, labels come at once, a new head serves at once. Every arm has 20 labels a day.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from bench.arms import Arm, Outcome
from bench.form import Row, report
from bench.labelled import Stream, load_stream
from bench.streams import FILES
from pipelines.curation.margin import Margin
from pipelines.triggers import TriggerPolicy
from pipelines.triggers.trigger import Trigger

BUDGETS = (0.01, 0.02, 0.03, 0.05, 0.1)
DRAWS = 3
DAILY = {"policy": "periodic", "every_days": 1}
TESTED = {"policy": "error-budget"}
PRICED = {"policy": "cost-aware", "price_per_error": 1, "price_per_label": 0.5, "price_per_retrain": 20}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="shuffled copies of each stream")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with the streams"
    )
    args = parser.parse_args()
    found = rows(args.data, args.seeds)
    report("triggers", found, args.json)
    sys.exit(any(r.holds is False for r in found))


def rows(data: Path, seeds: int) -> list[Row]:
    """The bars: the drifting stream, and `seeds` shuffled copies of each stream."""
    clinc, banking = (load_stream(name, data) for name in FILES)
    return [*drifting(clinc), *nulls([clinc, banking], seeds), *still(banking)]


def drifting(stream: Stream) -> list[Row]:
    """`error-budget` beside a retrain a day, and the curve of retrains against accuracy."""
    daily, tested = several(stream, DAILY), several(stream, TESTED)
    others = {f"error-budget {b:g}": {**TESTED, "budget": b} for b in BUDGETS}
    others |= {f"periodic {d}": {"policy": "periodic", "every_days": d} for d in (3, 7)}
    others["cost-aware"] = PRICED
    return [
        _accuracy(stream, "periodic 1", daily),
        _accuracy(stream, "error-budget", tested, f">= {_mean(daily) - 0.01:.4f}"),
        Row(
            f"{stream.name}: error-budget, retrains",
            _retrains(tested),
            "",
            f"<= {_retrains(daily) / 3:g}",
            spread=", ".join(str(len(o.retrains)) for o in tested),
        ),
        *(_accuracy(stream, name, several(stream, s)) for name, s in others.items()),
    ]


def nulls(streams: list[Stream], seeds: int) -> list[Row]:
    """Shuffled copies: their own first 14 days are what the first model learnt, and nothing drifts."""
    found = {s.name: [run(s.shuffled(i), TESTED) for i in range(seeds)] for s in streams}
    every = [o for outcomes in found.values() for o in outcomes]
    share = float(np.mean([bool(o.retrains) for o in every])) if every else 0.0
    words = ", ".join(
        f"{name} {sum(bool(o.retrains) for o in outcomes)} of {seeds}"
        for name, outcomes in found.items()
    )
    alarms = float(np.mean([o.alerts for o in every])) if every else 0.0
    return [
        Row("nulls: error-budget, streams falsely retrained", share, "share", "<= 0.05", words),
        Row("nulls: alerts that called for the test", alarms, "a stream"),
    ]


def still(stream: Stream) -> list[Row]:
    """The stream without drift as it is, after the rows it was given."""
    tested, daily = run(stream, TESTED), run(stream, DAILY)
    return [
        Row(f"{stream.name}: error-budget, retrains", len(tested.retrains), "", "<= 0"),
        Row(f"{stream.name}: error-budget, accuracy", tested.accuracy, "share"),
        _accuracy(stream, "periodic 1", [daily]),
    ]


def run(stream: Stream, settings: dict[str, Any], seed: int = 0) -> Outcome:
    trigger: Trigger = TypeAdapter(TriggerPolicy).validate_python(settings)
    return Arm(stream, trigger, Margin(policy="margin"), seed).run()


def several(stream: Stream, settings: dict[str, Any]) -> list[Outcome]:
    """The same with other draws of the picks: half a point of accuracy is luck."""
    return [run(stream, settings, seed) for seed in range(DRAWS)]


def _mean(outcomes: list[Outcome]) -> float:
    return float(np.mean([o.accuracy for o in outcomes]))


def _retrains(outcomes: list[Outcome]) -> float:
    return float(np.mean([len(o.retrains) for o in outcomes]))


def _accuracy(stream: Stream, name: str, outcomes: list[Outcome], bar: str = "") -> Row:
    spread = "..".join(f"{f(o.accuracy for o in outcomes):.4f}" for f in (min, max))
    peer = f"{_retrains(outcomes):.1f} retrains"
    return Row(f"{stream.name}: {name}, accuracy", _mean(outcomes), "share", bar, spread, peer)


if __name__ == "__main__":
    main()
