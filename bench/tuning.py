"""Fine-tuning of a causal language model beside TRL's SFTTrainer: tokens a second, loss of each step.

    make bench-tuning            or: python -m bench.tuning --rows 96

sft: both learn the same rows (requests and the function calls they mean) on one thread, and processor
time is compared: it moves less than the clock when the machine is shared. Ours counts reading and
saving the model too. TRL runs at its defaults for speed, and once more over our steps and rates for
the losses.

dpo and kto: the losses of a small random model in fp32, over the same steps.
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
from unittest.mock import patch

import numpy as np

from bench.form import Row, report
from core.models.causal import reading, tuning
from core.models.causal.device import Device
from core.models.causal.language_model import LanguageModel, load_language_model
from core.models.causal.offline import NAME
from core.models.causal.packing import Demonstrations, TokenSequence, sequences
from core.models.causal.preferences import Preference, PreferenceRow, RatedAnswers, RatedRow
from core.models.causal.tuning import TuningPlan, tune

HERE = Path(__file__).parent
PYTHON = HERE / ".venv-tuning" / "bin" / "python"
PLAN = TuningPlan(learning_rate=2e-4, batch_size=8)
OPINIONS = TuningPlan(learning_rate=1e-3, batch_size=8)
BETA, STEPS = 0.1, 5


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
    told = trl("trl_sft.py", job)
    return told["losses"], told["seconds"]


def trl(script: str, job: dict[str, Any]) -> dict[str, Any]:
    """What a script in TRL's own environment says of a job."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        asked = [str(PYTHON), str(HERE / "peers_tuning" / script), str(path)]
        said = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    return told


def small(lm: LanguageModel, folder: Path) -> LanguageModel:
    """Two narrow random layers under the same tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    lm.copy_files(folder)
    narrow = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 16}
    config = AutoConfig.from_pretrained(lm.folder, **narrow, **heads)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).to(torch.float32).save_pretrained(folder)
    return load_language_model(str(folder))


def opinions(lm: LanguageModel, file: Path, recipe: str) -> Row:
    """The losses of dpo or kto beside TRL's: the right answer, and that to the row before it."""
    prompts = lm.prompts
    with file.open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))[: OPINIONS.batch_size]
    asked = [prompts._rendered(prompts.messages(row["text"])) for row in rows]
    right = [row["answer"] for row in rows]
    wrong = [*right[-1:], *right[:-1]]
    good = [at % 3 > 0 for at in range(len(rows))]

    def sequence(prompt: str, answer: str) -> TokenSequence:
        begun, said = prompts._tokens(prompt), prompts.answer(answer)
        return TokenSequence(begun + said, [False] * len(begun) + [True] * len(said))

    both = [
        (sequence(p, one), sequence(p, two)) for p, one, two in zip(asked, right, wrong, strict=True)
    ]
    flat = reading.log_probabilities(lm.folder, [each for pair in both for each in pair])
    before = list(zip(flat[::2], flat[1::2], strict=True))
    if recipe == "dpo":
        ours: Any = [PreferenceRow(*pair, known) for pair, known in zip(both, before, strict=True)]
        objective: Any = Preference(BETA)
        given: Any = [
            {"prompt": p, "chosen": one, "rejected": two}
            for p, one, two in zip(asked, right, wrong, strict=True)
        ]
    else:
        ours = [RatedRow(*p, liked, known) for p, liked, known in zip(both, good, before, strict=True)]
        objective = RatedAnswers(BETA)
        given = [
            {"prompt": p, "completion": one, "label": liked}
            for p, one, liked in zip(asked, right, good, strict=True)
        ]
    losses = tune(lm, [ours] * STEPS, OPINIONS, objective).losses
    rates = [OPINIONS.learning_rate * tuning._share(at, STEPS) for at in range(STEPS)]
    job = {"model": str(lm.folder), "recipe": recipe, "rows": given, "beta": BETA, "rates": rates}
    theirs = np.array(trl("trl_opinions.py", job)["losses"])
    told = f"{losses[0]:.4f} to {losses[-1]:.4f}, TRL {theirs[0]:.4f} to {theirs[-1]:.4f}"
    apart = float(np.abs(np.array(losses) - theirs).max())
    return Row(f"{recipe}, largest difference of a step's loss", apart, "", "<= 0.0001", told)


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
    parser.add_argument("--rows", type=int, default=192, help="of sft; 0: leave it out")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for needed, how in ((PYTHON, "make bench/.venv-tuning/installed"), (options.data, "--data FILE")):
        if not needed.exists():
            sys.exit(f"there is no {needed}: {how}")
    lm = load_language_model(NAME)
    rows = measured(lm, learnable(lm, options.data, options.rows)) if options.rows else []
    with tempfile.TemporaryDirectory() as folder:
        tiny = small(lm, Path(folder))
        with patch.object(reading, "device", lambda: Device("cpu", halves=False, why="as TRL there")):
            rows += [opinions(tiny, options.data, recipe) for recipe in ("dpo", "kto")]
    report("tuning", rows, options.json)
    sys.exit(any(row.holds is False for row in rows))


if __name__ == "__main__":
    main()
