"""A text classifier: an encoder and a head that belong together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from core.arrays import Array
from core.errors import ModelError
from core.files import write_whole
from core.label_set import LabelSet
from core.models.base import Answer
from core.models.classifier.encoder import Encoder, keep, kept, load_encoder
from core.models.classifier.head import Head
from core.models.classifier.migrated import Migrated, answering, learning
from core.models.classifier.runtimes import PACKAGES
from core.records.answers import ClassificationDetail

CONFIG = "encoder.json"
FOLDER = "encoder"  # weights that were fine-tuned here and have no name elsewhere


@dataclass(frozen=True, eq=False)
class TextClassifier:
    """`head` is None only before the first training, `names` where it answers as it learnt."""

    encoder: Encoder
    head: Head | None = None
    names: LabelSet | None = None

    @property
    def identity(self) -> str:
        """Of its encoder."""
        return self.encoder.identity

    @property
    def labels(self) -> list[str]:
        """In the order of its probabilities. Raises ModelError without a head."""
        return self._answering.labels

    def embed(self, texts: Sequence[str]) -> Array:
        """(n, dim) float16. Reads each text once."""
        return self.encoder.encode(texts)

    def unknown(self, texts: Sequence[str]) -> Array:
        """(n,) share of each text's tokens that the vocabulary lacks; NaN for one without any."""
        return self.encoder.tokens.unknown(texts)

    def probabilities(self, embeddings: Array) -> Array:
        """(n, dim) of any float -> (n, n_labels) float32, each row of sum 1."""
        return self._answering.probabilities(embeddings)

    def answer(self, inputs: Sequence[str], embeddings: Array | None = None) -> list[Answer]:
        """The likeliest label of each text. Raises ModelError without a head."""
        labels = self.labels
        read = self.embed(inputs) if embeddings is None else embeddings
        shares = self.probabilities(read)
        halves = shares.astype(np.float16)
        return [
            Answer(labels[k], float(shares[i, k]), ClassificationDetail(halves[i]), read[i])
            for i, k in enumerate(shares.argmax(axis=1))
        ]

    def under(self, labels: LabelSet) -> TextClassifier:
        """The same model, answering in these labels."""
        return self if labels == self.names else replace(self, names=labels)

    def start(self, labels: LabelSet, runtime: str) -> TextClassifier:
        """As the next one starts from it: on a runtime, without labels that are gone."""
        head = None if self.head is None else learning(self.head, labels)
        return replace(self, head=head).on(runtime)

    @cached_property
    def _answering(self) -> Head | Migrated:
        return self.trained if self.names is None else answering(self.trained, self.names)

    def save(self, folder: Path) -> None:
        """encoder.json, the head, and the encoder itself where it has no public name.

        encoder.json is written last: a folder with it is whole.
        """
        head, encoder = self.trained, self.encoder
        head.save(folder)
        if encoder.local:
            encoder.copy_files(folder / FOLDER)
        about = {
            "name": "" if encoder.local else encoder.name,
            "identity": encoder.identity,
            "max_tokens": encoder.max_tokens,
            "sha256": encoder.sha256,
            "runtime": encoder.runtime,
        }
        write_whole(folder / CONFIG, (json.dumps(about, indent=1) + "\n").encode())
        keep(encoder)

    @staticmethod
    def load(folder: Path) -> TextClassifier:
        """The classifier in a folder. Versions that share an encoder share its weights in memory.

        Raises ModelError: a file missing or broken, another encoder than the one it was trained on.
        """
        try:
            about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            name, identity, tokens = about["name"], about["identity"], about["max_tokens"]
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise ModelError("this is not a saved model", where=str(folder), got=str(fault)) from None
        head = Head.load(folder)
        runtime = about.get("runtime", "torch")
        encoder = kept(identity) or load_encoder(name or str(folder / FOLDER), tokens, runtime)
        if (encoder.identity, encoder.sha256) != (identity, about.get("sha256")):
            raise ModelError(
                "the encoder is not the one this model was trained on",
                where=str(folder),
                got=encoder.identity,
                expected=identity,
                do="take the model from the registry again, or retrain",
            )
        if head.weight.shape[1] != encoder.dim:
            raise ModelError(
                "the head does not fit its encoder",
                where=str(folder),
                got=f"a head of {head.weight.shape[1]} numbers",
                expected=f"{encoder.dim}",
            )
        if encoder.local and not name:
            encoder.folder = folder / FOLDER  # where it was read from may hold another one by now
        return TextClassifier(keep(encoder), head)

    def on(self, runtime: str) -> TextClassifier:
        """The same weights on another runtime: another encoder, whose embeddings are not these."""
        return (
            self if runtime == self.encoder.runtime else replace(self, encoder=self.encoder.on(runtime))
        )

    @property
    def trained(self) -> Head:
        """The head. Raises ModelError before the first training."""
        if self.head is None:
            raise ModelError("this model has no head yet", where=self.encoder.name, do="train it first")
        return self.head


def packages(folder: Path) -> tuple[str, ...]:
    """What the model saved in a folder needs beside torch: the packages of its encoder's runtime."""
    runtime = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["runtime"]
    return PACKAGES if str(runtime).startswith("onnx") else ()
