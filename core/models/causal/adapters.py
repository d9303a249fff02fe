"""Low-rank adapters (LoRA: Hu et al. 2021), as PEFT has them, kept beside the weights they are part of.

    generator/model.safetensors      base weights and adapter together: any engine reads them
    generator/adapter/               the adapter alone, for an engine that holds the base weights
        adapter_config.json, adapter_model.safetensors    as PEFT and vLLM read them
        base.json                    {"name", "sha256"} of the base weights

The next training goes on with the same adapter, so its base weights stay those that an engine holds.
"""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelError
from core.files import write_whole
from core.models.causal.language_model import ADAPTER, LanguageModel, load_language_model
from core.models.causal.reading import network_for

BASE = "base.json"
CONFIG = "adapter_config.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdapterBase:
    """The weights that an adapter is added to."""

    name: str  # as the Hub names them, or a folder
    sha256: str


@dataclass(frozen=True, eq=False)
class Adapted:
    """A network in fp32 with an adapter, whose weights alone are trained."""

    peft: Any
    base: AdapterBase

    @property
    def network(self) -> Any:
        """As it was before PEFT, with the adapter inside."""
        return self.peft.get_base_model()

    def save(self, folder: Path) -> None:
        """The adapter into `folder`/adapter."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PEFT, that the base is not on the Hub
            self.peft.save_pretrained(folder / ADAPTER, save_embedding_layers=False)
        write_whole(folder / ADAPTER / BASE, json.dumps(asdict(self.base), indent=1) + "\n")

    def merged(self) -> Any:
        """The network, the adapter in its weights."""
        return self.peft.merge_and_unload()


def adapted(lm: LanguageModel, rank: int, longest: int) -> Adapted:
    """The adapter that a model has, over its base weights, where it is of this rank. Else a new one
    over the model's own weights. `longest` is how many tokens a sequence has at most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT asks transformers what that deprecates
        base = _base(lm, rank)
        if base:
            return _continued(lm, base, network_for(base.folder, longest))
        return _new(lm, rank, network_for(lm.folder, longest))


def _continued(lm: LanguageModel, base: LanguageModel, network: Any) -> Adapted:
    from peft import PeftModel

    peft = PeftModel.from_pretrained(network, lm.folder / ADAPTER, is_trainable=True)
    return Adapted(peft, AdapterBase(base.name, base.sha256))


def _new(lm: LanguageModel, rank: int, network: Any) -> Adapted:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        base_model_name_or_path=lm.name,
    )
    return Adapted(get_peft_model(network, config), AdapterBase(lm.name, lm.sha256))


def base_of(folder: Path) -> AdapterBase | None:
    """What the adapter in a model's folder is added to, None where there is none. Raises ModelError."""
    file = folder / ADAPTER / BASE
    try:
        return AdapterBase(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as fault:
        raise ModelError(
            "the adapter of this model does not say what it is added to",
            where=str(file),
            got=str(fault),
        ) from None


def _base(lm: LanguageModel, rank: int) -> LanguageModel | None:
    """The base weights, where the adapter can be trained further."""
    base = base_of(lm.folder)
    if base is None:
        return None
    held = json.loads((lm.folder / ADAPTER / CONFIG).read_text(encoding="utf-8"))["r"]
    if held != rank:
        log.warning("a new adapter of rank %d, as the champion's is of rank %d", rank, held)
        return None
    try:
        found = load_language_model(base.name)
    except ModelError as fault:
        log.warning("a new adapter, as the base weights of the champion's are gone: %s", fault)
        return None
    if found.sha256 != base.sha256:
        log.warning("a new adapter, as %s holds other weights than the champion's adapter", base.name)
        return None
    return found
