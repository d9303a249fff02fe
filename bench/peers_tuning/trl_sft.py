"""TRL's SFTTrainer on rows that are tokens already, in a process of its own. One line of JSON out.

    python trl_sft.py job.json

The job names a model's folder and the steps, each a list of rows (tokens, and which are learnt).
Without `rates` the trainer is at its defaults: it shuffles the rows and chooses each step's learning
rate. With them it reads the steps as they stand.
"""

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

warnings.simplefilter("ignore")


class Clock(TrainerCallback):
    """Processor time from the first step's beginning to the last one's end."""

    def __init__(self):
        self.began = self.ended = 0.0

    def on_step_begin(self, *_, **__):
        self.began = self.began or time.process_time()

    def on_step_end(self, *_, **__):
        self.ended = time.process_time()


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    rows = [row for step in job["steps"] for row in step]
    data = Dataset.from_dict(
        {
            "input_ids": [tokens for tokens, _ in rows],
            "completion_mask": [[int(x) for x in learnt] for _, learnt in rows],
        }
    )
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    rates, given, optimizers = job["rates"], {}, (None, None)
    if rates:
        given = {"train_sampling_strategy": "sequential"}
        moved = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(moved, lambda at: rates[min(at, len(rates) - 1)])
        optimizers = (moved, schedule)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=job["batch"],
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            max_length=None,
            use_cpu=True,
            completion_only_loss=True,  # not by itself where rows are tokens already
            **given,
        )
        tokenizer = AutoTokenizer.from_pretrained(job["model"])
        trainer = SFTTrainer(
            model,
            settings,
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[clock],
            optimizers=optimizers,
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print(json.dumps({"losses": losses, "seconds": clock.ended - clock.began}), file=sys.__stdout__)


if __name__ == "__main__":
    main()
