"""The default strategy for a model that writes, with the frozen model and the lines below and above it.

    python -m bench.generation --quick                             five days of the bundled sample
    python -m bench.generation --json bench/out/generation.json    28 days of calls_stream.csv

Four arms on one stream: `frozen`, the first model for ever; `ours`, the defaults at 8 labels a day;
`random`, the same with labels drawn at random; `all`, every request labelled, a retrain every day. The
weights of `all` stay those of the first model, all labels are its examples: to train them again on so
many rows takes hours, and brought 0.52 right answers where the examples bring 0.50. The first model is
the same in all arms and trained once; then two arms run side by side, on a core each.
Simulated users give thumbs to one answer in five, and correct one in twenty where it is wrong. What
is compared is the share of right answers, each scored as it was served, before its label was known. The
gap is that of `all` over `frozen`; how much of it an arm recovers is the result.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from bench.form import Row, report
from bench.replay import beside_frozen, replay
from core.tasks import GENERATION
from everloop.__main__ import QUIET
from everloop.init import template
from everloop.people import People
from everloop.sample import bundled
from everloop.show import Files, prepared
from flows.first import first_model

TASK = ("--task", GENERATION)
USERS = People(thumbs=0.2, corrections=0.05)
QUICK_DAYS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="five days of the bundled sample only")
    parser.add_argument("--arms", default="ours,random,all", help="which to run; `ours` has `frozen`")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with the stream"
    )
    args = parser.parse_args()
    os.environ |= QUIET  # the first model is trained here
    rows = quick() if args.quick else full(args.data, args.arms.split(","))
    report("generation", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def quick() -> list[Row]:
    folder = bundled(GENERATION)
    with tempfile.TemporaryDirectory() as few:
        stream = Path(few) / "stream.csv"
        lines = (folder / "stream.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        stream.write_text("".join(lines[: 36 * QUICK_DAYS + 1]), encoding="utf-8")
        found = replay("calls-sample", stream, folder / "train.csv", folder / "eval.csv", *TASK)
    return [
        Row("sample: right answers", found["prequential_accuracy"], "share", peer=beside_frozen(found)),
        Row("sample: encoder passes per text", found["encoder_passes_per_text"], "passes", "== 1"),
        Row("sample: wall time", found["wall_seconds"], "s", "<= 300"),
    ]


def full(data: Path, arms: list[str]) -> list[Row]:
    if not (data / "calls_stream.csv").exists():
        sys.exit(f"no calls_stream.csv in {data}: give its folder with --data, or run --quick")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, _side_by_side() as pool:
        first = Path(folder) / "first"
        _train_first(data, first)
        found = dict(zip(arms, pool.map(_arm, arms, repeat(data), repeat(first)), strict=True))
    wall = time.perf_counter() - began
    ours = found["ours"]
    frozen = ours["frozen_accuracy"]  # all arms have the same first model
    rows = [
        Row(
            f"calls: right answers, {arm}",
            one["prequential_accuracy"],
            "share",
            peer=f"{beside_frozen(one)}; {one['labels']} labels, {one['retrains']} retrains, "
            f"{one['wall_seconds']:.0f} s",
        )
        for arm, one in found.items()
    ]
    if "all" in found:
        gap = found["all"]["prequential_accuracy"] - frozen
        bars = {"ours": ">= 0.4"}
        rows += [
            Row(
                f"calls: share of the gap recovered, {arm}",
                (one["prequential_accuracy"] - frozen) / gap,
                "share",
                bars.get(arm, ""),
            )
            for arm, one in found.items()
            if arm != "all"
        ]
    return [
        *rows,
        Row("calls: labels a day, on average", ours["labels"] / ours["days"], "labels", "<= 8"),
        Row("calls: wall time of all arms", wall, "s", "<= 2400"),
    ]


def _files(data: Path) -> Files:
    names = ("stream", "initial_train", "initial_eval")
    stream, train, evaluation = (data / f"calls_{name}.csv" for name in names)
    return Files(stream, train, evaluation)


def _train_first(data: Path, place: Path) -> None:
    session, job = prepared(_files(data), place, task=GENERATION, people=USERS)
    first_model(session, job.train, job.evaluation, job.start)
    session.store.close()


def _side_by_side() -> ProcessPoolExecutor:
    """Two processes; what they start has a thread each."""
    return ProcessPoolExecutor(2, get_context("spawn"), initializer=_one_thread)


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _arm(name: str, data: Path, first: Path) -> dict[str, Any]:
    files = _files(data)
    users = ("--thumbs", str(USERS.thumbs), "--corrections", str(USERS.corrections))
    flags = (*TASK, *users, *(("--oracle",) if name == "all" else ()))
    asked = files.stream, files.initial, files.evaluation
    return replay(f"calls-{name}", *asked, *flags, params=_params(name), first=first)


def _params(arm: str) -> str:
    """The defaults, but for what the arm is about."""
    chosen = yaml.safe_load(template(GENERATION).read_text(encoding="utf-8"))
    if arm == "random":
        chosen["curation"]["policy"] = "random"
        del chosen["curation"]["of"]  # the parts of a mix
    if arm == "all":
        chosen["training"]["retune_after"] = 10**9
    return yaml.safe_dump(chosen, sort_keys=False)


if __name__ == "__main__":
    main()
