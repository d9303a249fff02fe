"""Moves the weights of a causal language model: it learns to write the marked tokens of each row.

Weights are fp32 and products bfloat16, where the processor has it. With weights in bfloat16 the steps
of AdamW are rounded away, and hardly anything is learnt. Three savings over transformers' Trainer:
batches of like length, the vocabulary only at learnt positions, attention as plain products.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ModelError
from core.models.causal.checkpoints import Checkpoint
from core.models.causal.language_model import (
    LanguageModel,
    has_halves,
    load_language_model,
    read_network,
)
from core.models.causal.packing import TokenSequence
from core.progress import doing

POOL = 16  # batches that share out rows of like length
WARM = 0.05  # of the steps, until the learning rate is reached
CLIP = 1.0  # the largest norm of a gradient
SAME = 1e-3  # of two ways to the same logits
SHORT = (
    512  # tokens of a row: up to there plain products are quicker than torch's attention for long ones
)


@dataclass(frozen=True)
class TuningPlan:
    """How fast the weights may move, and which: `layers` last ones alone, or a LoRA of `rank`."""

    learning_rate: float
    batch_size: int
    layers: int | None = None
    rank: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Tuned:
    lm: LanguageModel
    losses: list[float]  # of each step: the mean of its learnt tokens


def tune(lm: LanguageModel, passes: Sequence[Sequence[TokenSequence]], plan: TuningPlan) -> Tuned:
    """A new model, trained on passes over the rows; `lm` is left as it was. Same seed, same weights.

    Where it was killed, the same call goes on from its last checkpoint. The new weights lie in a
    temporary folder that goes when the model goes; `CausalModel.save` takes them along.
    """
    folder = Path(tempfile.mkdtemp(prefix="everloop-sft-"))
    try:
        losses = _train(lm, passes, plan, folder)
        tuned = load_language_model(str(folder))
    except BaseException:  # Ctrl-C too: nobody else knows of the folder
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(tuned, shutil.rmtree, folder, ignore_errors=True)
    return Tuned(tuned, losses)


def _train(
    lm: LanguageModel, passes: Sequence[Sequence[TokenSequence]], plan: TuningPlan, folder: Path
) -> list[float]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = read_network(lm.folder, torch.float32)
        if max(len(row.tokens) for rows in passes for row in rows) <= SHORT:
            network.set_attn_implementation("eager")
        moved = _trainable(network, plan)
        loss_of = _loss_of(network)
        optimizer = torch.optim.AdamW(
            moved.values(), lr=plan.learning_rate, weight_decay=0.0, fused=True
        )
        steps = _steps(passes, plan)
        checkpoint = Checkpoint((lm.sha256, plan, *passes), moved, optimizer)
        losses = checkpoint.read()
        network.train()
        for at in range(len(losses), len(steps)):
            doing("training", at, len(steps), "steps")
            optimizer.param_groups[0]["lr"] = plan.learning_rate * _share(at, len(steps))
            loss = loss_of(steps[at])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(moved.values(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
            checkpoint.written(losses)
        _save(network, lm, folder)
        checkpoint.remove()
    return losses


def _trainable(network: Any, plan: TuningPlan) -> dict[str, Any]:
    """The weights that are trained, by name."""
    network.requires_grad_(plan.rank is None and plan.layers is None)
    if plan.rank is not None:
        _add_adapters(network, plan.rank)
    elif plan.layers is not None:
        for block in _blocks(network)[-plan.layers :]:
            block.requires_grad_(True)
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def _add_adapters(network: Any, rank: int) -> None:
    """LoRA (Hu et al. 2021) beside every linear layer of every block."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    inject_adapter_in_model(config, network)


def _blocks(network: Any) -> Any:
    """The layers of the decoder, first to last."""
    from torch.nn import ModuleList

    count = network.config.get_text_config().num_hidden_layers
    for module in network.modules():
        if isinstance(module, ModuleList) and len(module) == count:
            return module
    raise ModelError("the layers of this model are not found", got=type(network).__name__)


def _steps(passes: Sequence[Sequence[TokenSequence]], plan: TuningPlan) -> list[list[TokenSequence]]:
    """What each step reads. A pass is shuffled, and in pools of some batches sorted by length."""
    random = np.random.default_rng(plan.seed)
    size, steps = plan.batch_size, []
    for rows in passes:
        order = [rows[i] for i in random.permutation(len(rows))]
        batches = []
        for start in range(0, len(order), size * POOL):
            pool = sorted(order[start : start + size * POOL], key=lambda row: len(row.tokens))
            batches += [pool[at : at + size] for at in range(0, len(pool), size)]
        steps += [batches[i] for i in random.permutation(len(batches))]
    return steps


def _share(step: int, steps: int) -> float:
    """Of the learning rate: up from zero, then down to it."""
    warm = max(1, round(WARM * steps))
    return min((step + 1) / warm, 1.0) * (1 - step / steps)


def _loss_of(network: Any) -> Callable[[Sequence[TokenSequence]], Any]:
    """The mean loss of the learnt tokens of a batch. Attention looks back only: padding behind a row
    needs no mask."""
    import torch

    decoder, head = network.get_decoder(), network.get_output_embeddings()
    halves: AbstractContextManager[Any] = (
        torch.autocast("cpu", torch.bfloat16) if has_halves() else nullcontext()
    )
    whole = not _is_product(network, decoder, head)

    def loss(rows: Sequence[TokenSequence]) -> Any:
        ids, targets = _padded(rows)
        asked = targets >= 0
        with halves:
            if whole:
                logits = network(input_ids=ids, use_cache=False).logits[asked]
            else:
                logits = head(decoder(input_ids=ids, use_cache=False).last_hidden_state[asked])
        return torch.nn.functional.cross_entropy(logits.float(), targets[asked])

    return loss


def _is_product(network: Any, decoder: Any, head: Any) -> bool:
    """Whether the logits are the head's product with the last layer; some families scale them."""
    import torch

    ids = torch.arange(4)[None]
    with torch.no_grad():
        logits = network(input_ids=ids, use_cache=False).logits
        product = head(decoder(input_ids=ids, use_cache=False).last_hidden_state)
    return torch.allclose(logits, product, atol=SAME)


def _padded(rows: Sequence[TokenSequence]) -> tuple[Any, Any]:
    """(n, tokens) ids, and after each position the token to learn there, -1 where there is none."""
    import torch

    width = max(len(row.tokens) for row in rows)
    ids, targets = torch.zeros(len(rows), width, dtype=torch.long), torch.full((len(rows), width), -1)
    for at, row in enumerate(rows):
        tokens = torch.tensor(row.tokens)
        ids[at, : len(tokens)] = tokens
        targets[at, : len(tokens) - 1] = torch.where(torch.tensor(row.learnt[1:]), tokens[1:], -1)
    return ids, targets


def _save(network: Any, lm: LanguageModel, folder: Path) -> None:
    """As `load_language_model` reads it, in bfloat16, half the size: answers are computed in it."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(network.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            network.set_submodule(name, module.get_base_layer())
    lm.copy_files(folder)
    network.to(torch.bfloat16).save_pretrained(folder)
