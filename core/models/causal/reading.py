"""Rows of tokens through a network that is trained: what it thinks of the tokens that count."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core.models.causal.device import device
from core.models.causal.language_model import read_network
from core.models.causal.packing import TokenSequence
from core.progress import doing

log = logging.getLogger(__name__)
BATCH = 16  # sequences that are read at once
SHORT = (
    512  # tokens of one: up to there plain products are quicker than torch's attention for long ones
)
SAME = 1e-3  # of two ways to the same logits


@dataclass(frozen=True, eq=False)
class TokenLogits:
    """What a network says at the m learnt tokens of some sequences, in their order."""

    logits: Any  # (m, vocabulary) float32, before each token
    tokens: Any  # (m,) what stands there
    sequence: Any  # (m,) which sequence it is of

    @cached_property
    def losses(self) -> Any:
        """(m,) minus the log-probability of each token."""
        import torch

        return torch.nn.functional.cross_entropy(self.logits, self.tokens, reduction="none")

    def sums(self, count: int) -> Any:
        """(count,) the log-probability of the learnt tokens of each sequence."""
        return self.losses.new_zeros(count).index_add(0, self.sequence, -self.losses)


Read = Callable[[Sequence[TokenSequence]], TokenLogits]


def reader(network: Any) -> Read:
    """How the network reads a batch; the vocabulary is computed at learnt tokens only. Attention looks
    back only: padding behind a row needs no mask."""

    decoder, head, on = network.get_decoder(), network.get_output_embeddings(), device()
    whole = not _is_product(network, decoder, head)

    def read(rows: Sequence[TokenSequence]) -> TokenLogits:
        ids, targets = _padded(rows)
        asked = targets >= 0
        # what is asked is found here: a GPU that is asked for it would be waited for
        places, tokens, sequence = (
            each.to(on.name, non_blocking=True)
            for each in (asked.flatten().nonzero()[:, 0], targets[asked], asked.nonzero()[:, 0])
        )
        ids = ids.to(on.name, non_blocking=True)
        with on.products():
            if whole:
                logits = network(input_ids=ids, use_cache=False).logits.flatten(0, 1)[places]
            else:
                states = decoder(input_ids=ids, use_cache=False).last_hidden_state
                logits = head(states.flatten(0, 1)[places])
        return TokenLogits(logits.float(), tokens, sequence)

    return read


def network_for(folder: Path, longest: int) -> Any:
    """The network in a folder, in fp32, for sequences of so many tokens at most. Raises ModelError."""
    import torch

    network, on = read_network(folder, torch.float32), device()
    log.info("%s is trained in fp32 (%s)", folder, on.why)
    if on.name == "cpu" and longest <= SHORT:
        network.set_attn_implementation("eager")
    return network.to(on.name)


def log_probabilities(folder: Path, sequences: Sequence[TokenSequence]) -> list[float]:
    """Of the learnt tokens of each sequence together, under the model in a folder."""
    import torch

    read = reader(network_for(folder, max(len(each.tokens) for each in sequences)))
    order = np.argsort([len(each.tokens) for each in sequences], kind="stable")
    out = np.zeros(len(sequences))
    for at in range(0, len(order), BATCH):
        doing("reading the champion's answers", at, len(order), "answers")
        rows = order[at : at + BATCH]
        with torch.no_grad():
            out[rows] = read([sequences[i] for i in rows]).sums(len(rows)).cpu().numpy()
    return out.tolist()


def _is_product(network: Any, decoder: Any, head: Any) -> bool:
    """Whether the logits are the head's product with the last layer; some families scale them."""
    import torch

    ids = torch.arange(4, device=next(network.parameters()).device)[None]
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
