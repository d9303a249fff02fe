"""Tasks of a model that writes go out as chats, a line of JSON each, and come back answered.

{"id": "019b…", "messages": [{"role": "user", "content": "wake me at 7"},
  {"role": "assistant", "content": ""}], "predicted": "…", "round": "2026-01-08"}

This is the form of fine-tuning files (OpenAI's, TRL's). The last message is the assistant's, and empty:
it is to be filled in. Where several people filled in one file, a key `annotator` says who.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.files import whole_text
from core.readers import Refused, Table, excerpt
from core.tables import as_string, bounded
from pipelines.labeling.handout import Handout
from pipelines.labeling.judgements import Judgement

ASSISTANT = "assistant"


def write(handout: Handout, path: Path) -> None:
    """Write the tasks as chats whose last message is to be filled in, replacing the file whole."""
    with whole_text(path) as file:
        for task in handout.tasks:
            messages = [*handout.turns(task), {"role": ASSISTANT, "content": ""}]
            row = {"id": task.prediction_id, "messages": messages, "predicted": task.predicted}
            file.write(json.dumps({**row, "round": task.round}, ensure_ascii=False) + "\n")


def read(path: Path, table: Table, annotator: str) -> Iterator[Judgement | Refused]:
    """What the assistant says last in each chat. `annotator` is who says so where the file does not
    name one."""
    for record in bounded(path, table, "messages"):
        yield record if isinstance(record, Refused) else _judgement(*record, annotator)


def _judgement(row: int, values: dict[str, Any], annotator: str) -> Judgement | Refused:
    key, who = (as_string(values.get(c)).strip() for c in ("id", "annotator"))
    messages = values.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return Refused(row, "`messages` is no list of messages", excerpt(messages))
    last = messages[-1]
    if last.get("role") != ASSISTANT:
        return Refused(row, "the last message is not the assistant's", excerpt(last.get("role")))
    if last.get("tool_calls"):
        return Refused(row, "an answer of tool calls, not a text", excerpt(last["tool_calls"]))
    said = last.get("content") or ""
    if not isinstance(said, str):
        return Refused(row, "an answer that is no text", excerpt(said))
    return Judgement(row, key, who or annotator, said)
