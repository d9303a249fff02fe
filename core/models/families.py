"""Which family a model is of. The one place that knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.models.base import Model

if TYPE_CHECKING:
    from core.models.causal.model import RemoteEngine
    from core.records.weights import Weights


def load(folder: Path) -> Model:
    """The model in a folder. Raises ModelError."""
    if _writes(folder):
        from core.models.causal.model import CausalModel

        return CausalModel.load(folder)
    from core.models.classifier.model import TextClassifier

    return TextClassifier.load(folder)


def untrained(name: str, max_tokens: int, runtime: str) -> Model:
    """The base model of this name, which gives embeddings and no answers. Raises ModelError."""
    from core.models.classifier.encoder import load_encoder
    from core.models.classifier.model import TextClassifier

    return TextClassifier(load_encoder(name, max_tokens, runtime))


def untrained_writer(name: str, encoder: str, max_tokens: int, runtime: str) -> Model:
    """The causal language model of this name, its requests embedded by `encoder`. Raises ModelError."""
    from core.models.causal.model import base
    from core.models.classifier.encoder import load_encoder

    return base(name, load_encoder(encoder, max_tokens, runtime))


def held(model: Model, schema: Mapping[str, Any] | None) -> Model:
    """The same model, its answers held to a JSON Schema. One that does not write stays as it is."""
    from core.models.causal.model import CausalModel

    return replace(model, schema=schema) if isinstance(model, CausalModel) else model


def written_elsewhere(model: Model, engine: Callable[[Weights], RemoteEngine]) -> Model:
    """The same model, its answers written by the `engine` that has these weights. One that does not
    write stays as it is."""
    from core.models.causal.model import CausalModel

    return replace(model, engine=engine(model.deployable)) if isinstance(model, CausalModel) else model


def labels_of(folder: Path) -> list[str]:
    """What the model in a folder may answer; its weights are not loaded. None where it writes its
    answers itself. Raises ModelError."""
    if _writes(folder):
        return []
    from core.models.classifier.head import Head

    return Head.load(folder).labels


def packages_of(folder: Path) -> tuple[str, ...]:
    """What the model in a folder needs beside torch."""
    if _writes(folder):
        return ()
    from core.models.classifier.model import packages

    return packages(folder)


def _writes(folder: Path) -> bool:
    from core.models.causal.model import CONFIG

    return (folder / CONFIG).is_file()
