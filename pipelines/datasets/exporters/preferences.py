"""`preferences`: the pairs of a version as DPO of TRL reads them, a line of JSON each.

{"prompt": [{"role": "user", "content": "wake me at 7"}],
 "chosen": [{"role": "assistant", "content": "…"}], "rejected": [{"role": "assistant", "content": "…"}],
 "id": "019b…"}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal

from core.arrays import Frame
from core.tasks import Generation
from pipelines.datasets.exporters.exporter import Exporter

NAMES = ("id", "input", "chosen", "rejected")


class Preferences(Exporter):
    """Two answers to one request, of which people found one better, as JSONL."""

    takes: ClassVar = "pairs"

    policy: Literal["preferences"]

    def write(self, rows: Frame, file: Path) -> None:
        task = Generation(policy="generation")
        with file.open("w", encoding="utf-8") as out:
            for key, asked, *answers in rows[list(NAMES)].itertuples(index=False):
                sides = [[{"role": "assistant", "content": text}] for text in answers]
                prompt = task.turns(task.asked(asked))
                row = {"prompt": prompt, "chosen": sides[0], "rejected": sides[1], "id": key}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
