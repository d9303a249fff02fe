"""TRL's DPOTrainer or KTOTrainer in fp32, all rows in each step, in a process of its own. One line of
JSON out: the loss of each step.

    python trl_opinions.py job.json
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

warnings.simplefilter("ignore")


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    config, trainer = (DPOConfig, DPOTrainer) if job["recipe"] == "dpo" else (KTOConfig, KTOTrainer)
    model, reference = (
        AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32) for _ in range(2)
    )
    rates = job["rates"]
    moved = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(moved, lambda at: rates[min(at, len(rates) - 1)])
    with tempfile.TemporaryDirectory() as folder:
        settings = config(
            output_dir=folder,
            num_train_epochs=len(rates),
            per_device_train_batch_size=len(job["rows"]),
            beta=job["beta"],
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            max_length=None,
            use_cpu=True,
            bf16=False,
            train_sampling_strategy="sequential",
        )
        run = trainer(
            model,
            ref_model=reference,
            args=settings,
            train_dataset=Dataset.from_list(job["rows"]),
            processing_class=AutoTokenizer.from_pretrained(job["model"]),
            optimizers=(moved, schedule),
        )
        run.train()
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    print(json.dumps({"losses": losses}), file=sys.__stdout__)


if __name__ == "__main__":
    main()
