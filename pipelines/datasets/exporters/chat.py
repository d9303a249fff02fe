"""`chat`: the rows as files for fine-tuning have them (OpenAI's, TRL's), a line of JSON each.

{"messages": [{"role": "user", "content": "wake me at 7"}, {"role": "assistant", "content": "…"}],
 "id": "019b…", "set": "train"}

The last message is the right answer: what a person wrote, or the label.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from core.arrays import Frame
from core.tasks import Classification, Generation, Task
from pipelines.datasets.exporters.exporter import Exporter

TASKS: dict[str, Task] = {t.kind: t for t in (Classification(), Generation(policy="generation"))}


class Chat(Exporter):
    """Chats whose last message is the right answer, as JSONL."""

    policy: Literal["chat"]

    def write(self, rows: Frame, file: Path) -> None:
        names = ("input", "target", "kind", "row_id", "set")
        with file.open("w", encoding="utf-8") as out:
            for asked, target, kind, key, split in rows[list(names)].itertuples(index=False):
                task = TASKS[kind]
                messages = [
                    *task.turns(task.asked(asked)),
                    {"role": "assistant", "content": target},
                ]
                row = {"messages": messages, "id": key, "set": split}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
