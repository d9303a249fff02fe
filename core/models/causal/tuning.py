"""Moves the weights of a causal language model: it learns to write the marked tokens of each row.

Weights are fp32 and products bfloat16, where the processor has it. With weights in bfloat16 the steps
of AdamW are rounded away, and hardly anything is learnt. Three savings over transformers' Trainer:
batches of like length, the vocabulary only at learnt positions, no gradient of the embeddings.
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
from core.models.causal.prompts import Row
from core.models.causal.writer import Writer, has_halves, load_writer, read_network
from core.progress import doing

POOL = 16  # batches that share out rows of like length
WARM = 0.05  # of the steps, until the learning rate is reached
CLIP = 1.0  # the largest norm of a gradient
SAME = 1e-3  # of two ways to the same logits


@dataclass(frozen=True)
class Tuning:
    """How far and how fast the weights may move; `layers` last ones alone, or a LoRA of `rank`."""

    epochs: int
    learning_rate: float
    batch_size: int
    layers: int | None = None
    rank: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Tuned:
    writer: Writer
    losses: list[float]  # of each step: the mean of its learnt tokens


def tune(writer: Writer, rows: Sequence[Row], tuning: Tuning) -> Tuned:
    """A new model, trained on `rows`; `writer` is left as it was. Same seed, same weights.

    Where it was killed, the same call goes on from its last checkpoint. The new weights lie in a
    temporary folder that goes when the writer goes; `CausalModel.save` takes them along.
    """
    folder = Path(tempfile.mkdtemp(prefix="everloop-sft-"))
    try:
        losses = _train(writer, rows, tuning, folder)
        tuned = load_writer(str(folder))
    except BaseException:  # Ctrl-C too: nobody else knows of the folder
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(tuned, shutil.rmtree, folder, ignore_errors=True)
    return Tuned(tuned, losses)


def _train(writer: Writer, rows: Sequence[Row], tuning: Tuning, folder: Path) -> list[float]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(tuning.seed)
        network = read_network(writer.folder, torch.float32)
        moved = _moved(network, tuning)
        loss_of = _loss_of(network)
        optimizer = torch.optim.AdamW(
            moved.values(), lr=tuning.learning_rate, weight_decay=0.0, fused=True
        )
        steps = _steps([len(row.tokens) for row in rows], tuning)
        checkpoint = Checkpoint((writer.sha256, tuning, rows), moved, optimizer)
        losses = checkpoint.read()
        network.train()
        for at in range(len(losses), len(steps)):
            doing("training", at, len(steps), "steps")
            optimizer.param_groups[0]["lr"] = tuning.learning_rate * _share(at, len(steps))
            loss = loss_of([rows[i] for i in steps[at]])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(moved.values(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
            checkpoint.written(losses)
        _save(network, writer, folder)
        checkpoint.remove()
    return losses


def _moved(network: Any, tuning: Tuning) -> dict[str, Any]:
    """The weights that are trained, by name. Embeddings stay: on a small model they are a fifth of the
    weights, and most of their rows are of tokens that no row has."""
    network.requires_grad_(False)
    if tuning.rank is not None:
        _add_adapters(network, tuning.rank)
    else:
        blocks = _blocks(network)
        for block in blocks[-(tuning.layers or len(blocks)) :]:
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


def _steps(lengths: Sequence[int], tuning: Tuning) -> list[list[int]]:
    """The rows of each step. Rows are shuffled, and in pools of some batches sorted by length."""
    random = np.random.default_rng(tuning.seed)
    size, steps = tuning.batch_size, []
    for _ in range(tuning.epochs):
        order = random.permutation(len(lengths)).tolist()
        batches = []
        for start in range(0, len(order), size * POOL):
            pool = sorted(order[start : start + size * POOL], key=lengths.__getitem__)
            batches += [pool[at : at + size] for at in range(0, len(pool), size)]
        steps += [batches[i] for i in random.permutation(len(batches))]
    return steps


def _share(step: int, steps: int) -> float:
    """Of the learning rate: up from zero, then down to it."""
    warm = max(1, round(WARM * steps))
    return min((step + 1) / warm, 1.0) * (1 - step / steps)


def _loss_of(network: Any) -> Callable[[Sequence[Row]], Any]:
    """The mean loss of the learnt tokens of a batch. Attention looks back only: padding behind a row
    needs no mask."""
    import torch

    decoder, head = network.get_decoder(), network.get_output_embeddings()
    halves: AbstractContextManager[Any] = (
        torch.autocast("cpu", torch.bfloat16) if has_halves() else nullcontext()
    )
    whole = not _is_product(network, decoder, head)

    def loss(rows: Sequence[Row]) -> Any:
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


def _padded(rows: Sequence[Row]) -> tuple[Any, Any]:
    """(n, tokens) ids, and after each position the token to learn there, -1 where there is none."""
    import torch

    width = max(len(row.tokens) for row in rows)
    ids, targets = torch.zeros(len(rows), width, dtype=torch.long), torch.full((len(rows), width), -1)
    for at, row in enumerate(rows):
        tokens = torch.tensor(row.tokens)
        ids[at, : len(tokens)] = tokens
        targets[at, : len(tokens) - 1] = torch.where(torch.tensor(row.learnt[1:]), tokens[1:], -1)
    return ids, targets


def _save(network: Any, writer: Writer, folder: Path) -> None:
    """As `load_writer` reads it, in bfloat16: half the size, and what answers are computed in."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(network.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            network.set_submodule(name, module.get_base_layer())
    writer.copy_files(folder)
    network.to(torch.bfloat16).save_pretrained(folder)
