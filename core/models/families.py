"""Which family a model is of. The one place that knows; there is one family."""

from __future__ import annotations

from pathlib import Path

from core.models.base import Model


def load(folder: Path) -> Model:
    """The model in a folder. Raises ModelError."""
    from core.models.classifier.model import TextClassifier

    return TextClassifier.load(folder)


def untrained(name: str, max_tokens: int, runtime: str) -> Model:
    """The base model of this name, which gives embeddings and no answers. Raises ModelError."""
    from core.models.classifier.encoder import load_encoder
    from core.models.classifier.model import TextClassifier

    return TextClassifier(load_encoder(name, max_tokens, runtime))


def labels_of(folder: Path) -> list[str]:
    """What the model in a folder may answer; its weights are not loaded. Raises ModelError."""
    from core.models.classifier.head import Head

    return Head.load(folder).labels


def packages_of(folder: Path) -> tuple[str, ...]:
    """What the model in a folder needs beside torch."""
    from core.models.classifier.model import packages

    return packages(folder)
