"""The bundled samples, one for each task.

A month of requests to an imaginary shop, with four kinds of drift; ten days of calls to an imaginary
assistant at home, with three.
"""

from __future__ import annotations

import importlib.resources
import shutil
from pathlib import Path

from core.tasks import CLASSIFICATION


def bundled(task: str = CLASSIFICATION) -> Path:
    """The folder of a task's sample: train.csv, eval.csv, stream.csv, events.json."""
    return Path(str(importlib.resources.files("everloop") / "samples" / task))


def copy_sample(folder: Path, task: str = CLASSIFICATION) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in bundled(task).iterdir():
        shutil.copyfile(file, folder / file.name)
