"""How likely a text is that a model did not write: what it reads is compared with what it expected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from core.models.classifier.runtimes import one_thread


def surprise(
    network: Any, prompts: Sequence[list[int]], answers: Sequence[list[int]], context: int
) -> list[float]:
    """Of each answer the mean negative log-probability of its tokens, in nats; NaN where it does not
    fit into the context. One row at a time: they are few, and rows of one length need no padding."""
    import torch

    found, on = [], next(network.parameters()).device
    with torch.inference_mode(), one_thread():
        for prompt, answer in zip(prompts, answers, strict=True):
            if len(prompt) + len(answer) > context:
                found.append(math.nan)
                continue
            ids = torch.tensor([prompt + answer], device=on)
            read = network(input_ids=ids, use_cache=False, logits_to_keep=len(answer) + 1)
            expected = read.logits[0, :-1].float()
            loss = torch.nn.functional.cross_entropy(expected, ids[0, -len(answer) :])
            found.append(float(loss))
    return found
