"""The default strategy on real requests, with the frozen model and the label-everything line beside it.

    python -m bench.replay --quick                        12 days of the bundled sample, in a minute
    python -m bench.replay --json bench/out/replay.json   60 days of CLINC150 and of Banking77

The full bench reads clinc_stream.csv (six marked drifts) and banking77_stationary_stream.csv (none),
with their *_initial_train.csv and *_initial_eval.csv, from --data.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.form import Row, report
from everloop.demo import write_pages
from everloop.sample import bundled
from flows.session import open_session

HERE = Path(__file__).parent
STREAMS = {"clinc": "clinc_stream", "banking77": "banking77_stationary_stream"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="12 days of the bundled sample only")
    parser.add_argument("--oracle", action="store_true", help="also label everything and retrain daily")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with the streams"
    )
    args = parser.parse_args()
    rows = quick() if args.quick else full(args.data, args.oracle)
    report("replay", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def quick() -> list[Row]:
    folder = bundled()
    with tempfile.TemporaryDirectory() as few:
        stream = Path(few) / "stream.csv"
        lines = (folder / "stream.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        stream.write_text("".join(lines[:1200]), encoding="utf-8")
        r = replay("sample", stream, folder / "train.csv", folder / "eval.csv")
    return [
        Row("sample: prequential accuracy", r["prequential_accuracy"], "share", peer=beside_frozen(r)),
        Row("sample: encoder passes per text", r["encoder_passes_per_text"], "passes", "== 1"),
        Row("sample: wall time", r["wall_seconds"], "s", "<= 60"),
    ]


def full(data: Path, oracle: bool) -> list[Row]:
    if not (data / "clinc_stream.csv").exists():
        sys.exit(f"no clinc_stream.csv in {data}: give its folder with --data, or run --quick")
    clinc = replay_real("clinc", data)
    rows = [
        Row(
            "clinc: prequential accuracy",
            clinc["prequential_accuracy"],
            "share",
            ">= 0.88",
            peer=beside_frozen(clinc),
        ),
        Row("clinc: labels a day, on average", clinc["labels"] / clinc["days"], "labels", "<= 20"),
        Row("clinc: most labels in a day", clinc["most_labels_in_a_day"], "labels"),
        Row("clinc: retrains", clinc["retrains"], "", "<= 20"),
        Row("clinc: rollbacks", clinc["rollbacks"], ""),
        Row("clinc: drift alerts", clinc["drift_alerts"], ""),
        Row("clinc: encoder passes per text", clinc["encoder_passes_per_text"], "passes", "== 1"),
        Row("clinc: wall time", clinc["wall_seconds"], "s", "<= 240"),
    ]
    if oracle:
        line = replay_real("clinc", data, "--oracle")
        rows.append(Row("clinc: label everything, daily", line["prequential_accuracy"], "share"))
    banking = replay_real("banking77", data)
    return [
        *rows,
        Row(
            "banking77: prequential accuracy",
            banking["prequential_accuracy"],
            "share",
            peer=beside_frozen(banking),
        ),
        Row("banking77: drift alerts", banking["drift_alerts"], "", "<= 3"),
        Row("banking77: rollbacks", banking["rollbacks"], "", "<= 1"),
        Row("banking77: retrains", banking["retrains"], ""),
        Row("banking77: wall time", banking["wall_seconds"], "s"),
    ]


def replay_real(name: str, data: Path, *flags: str) -> dict[str, Any]:
    stream, train, evaluation = (
        data / f"{n}.csv" for n in (STREAMS[name], f"{name}_initial_train", f"{name}_initial_eval")
    )
    return replay(name + "".join(flags), stream, train, evaluation, *flags)


def replay(
    name: str,
    stream: Path,
    train: Path,
    evaluation: Path,
    *flags: str,
    params: str | None = None,
    first: Path | None = None,
) -> dict[str, Any]:
    """One replay as a user runs it, in a process of its own; leaves a picture in bench/out. `params` is
    a params.yaml in place of the default one, `first` a workspace to go on from a copy of."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / name
        if first:
            shutil.copytree(first, place, symlinks=True)
        if params:
            place.mkdir(exist_ok=True)
            (place / "params.yaml").write_text(params, encoding="utf-8")
        result, wall = _command(place, stream, train, evaluation, *flags)
        session = open_session(place)
        picture, page = write_pages(place / "reports", session.store, result)
        session.store.close()
        out = HERE / "out"
        out.mkdir(exist_ok=True)
        shutil.copy(picture, out / f"{name}.png")
        shutil.copy(page, out / f"{name}.html")
    return {**result, "wall_seconds": wall}


def _command(place: Path, *arguments: Path | str) -> tuple[dict[str, Any], float]:
    import time

    stream, train, evaluation, *flags = (str(a) for a in arguments)
    out = place.parent / "result.json"
    command = [
        sys.executable,
        "-m",
        "everloop",
        "replay",
        stream,
        "--initial",
        train,
        "--eval",
        evaluation,
    ]
    start = time.perf_counter()
    subprocess.run([*command, "-w", str(place), "--json", str(out), *flags], check=True)
    wall = time.perf_counter() - start
    result: dict[str, Any] = json.loads(out.read_text())
    return result, wall


def beside_frozen(result: dict[str, Any]) -> str:
    frozen = result["frozen_accuracy"]
    return "" if frozen is None else f"frozen: {frozen:.3f}"


if __name__ == "__main__":
    main()
