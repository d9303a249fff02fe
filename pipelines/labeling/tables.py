"""Tasks go out as CSV or JSONL with an empty column, and come back filled in.

prediction_id,text,predicted,round,label
019b8b74-1800-75ca-ba2e-f08341255975,where is my parcel,track_order,2026-01-08,

Where answers are written, the empty column is `answer`, and JSONL has chats (see chats.py). Where
several people filled in one file, a column `annotator` says who.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.cells import decoded
from core.files import whole_text
from core.readers import Refused, nearest, read_table
from core.records.labels import AnnotationTask
from core.tables import as_string, bounded, missing_columns
from pipelines.labeling import chats
from pipelines.labeling.handout import ANSWER, LABEL
from pipelines.labeling.judgements import Judgement

COLUMNS = ["prediction_id", "text", "predicted", "round"]


def write(tasks: Sequence[AnnotationTask], path: Path, lines: bool, question: str = LABEL) -> None:
    """Write tasks as CSV, or as `lines` of JSON, with an empty column for the `question`, replacing the
    file whole.

    Texts are written exactly as they came: to a spreadsheet one that starts with `=` is a formula.
    """
    columns = [*COLUMNS, question]
    rows = [dict(zip(columns, _cells(t), strict=True)) for t in tasks]
    with whole_text(path) as file:
        if lines:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def read(path: Path, annotator: str, question: str = LABEL) -> Iterator[Judgement | Refused]:
    """The rows of a CSV, JSONL or Parquet file with columns prediction_id and that of the `question`.
    `annotator` is who labelled where the file does not say. Raises DataError when the file cannot be
    used."""
    table = read_table(path)
    if question == ANSWER and "messages" in table.columns:
        yield from chats.read(path, table, annotator)
        return
    missing = [c for c in ("prediction_id", question) if c not in table.columns]
    if missing:
        near = [f"'{n}' to {c}" for c in missing if (n := nearest(c, table.columns))]
        do = f"rename {', '.join(near)}" if near else "everloop label export writes such a file"
        expected = f"columns {', '.join([*COLUMNS, question])}"
        raise missing_columns(path, table.columns, missing, expected, do)
    for record in bounded(path, table, question):
        yield record if isinstance(record, Refused) else _judgement(*record, annotator, question)


def _judgement(row: int, values: dict[str, Any], annotator: str, question: str) -> Judgement:
    key, who = (as_string(values.get(c)).strip() for c in ("prediction_id", "annotator"))
    said = decoded(values.get(question))
    return Judgement(row, key, who or annotator, "" if said is None else said)


def _cells(task: AnnotationTask) -> list[str]:
    return [task.prediction_id, task.text, task.predicted, task.round, ""]
