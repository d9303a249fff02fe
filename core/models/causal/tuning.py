"""Moves the weights of a causal language model, towards what an objective makes small.

Weights are fp32 and products bfloat16, where the processor has it. With weights in bfloat16 the steps
of AdamW are rounded away, and hardly anything is learnt. Three savings over transformers' Trainer:
batches of like length, the vocabulary only at learnt positions, attention as plain products.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.errors import ModelError
from core.models.causal.adapters import Adapted, adapted
from core.models.causal.checkpoints import Checkpoint, Curves
from core.models.causal.language_model import LanguageModel, load_language_model
from core.models.causal.objectives import Likelihood, Objective, TrainingRow
from core.models.causal.reading import network_for, reader
from core.models.files import copy_files
from core.progress import doing

R = TypeVar("R", bound=TrainingRow)
POOL = 16  # batches that share out rows of like length
WARM = 0.05  # of the steps, until the learning rate is reached
CLIP = 1.0  # the largest norm of a gradient


@dataclass(frozen=True)
class TuningPlan:
    """How fast the weights may move, and which: `layers` last ones alone, or a LoRA of `rank`. How
    strongly each step pulls them back to where they began is `anchor` (L2-SP: Li et al. 2018)."""

    learning_rate: float
    batch_size: int
    layers: int | None = None
    rank: int | None = None
    anchor: float = 0.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Tuned:
    lm: LanguageModel
    curves: Curves  # numbers of each step, by name

    @property
    def losses(self) -> list[float]:
        return self.curves["loss"]


def tune(
    lm: LanguageModel,
    passes: Sequence[Sequence[TrainingRow]],
    plan: TuningPlan,
    objective: Objective | None = None,
) -> Tuned:
    """A new model, trained on passes over the rows, to make their learnt tokens likelier unless another
    objective is given; `lm` is left as it was. Same seed, same weights.

    Where it was killed, the same call goes on from its last checkpoint. The new weights lie in a
    temporary folder that goes when the model goes; `CausalModel.save` takes them along.
    """
    folder = Path(tempfile.mkdtemp(prefix="everloop-tuning-"))
    try:
        curves = _train(lm, passes, plan, objective or Likelihood(), folder)
        tuned = load_language_model(str(folder))
    except BaseException:  # Ctrl-C too: nobody else knows of the folder
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(tuned, shutil.rmtree, folder, ignore_errors=True)
    return Tuned(tuned, curves)


def _train(
    lm: LanguageModel,
    passes: Sequence[Sequence[TrainingRow]],
    plan: TuningPlan,
    objective: Objective,
    folder: Path,
) -> Curves:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        learner = _learner(lm, plan, max(_length(row) for rows in passes for row in rows))
        read = reader(learner.network)
        optimizer = torch.optim.AdamW(
            learner.weights.values(), lr=plan.learning_rate, weight_decay=0.0, fused=True
        )
        steps = _steps(passes, plan)
        began = [p.detach().clone() for p in learner.weights.values()] if plan.anchor else []
        checkpoint = Checkpoint((lm.sha256, plan, objective, *passes), learner.weights, optimizer)
        curves = checkpoint.read()
        learner.network.train()
        for at in range(len(curves.get("loss", [])), len(steps)):
            doing("training", at, len(steps), "steps")
            optimizer.param_groups[0]["lr"] = plan.learning_rate * _share(at, len(steps))
            loss, told = objective.loss(read, steps[at])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learner.weights.values(), CLIP)
            optimizer.step()
            _pull(learner.weights.values(), began, plan.anchor * optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            for name, value in {"loss": loss.detach(), **told}.items():
                curves.setdefault(name, []).append(value)  # read later: a GPU would be waited for
            checkpoint.written(curves)
        learner.save(lm, folder)
        checkpoint.remove()
    return {name: [float(value) for value in values] for name, values in curves.items()}


@dataclass(frozen=True, eq=False)
class _Learner:
    """A network in fp32, and those of its weights that are trained."""

    network: Any
    adapted: Adapted | None = None
    weights: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        moved = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        object.__setattr__(self, "weights", moved)

    def save(self, lm: LanguageModel, folder: Path) -> None:
        """As `load_language_model` reads it, in bfloat16, half the size: answers are computed in it."""
        import torch

        copy_files(lm.folder, folder, lm.sha256, "model")
        if self.adapted:
            self.adapted.save(folder)
        network = self.adapted.merged() if self.adapted else self.network
        network.to(torch.bfloat16).save_pretrained(folder)


def _learner(lm: LanguageModel, plan: TuningPlan, longest: int) -> _Learner:
    if plan.rank is not None:
        lora = adapted(lm, plan.rank, longest)
        return _Learner(lora.network, lora)
    network = network_for(lm.folder, longest)
    if plan.layers is not None:
        network.requires_grad_(False)
        for block in _blocks(network)[-plan.layers :]:
            block.requires_grad_(True)
    return _Learner(network)


def _blocks(network: Any) -> Any:
    """The layers of the decoder, first to last."""
    from torch.nn import ModuleList

    count = network.config.get_text_config().num_hidden_layers
    for module in network.modules():
        if isinstance(module, ModuleList) and len(module) == count:
            return module
    raise ModelError("the layers of this model are not found", got=type(network).__name__)


def _steps(passes: Sequence[Sequence[R]], plan: TuningPlan) -> list[list[R]]:
    """What each step reads. A pass is shuffled, and in pools of some batches sorted by length."""
    random = np.random.default_rng(plan.seed)
    size, steps = plan.batch_size, []
    for rows in passes:
        order = [rows[i] for i in random.permutation(len(rows))]
        batches = []
        for start in range(0, len(order), size * POOL):
            pool = sorted(order[start : start + size * POOL], key=_length)
            batches += [pool[at : at + size] for at in range(0, len(pool), size)]
        steps += [batches[i] for i in random.permutation(len(batches))]
    return steps


def _pull(weights: Iterable[Any], began: Sequence[Any], share: float) -> None:
    """Apart from the gradient, as AdamW's decay is (Loshchilov & Hutter 2019)."""
    import torch

    with torch.no_grad():
        for weight, start in zip(weights, began, strict=False):
            weight.lerp_(start, share)


def _length(row: TrainingRow) -> int:
    return max(len(each.tokens) for each in row.sequences)


def _share(step: int, steps: int) -> float:
    """Of the learning rate: up from zero, then down to it."""
    warm = max(1, round(WARM * steps))
    return min((step + 1) / warm, 1.0) * (1 - step / steps)
