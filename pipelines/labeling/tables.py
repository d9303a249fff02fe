"""Tasks go out as CSV or JSONL with an empty column, and come back filled in.

prediction_id,text,predicted,round,label
019b8b74-1800-75ca-ba2e-f08341255975,where is my parcel,track_order,2026-01-08,

Where several people filled in one file, a column `annotator` says who.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.cells import decoded
from core.files import whole_text
from core.label_names import normal
from core.readers import Refused, nearest, read_table
from core.records.labels import AnnotationTask
from core.tables import as_string, bounded, missing_columns
from pipelines.labeling.judgements import Judgement

COLUMNS = ["prediction_id", "text", "predicted", "round", "label"]


def write(tasks: Sequence[AnnotationTask], path: Path, lines: bool) -> None:
    """Write tasks as CSV, or as `lines` of JSON, with an empty label, replacing the file whole.

    Texts are written exactly as they came: to a spreadsheet one that starts with `=` is a formula.
    """
    rows = [dict(zip(COLUMNS, _cells(t), strict=True)) for t in tasks]
    with whole_text(path) as file:
        if lines:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def read(path: Path, annotator: str) -> Iterator[Judgement | Refused]:
    """The rows of a CSV, JSONL or Parquet file with columns prediction_id and label. `annotator` is who
    labelled where the file does not say. Raises DataError when the file cannot be used."""
    table = read_table(path)
    missing = [c for c in ("prediction_id", "label") if c not in table.columns]
    if missing:
        near = [f"'{n}' to {c}" for c in missing if (n := nearest(c, table.columns))]
        do = f"rename {', '.join(near)}" if near else "everloop label export writes such a file"
        expected = f"columns {', '.join(COLUMNS)}"
        raise missing_columns(path, table.columns, missing, expected, do)
    for record in bounded(path, table, "label"):
        yield record if isinstance(record, Refused) else _judgement(*record, annotator)


def _judgement(row: int, values: dict[str, Any], annotator: str) -> Judgement:
    key, who = (as_string(values.get(c)).strip() for c in ("prediction_id", "annotator"))
    return Judgement(row, key, who or annotator, normal(decoded(values.get("label"))))


def _cells(task: AnnotationTask) -> list[str]:
    return [task.prediction_id, task.text, task.predicted, task.round, ""]
