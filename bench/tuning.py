"""Fine-tuning of a causal language model beside TRL's SFTTrainer: tokens a second, loss of each step.

    make bench-tuning            or: python -m bench.tuning --rows 96

Both learn the same rows (requests and the function calls they mean) on one thread, and processor time
is compared: it moves less than the clock when the machine is shared. Ours counts reading and saving the
model too. TRL runs at its defaults for speed, and once more over our steps and rates for the losses.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.form import Row, report
from core.models.causal import tuning
from core.models.causal.language_model import LanguageModel, load_language_model
from core.models.causal.offline import NAME
from core.models.causal.packing import Demonstrations, TokenSequence, sequences
from core.models.causal.tuning import TuningPlan, tune

HERE = Path(__file__).parent
PYTHON = HERE / ".venv-tuning" / "bin" / "python"
PLAN = TuningPlan(learning_rate=2e-4, batch_size=8)


def learnable(lm: LanguageModel, file: Path, most: int) -> list[TokenSequence]:
    """Rows of a file with the columns text and answer."""
    with file.open(encoding="utf-8") as table:
        rows = [(row["text"], row["answer"]) for row in csv.DictReader(table)][:most]
    alone = np.zeros((len(rows), 1))
    return sequences(
        lm.prompts, Demonstrations([t for t, _ in rows], [a for _, a in rows], alone), 0, 0.0, 0
    )


def ours(lm: LanguageModel, rows: Sequence[TokenSequence]) -> tuple[list[float], float]:
    """The loss of each step, and processor time."""
    import torch

    torch.set_num_threads(1)
    began = time.process_time()
    losses = tune(lm, [rows], PLAN).losses
    return losses, time.process_time() - began


def theirs(
    lm: LanguageModel, rows: Sequence[TokenSequence], *, our_steps: bool
) -> tuple[list[float], float]:
    steps = tuning._steps([rows], PLAN)
    rates = [PLAN.learning_rate * tuning._share(at, len(steps)) for at in range(len(steps))]
    job: dict[str, Any] = {
        "model": str(lm.folder),
        "steps": [[(row.tokens, row.learnt) for row in step] for step in steps],
        "batch": PLAN.batch_size,
        "rates": rates if our_steps else None,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        asked = [str(PYTHON), str(HERE / "peers_tuning" / "trl_sft.py"), str(path)]
        said = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout
    told = json.loads(said.splitlines()[-1])
    return told["losses"], told["seconds"]


def measured(lm: LanguageModel, rows: Sequence[TokenSequence]) -> list[Row]:
    tokens = sum(len(row.tokens) for row in rows)
    losses, seconds = ours(lm, rows)
    _, default = theirs(lm, rows, our_steps=False)
    same, _ = theirs(lm, rows, our_steps=True)
    apart = np.abs(np.array(losses) - same) / np.array(same)
    told = f"{tokens / seconds:.0f} against {tokens / default:.0f} tokens a second of one core"
    return [
        Row("sft, tokens/s beside TRL at its defaults", default / seconds, "x", ">= 1.5", told),
        Row("sft, largest difference of a step's loss", float(apart.max()), "", "<= 0.02"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/calls_initial_train.csv"))
    parser.add_argument("--rows", type=int, default=192)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for needed, how in ((PYTHON, "make bench/.venv-tuning/installed"), (options.data, "--data FILE")):
        if not needed.exists():
            sys.exit(f"there is no {needed}: {how}")
    lm = load_language_model(NAME)
    rows = measured(lm, learnable(lm, options.data, options.rows))
    report("tuning", rows, options.json)
    sys.exit(any(row.holds is False for row in rows))


if __name__ == "__main__":
    main()
