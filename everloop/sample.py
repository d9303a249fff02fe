"""The bundled sample: a month of requests to an imaginary shop, with four kinds of drift."""

from __future__ import annotations

import importlib.resources
import shutil
from pathlib import Path


def bundled() -> Path:
    """Its folder: train.csv, eval.csv, stream.csv, events.json."""
    return Path(str(importlib.resources.files("everloop") / "samples"))


def copy_sample(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in bundled().iterdir():
        shutil.copyfile(file, folder / file.name)
