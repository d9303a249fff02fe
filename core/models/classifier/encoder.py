"""The encoder: texts in, one unit vector a text out. The only door through which a text is read.

`reads` counts every text that went through, so that "embed once" can be proved and not only claimed.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core.arrays import Array
from core.errors import ModelError
from core.models.classifier.batches import MOST, PaddedTexts, Tokens
from core.models.classifier.runtimes import (
    IN_IDENTITY,
    RUNTIMES,
    Forward,
    Runtime,
    in_onnx,
    in_torch,
    need_onnx,
    threads,
)
from core.models.files import (
    DEFAULT,
    OFFLINE,
    PACKAGE,
    check_weights,
    copy_files,
    find,
    read_model,
    read_size,
    read_tokenizer,
    read_vocabulary,
)
from core.progress import doing

__all__ = ["BOTH", "DEFAULT", "NGRAMS", "PACKAGE", "Encoder", "load_encoder"]
log = logging.getLogger(__name__)

NGRAMS, BOTH = "ngrams", "both"  # encoders of ours: character n-grams, and those beside DEFAULT
KEPT = 3  # encoders a process keeps: champion, candidate, and one more
_kept: OrderedDict[str, Encoder] = OrderedDict()  # by identity, latest last


@dataclass(eq=False)
class Encoder:
    """A Hugging Face encoder with mean pooling over the attention mask and L2 normalisation.

    An embedding does not depend on its neighbours in a batch (by about 1e-7 in fp32, which float16
    may round to its last bit). Any number of threads may call `encode` at once.
    """

    name: str  # as the Hub names it, or a folder
    folder: Path  # where its files lie
    sha256: str  # of the weights
    dim: int
    max_tokens: int
    runtime: Runtime = "torch"
    reads: int = 0  # texts read so far
    _counting: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def local(self) -> bool:
        """Weights that have no public name and must travel with the model."""
        return Path(self.name).is_absolute()

    @property
    def identity(self) -> str:
        """Equal identities give equal embeddings. A folder is known by its weights, not by its path."""
        name = "local" if self.local else self.name
        runtime = IN_IDENTITY.get(self.runtime, self.runtime)
        return f"{name}@{self.sha256[:8]}/{runtime}/{self.max_tokens}"

    @property
    def file(self) -> Path:
        """What the runtime reads: the exported graph, made where there is none yet, or the weights."""
        if self.runtime in ("torch", "torch-bf16"):
            return next(iter(sorted(self.folder.glob("*.safetensors"))))
        from core.models.classifier.export import exported

        return exported(self)

    @cached_property
    def tokenizer(self) -> Any:
        """Hugging Face's, for training."""
        return read_tokenizer(self.folder)

    @cached_property
    def model(self) -> Any:
        """The torch module. The ONNX runtimes load it only to be exported or trained."""
        return read_model(self.folder)

    @cached_property
    def forward(self) -> Forward:
        """One pass over a batch, in the thread that calls it."""
        if self.runtime in ("torch", "torch-bf16"):
            return in_torch(self.model, self.runtime)
        return in_onnx(self.file)

    def encode(self, texts: Sequence[str]) -> Array:
        """Embeddings of `texts`, in their order: (n, dim) float16, each of length 1.

        As many texts as a worker of the server brings are read here, more on all cores.
        """
        out, done = np.zeros((len(texts), self.dim), dtype=np.float16), 0

        def read(batch: PaddedTexts) -> None:
            out[batch.rows] = self.forward(batch.ids, batch.mask)

        def counted(batch: PaddedTexts) -> None:
            nonlocal done
            read(batch)
            done += len(batch.rows)
            doing("reading texts", done, len(texts), "texts")

        self._count(len(texts))
        batches = self.tokens.batches(texts)
        if len(texts) <= MOST:
            for batch in batches:
                read(batch)
        else:
            list(
                _workers().map(counted, reversed(batches))
            )  # the longest first: the last one ends soon
        return out

    def together(self, texts: Sequence[str]) -> Array:
        """As `encode`, but all texts in one batch and in their order, however long each is."""
        self._count(len(texts))
        batch = self.tokens.batch(texts)
        return self.forward(batch.ids, batch.mask).astype(np.float16)

    @cached_property
    def tokens(self) -> Tokens:
        """The tokenizer, cut to `max_tokens`, for any number of threads."""
        return Tokens(read_vocabulary(self.folder), self.max_tokens)

    def load(self) -> None:
        """Read everything now, while the folder holds it."""
        _ = self.tokens, self.forward

    def on(self, runtime: str) -> Encoder:
        """The same weights on another runtime."""
        return self if runtime == self.runtime else load_encoder(self._source, self.max_tokens, runtime)

    @property
    def _source(self) -> str:
        return str(self.folder) if self.local else self.name

    def _count(self, texts: int) -> None:
        with self._counting:
            self.reads += texts

    def copy_files(self, to: Path) -> None:
        """Everything `load_encoder` needs of this encoder, into the folder `to`."""
        copy_files(self.folder, to, self.sha256, "encoder")


def load_encoder(name: str, max_tokens: int = 128, runtime: str = "torch") -> Encoder:
    """The encoder `name`: a local folder, a model as the Hub names it, or `ngrams` or `both`.

    A Hub name is looked for in the Hugging Face cache, then in the `offline` extra, then on the Hub
    (not under HF_HUB_OFFLINE). The cache and the extra come before the network because they are the
    same bytes, which the SHA-256 proves where it is known. Which one it was is logged.

    Raises ModelError: nothing found, pickled weights only, altered weights, `max_tokens` too large, a
    runtime that is not installed or whose export is not the same encoder.
    """
    if name in (NGRAMS, BOTH):
        from core.models.classifier.ngrams import ngrams

        return ngrams(load_encoder(DEFAULT, max_tokens, runtime) if name == BOTH else None)
    doing(f"loading the encoder {name}")
    known = next((r for r in RUNTIMES if r == runtime), None)
    if known is None:
        raise ModelError("no such runtime", got=runtime, expected=", ".join(RUNTIMES))
    if runtime.startswith("onnx"):
        need_onnx(runtime)
    folder, source = find(name, OFFLINE)
    sha256 = check_weights(name, folder)
    dim, most = read_size(folder)
    _check_length(name, max_tokens, most)
    log.info("encoder %s from %s (%s)", name, source, folder)
    public = name if folder != Path(name).resolve() else str(folder)
    encoder = Encoder(public, folder, sha256, dim, max_tokens, known)
    if encoder.local or runtime.startswith(
        "onnx"
    ):  # other files may lie there later; an export is checked
        encoder.load()
    return encoder


def kept(identity: str) -> Encoder | None:
    """The encoder of this identity, where the process has it."""
    return _kept.get(identity)


def keep(encoder: Encoder) -> Encoder:
    """Remember an encoder of this process, and forget the one unused for longest."""
    _kept[encoder.identity] = encoder
    _kept.move_to_end(encoder.identity)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return encoder


def _check_length(name: str, max_tokens: int, most: int | None) -> None:
    if max_tokens < 2 or (most is not None and max_tokens > most):
        raise ModelError(
            "max_tokens does not fit the encoder",
            where=name,
            got=str(max_tokens),
            expected=f"2 to {most}",
            do="mend max_tokens in params.yaml",
        )


@cache
def _workers() -> ThreadPoolExecutor:
    """One thread a core, for calls with many texts."""
    return ThreadPoolExecutor(threads(), "everloop-encoder")
