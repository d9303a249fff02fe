"""Moves an encoder's weights: the trained head first, then every layer with a small learning rate.

A head that is already right pulls the encoder less far from what it knew than a random one would
(LP-FT: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution").
"""

from __future__ import annotations

import copy
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.models.classifier.encoder import Encoder, load_encoder
from core.models.classifier.head import Head
from core.models.classifier.runtimes import pooled


@dataclass(frozen=True)
class Tuning:
    """How far and how fast the weights may move; with a rank, adapters (LoRA) in their place."""

    epochs: int
    learning_rate: float
    batch_size: int
    rank: int | None = None
    seed: int = 0


def finetune(
    encoder: Encoder, head: Head, texts: Sequence[str], labels: Sequence[str], tuning: Tuning
) -> Encoder:
    """A new encoder, trained on `texts` under `head` (which must know every label).

    `encoder` and `head` are left as they were. The new weights lie in a temporary folder that goes
    when the encoder goes; `TextClassifier.save` takes them along. CPU, fp32, same seed same weights.
    """
    network = _network(encoder, head, tuning)
    rows = _rows(encoder, head, texts, labels)
    folder = Path(tempfile.mkdtemp(prefix="everloop-finetune-"))
    try:
        _train(network, rows, encoder, tuning, folder)
        (network.body.merge_and_unload() if tuning.rank else network.body).save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        tuned = load_encoder(str(folder), encoder.max_tokens, encoder.runtime)
    except BaseException:  # Ctrl-C too: nobody else knows of the folder
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(tuned, shutil.rmtree, folder, ignore_errors=True)
    return tuned


def _network(encoder: Encoder, head: Head, tuning: Tuning) -> Any:
    """The classifier as one torch module that gives the loss, every label weighing the same."""
    import torch

    body = copy.deepcopy(encoder.model)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = _adapted(body, tuning.rank, tuning.seed) if tuning.rank else body
            self.top = torch.nn.Linear(encoder.dim, len(head.labels))
            with torch.no_grad():
                self.top.weight.copy_(torch.from_numpy(head.weight))
                self.top.bias.copy_(torch.from_numpy(head.bias))

        def forward(self, input_ids: Any, attention_mask: Any, labels: Any, weight: Any) -> Any:
            scores = self.top(pooled(self.body, input_ids, attention_mask))
            losses = torch.nn.functional.cross_entropy(scores, labels, reduction="none")
            return {"loss": (losses * weight).mean()}

    return Network()


def _adapted(body: Any, rank: int, seed: int) -> Any:
    """With a low-rank adapter beside every linear layer (Hu et al. 2021), which alone is trained."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # PEFT asks transformers what that deprecates
        torch.manual_seed(seed)
        return get_peft_model(body, config)


def _rows(
    encoder: Encoder, head: Head, texts: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Token ids, label and weight n / (k * count) of every text."""
    ids = encoder.tokenizer(list(texts), truncation=True, max_length=encoder.max_tokens)["input_ids"]
    targets = np.searchsorted(head.labels, labels)
    counts = np.bincount(targets, minlength=len(head.labels))
    weights = len(texts) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return [
        {"input_ids": i, "labels": int(t), "weight": float(weights[t])}
        for i, t in zip(ids, targets, strict=True)
    ]


def _train(
    network: Any, rows: list[dict[str, Any]], encoder: Encoder, tuning: Tuning, folder: Path
) -> None:
    import torch

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        padded = encoder.tokenizer.pad(
            {"input_ids": [r["input_ids"] for r in batch]}, return_tensors="pt"
        )
        return {
            "input_ids": padded["input_ids"],
            "attention_mask": padded["attention_mask"],
            "labels": torch.tensor([r["labels"] for r in batch]),
            "weight": torch.tensor([r["weight"] for r in batch]),
        }

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # transformers and accelerate deprecate their own calls
        from transformers import PrinterCallback, Trainer, TrainingArguments

        arguments = TrainingArguments(
            output_dir=str(folder / "trainer"),
            num_train_epochs=tuning.epochs,
            learning_rate=tuning.learning_rate,
            per_device_train_batch_size=tuning.batch_size,
            seed=tuning.seed,
            data_seed=tuning.seed,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(model=network, args=arguments, train_dataset=rows, data_collator=collate)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
