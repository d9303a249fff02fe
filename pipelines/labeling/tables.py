"""Tasks go out as a file with an empty column, and come back filled in.

prediction_id,text,predicted,round,label
019b8b74-1800-75ca-ba2e-f08341255975,where is my parcel,track_order,2026-01-08,
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import DataError
from core.readers import Refused, excerpt, nearest, read_table
from core.records import Annotation, AnnotationTask
from core.store import Store
from core.tables import as_string
from pipelines.labeling import Labeling

COLUMNS = ["prediction_id", "text", "predicted", "round", "label"]


@dataclass(frozen=True)
class Imported:
    """What became of the rows of a labelled file."""

    accepted: int  # new labels
    already: int  # the same label was known
    unlabelled: int  # nothing filled in yet
    refused: list[Refused]


def export_tasks(tasks: Sequence[AnnotationTask], path: Path) -> int:
    """Write tasks as CSV or JSONL with an empty label, replacing the file whole; returns how many.

    Texts are written exactly as they came: to a spreadsheet one that starts with `=` is a formula.
    """
    rows = [dict(zip(COLUMNS, _cells(t), strict=True)) for t in tasks]
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson"):
        raise DataError(
            "tasks cannot be written so",
            where=str(path),
            got=suffix,
            expected=".csv, .jsonl or .ndjson",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        if suffix == ".csv":
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    os.replace(unfinished, path)
    return len(rows)


def import_annotations(
    path: Path, store: Store, settings: Labeling, now: datetime, annotator: str
) -> Imported:
    """Store the labels of a CSV, JSONL or Parquet file with columns prediction_id and label.

    A row that contradicts a label, in the file or in the store, is refused, and the first label stands.
    Importing the same file again changes nothing. Raises DataError when the file cannot be used.
    """
    rows: list[tuple[int, str, str]] = []
    refused: list[Refused] = []
    for row in _labelled(path):
        refused.append(row) if isinstance(row, Refused) else rows.append(row)
    filled = [row for row in rows if row[2]]
    ids = [key for _, key, _ in filled]
    tasks, known = store.task_ids(ids), store.labels_of(ids)
    fresh: dict[str, Annotation] = {}
    for number, key, label in filled:
        reason = _fault(key, label, tasks, known, settings.closed)
        if reason:
            refused.append(Refused(number, reason, excerpt(label if key in tasks else key)))
        elif key not in known:
            known[key] = label
            fresh[key] = Annotation(key, label, annotator, now)
    accepted = store.annotate(list(fresh.values()))
    wrong = {r.row for r in refused}
    already = sum(number not in wrong for number, _, _ in filled) - accepted
    refused.sort(key=lambda r: r.row)
    return Imported(accepted, already, len(rows) - len(filled), refused)


def _cells(task: AnnotationTask) -> list[str]:
    return [task.prediction_id, task.text, task.predicted, task.round, ""]


def _labelled(path: Path) -> Iterator[Refused | tuple[int, str, str]]:
    """Row number, prediction id and label ("" where not filled in)."""
    table = read_table(path)
    missing = [c for c in ("prediction_id", "label") if c not in table.columns]
    if missing:
        raise DataError(
            f"missing column{'s' if len(missing) > 1 else ''}: {', '.join(missing)}",
            where=str(path),
            got=f"columns {', '.join(excerpt(c) for c in table.columns[:20])}",
            expected=f"columns {', '.join(COLUMNS)}",
            do="everloop label export writes such a file",
        )
    for record in table.records:
        yield record if isinstance(record, Refused) else _checked(*record)


def _checked(row: int, values: dict[str, Any]) -> Refused | tuple[int, str, str]:
    key, label = (as_string(values.get(c)).strip() for c in ("prediction_id", "label"))
    return (row, key, label) if key else Refused(row, "no prediction id", excerpt(label))


def _fault(
    key: str, label: str, tasks: set[str], known: Mapping[str, str], closed: Sequence[str] | None
) -> str:
    """Why a label is not taken, or ""."""
    if key not in tasks:
        return "no task for this prediction id"
    if closed is not None and label not in closed:
        near = nearest(label, closed)
        return "a label that was never declared" + (f"; did you mean '{near}'?" if near else "")
    if known.get(key, label) != label:
        return f"this prediction is already labelled '{known[key]}'"
    return ""
