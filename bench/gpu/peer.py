"""The same rows by TRL's SFTTrainer, or by transformers' Trainer where TRL is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import math
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.models.causal.device import Device
from core.models.causal.packing import TokenSequence

WARM = 3  # steps
BATCH = 8  # rows a step, the default of both


def peer(folder: Path, rows: Sequence[TokenSequence], on: Device) -> dict[str, Any]:
    """Its name, and tokens a second between its first steps and its last one."""
    warnings.simplefilter("ignore")
    trl = importlib.util.find_spec("trl") is not None and importlib.util.find_spec("datasets")
    with tempfile.TemporaryDirectory() as out:
        trainer = (_trl if trl else _plain)(folder, rows, on, out)
        clock = _clock(math.ceil(len(rows) / BATCH) - 1)
        trainer.add_callback(clock)
        trainer.train()
    tokens = sum(len(row.tokens) for row in rows) * (len(clock.starts) - 1 - WARM) / len(clock.starts)
    name = "TRL's SFTTrainer" if trl else "transformers' Trainer with TRL's defaults"
    return {"name": name, "tokens_per_second": tokens / (clock.starts[-1] - clock.starts[WARM])}


def _clock(last: int) -> Any:
    import torch
    from transformers import TrainerCallback

    class Starts(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        """When each step began."""

        def __init__(self) -> None:
            self.starts: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if len(self.starts) in (WARM, last) and torch.cuda.is_available():
                torch.cuda.synchronize()
            self.starts.append(time.perf_counter())

    return Starts()


def _network(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def _plain(folder: Path, rows: Sequence[TokenSequence], on: Device, out: str) -> Any:
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    data = [
        {
            "input_ids": row.tokens,
            "labels": [t if said else -100 for t, said in zip(row.tokens, row.learnt, strict=True)],
            "attention_mask": [1] * len(row.tokens),
        }
        for row in rows
    ]
    how = TrainingArguments(
        out,
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        bf16=on.halves,
        gradient_checkpointing=True,
        use_cpu=on.name == "cpu",
        logging_steps=10,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    collate = DataCollatorForSeq2Seq(tokenizer)
    return Trainer(_network(folder), how, train_dataset=data, data_collator=collate)


def _trl(folder: Path, rows: Sequence[TokenSequence], on: Device, out: str) -> Any:
    from transformers import AutoTokenizer

    datasets, trl = (importlib.import_module(name) for name in ("datasets", "trl"))
    data = datasets.Dataset.from_dict(
        {
            "input_ids": [row.tokens for row in rows],
            "completion_mask": [[int(x) for x in row.learnt] for row in rows],
        }
    )
    how = trl.SFTConfig(
        output_dir=out,
        num_train_epochs=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        max_length=None,
        use_cpu=on.name == "cpu",
        completion_only_loss=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return trl.SFTTrainer(_network(folder), how, train_dataset=data, processing_class=tokenizer)
