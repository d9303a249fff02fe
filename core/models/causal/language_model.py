"""A causal language model: prompts in, tokens and how sure it was of each out."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from core.models.causal import offline, probes
from core.models.causal.constraint import Constraint, vocabulary
from core.models.causal.decoding import Written, decode
from core.models.causal.device import device
from core.models.causal.pen import Pen
from core.models.causal.prompts import Prompts
from core.models.causal.surprise import surprise
from core.models.classifier.runtimes import packed
from core.models.files import (
    copy_files,
    digest,
    find,
    quiet_transformers,
    read_tokenizer,
    readable,
)
from core.progress import doing
from core.records.weights import ReferenceAnswer

ADAPTER = "adapter"  # in a model's folder: what was added to its base weights

log = logging.getLogger(__name__)


@dataclass(eq=False)
class LanguageModel:
    """Weights and tokenizer in a folder. Both are read at the first answer; the folder must last."""

    name: str  # as the Hub names it, or a folder
    folder: Path
    sha256: str  # of the weights
    _loading: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def prompts(self) -> Prompts:
        config = self._config
        context = getattr(config, "max_position_embeddings", None) or 2048
        return Prompts(read_tokenizer(self.folder), context, self.name)

    def write(
        self, prompts: Sequence[list[int]], most: int | Sequence[int], pens: Sequence[Pen | None] = ()
    ) -> list[Written]:
        """At most `most` tokens to each prompt. Any number of threads may ask at once."""
        mosts = [most] * len(prompts) if isinstance(most, int) else most
        room = [
            min(wanted, self.prompts.context - len(p)) for wanted, p in zip(mosts, prompts, strict=True)
        ]
        with self._loading:
            network, stops = self._network, self._stops
        return decode(network, prompts, room, stops, pens)

    @cached_property
    def probes(self) -> tuple[ReferenceAnswer, ...]:
        """As they lie beside the weights, or made now."""
        return probes.read(self.folder, self.sha256) or self._made_probes()

    def _made_probes(self) -> tuple[ReferenceAnswer, ...]:
        asked = probes.asked()
        pens = [Pen(one, self.prompts.text) for one, _ in asked]
        most = [one.how.max_tokens or 0 for one, _ in asked]
        self.write([self.prompts.prompt(one.input) for one, _ in asked], most, pens)
        for pen in pens:
            pen.close()
        return tuple(probes.probe(self.prompts.messages(one.input), heard) for one, heard in asked)

    def surprise(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> list[float]:
        """How unlikely each answer is after its prompt, see `surprise`."""
        with self._loading:
            network = self._network
        return surprise(network, prompts, answers, self.prompts.context)

    def constraint(self, schema: Mapping[str, Any]) -> Constraint:
        """What holds one answer to a JSON Schema. Raises InputError."""
        with self._loading:
            return Constraint(self._vocabulary, schema)

    def copy_files(self, to: Path) -> None:
        """Everything `load_language_model` needs, into the folder `to`."""
        copy_files(self.folder, to, self.sha256, "model")
        shutil.rmtree(to / ADAPTER, ignore_errors=True)
        if (self.folder / ADAPTER).is_dir():
            shutil.copytree(self.folder / ADAPTER, to / ADAPTER)

    @cached_property
    def _config(self) -> Any:
        transformers = quiet_transformers()
        with readable(self.folder):
            return transformers.AutoConfig.from_pretrained(self.folder, local_files_only=True)

    @cached_property
    def _stops(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's, and those its authors named beside it."""
        ends = self._network.generation_config.eos_token_id
        named = ends if isinstance(ends, list) else [ends]
        return frozenset({self.prompts.tokenizer.eos_token_id, *named} - {None})

    @cached_property
    def _vocabulary(self) -> Any:
        return vocabulary(self.prompts.tokenizer, self._stops)

    @cached_property
    def _network(self) -> Any:
        on = device()
        log.info("%s answers in %s (%s)", self.name, on.dtype, on.why)
        network = read_network(self.folder, on.dtype)
        return packed(network) if on.name == "cpu" else network.to(on.name)


def read_network(folder: Path, dtype: Any) -> Any:
    """The torch module in a folder, in this precision, dropout off. Raises ModelError."""
    transformers = quiet_transformers()
    with readable(folder):
        return transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype
        ).eval()


def load_language_model(name: str) -> LanguageModel:
    """The model `name`: a local folder, or as the Hub names it. Raises ModelError.

    A Hub name is looked for in the Hugging Face cache, then in the `offline-lm` extra, then on the Hub.
    The extra's weights were rounded to 4 bits, so they are not the Hub's; which ones it was is logged.
    """
    doing(f"loading the model {name}")
    folder, source = find(name, offline.EXTRA)
    sha256 = digest(folder)
    log.info("model %s from %s (%s)", name, source, folder)
    public = name if folder != Path(name).resolve() else str(folder)
    return LanguageModel(public, folder, sha256)
