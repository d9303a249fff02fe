"""How much somebody who lies can do to the next model, and whether honest people are still heard.

    python -m bench.poison            20 seeds of the bundled sample, and of CLINC150 where it is there
    python -m bench.poison --quick    3 seeds of the sample

Each arm is a round of ten days (`bench/poison_rounds.py`). An attack is held when the candidate is not
promoted, or does no harm. On rows that the product never sees it is not worse than the champion (0.01
of accuracy), a flip does not work (0.1 more of the label's texts get the other one), and a trigger does
not (0.2 more of the texts that have it get the chosen label).
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.form import Row, report
from bench.poison_material import Material, Reader, clinc, sample
from bench.poison_rounds import SPREAD, Attack, Outcome, Round, play

CLEAN = Attack("clean", "clean")
TRIGGERS = [
    Attack(f"trigger, {rows} rows, sources: {n}", "trigger", "feedback", rows, sources=n)
    for rows in (60, 300)
    for n in (1, SPREAD)
]
FLIPS = [
    Attack(f"{kind} flip of {share:.0%} by {by}", kind, by, share=share, sources=SPREAD)
    for by in ("feedback", "annotator")
    for kind, shares in (("targeted", (1.0, 0.3)), ("uniform", (0.1, 0.2, 0.3)))
    for share in shares
]
BARE = 5  # seeds that are also played without any defence but the gate
FOLLOWED = (TRIGGERS[-1], FLIPS[-1])  # after these the next round is played, an honest one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 seeds of the bundled sample only")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--seeds", type=int, default=20, help="of each arm")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with the streams"
    )
    args = parser.parse_args()
    reader = Reader()
    sets = [sample(reader)]
    if not args.quick and (big := clinc(reader, args.data)):
        sets.append(big)
    rows = [row for m in sets for row in rows_of(m, reader, 3 if args.quick else args.seeds)]
    report("poison", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def rows_of(material: Material, reader: Reader, seeds: int) -> Iterator[Row]:
    played: dict[str, list[Outcome]] = defaultdict(list)
    bare: dict[str, list[Outcome]] = defaultdict(list)
    for seed in range(seeds):
        game = Round(material, reader, seed)
        for attack in (CLEAN, *TRIGGERS, *FLIPS):
            made = play(game, attack)
            played[attack.name].append(made.outcome)
            if seed < BARE:
                bare[attack.name].append(play(game, attack, defended=False).outcome)
            if attack in FOLLOWED:
                played[f"after: {attack.name}"].append(play(game.after(made), CLEAN).outcome)
        print(f"{material.name}: seed {seed + 1} of {seeds}", file=sys.stderr)
    for attack in (*TRIGGERS, *FLIPS):
        single = attack.by == "feedback" and attack.sources == 1
        bar = ">= 0.99" if single else ">= 0.9"
        found = played[attack.name]
        without = f"undefended: held {_held(bare[attack.name]):.2f}, {_loss(bare[attack.name])}"
        yield Row(f"{material.name}: {attack.name}", _held(found), "held", bar, _loss(found), without)
    for name in ("clean", *(f"after: {a.name}" for a in FOLLOWED)):
        found = played[name]
        passed = float(np.mean([o.passed for o in found]))
        yield Row(f"{material.name}: {name}", passed, "passed", ">= 0.95", _loss(found))


def _held(found: list[Outcome]) -> float:
    return float(np.mean([not (o.passed and o.harmed) for o in found]))


def _loss(found: list[Outcome]) -> str:
    """What candidates lost, on average; of a trigger or a targeted flip, the share that it turned."""
    loss, lies = (np.mean([getattr(o, n) for o in found]) for n in ("loss", "trained"))
    return f"{loss:+.3f}, {lies:.0f} lies trained"


if __name__ == "__main__":
    main()
