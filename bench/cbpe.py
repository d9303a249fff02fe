"""Accuracy without labels as NannyML estimates it: CBPE, fitted to the evaluation set with its truth.

Weeks of the frozen model's answers. `known`: only requests whose label the model has, so that nothing
but the estimate itself can be wrong.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.detectors import run
from bench.form import Row
from bench.streams import OUT, Stream, read_stream
from core.arrays import Array

WEEK = 7
DETECTOR = "nannyml:cbpe"


def rows(data: Path) -> list[Row]:
    clinc, banking = (read_stream(n, data) for n in ("clinc", "banking77"))
    return [
        error("banking77", banking, np.ones(len(banking.frame), dtype=bool)),
        error("clinc, known", clinc, clinc.frame["truth"].isin(clinc.head.labels).to_numpy()),
        error("clinc, all", clinc, np.ones(len(clinc.frame), dtype=bool)),
    ]


def error(name: str, stream: Stream, some: Array) -> Row:
    """Mean absolute error over whole weeks."""
    what = f"nannyml: CBPE, mean error, {name}"
    week = stream.day // WEEK
    kept = some & (week < stream.days // WEEK)
    path = OUT / "cbpe.npz"
    write(stream, kept, week, path)
    answer = run(DETECTOR, "--estimate", str(path), limit=300.0)
    if "cannot" in answer:
        return Row(f"{what}: cannot", 0, "", peer=answer["cannot"])
    truth = [float(stream.right[kept & (week == w)].mean()) for w in answer["windows"]]
    away = np.abs(np.array(answer["values"]) - truth)
    about = f"worst {away.max():.3f}, {len(away)} weeks, truth {np.mean(truth):.3f}"
    return Row(what, float(away.mean()), "accuracy", "", peer=about)


def write(stream: Stream, kept: Array, week: Array, path: Path) -> None:
    held, labels = stream.evaluation, np.array(stream.head.labels)
    shares = stream.head.probabilities(held.embeddings)
    np.savez(
        path,
        labels=labels,
        reference_probabilities=shares,
        reference_predicted=labels[shares.argmax(axis=1)],
        reference_truth=held.labels,
        reference_window=np.arange(len(shares)) * WEEK // len(shares),
        analysis_probabilities=stream.probabilities[kept],
        analysis_predicted=stream.predicted[kept],
        analysis_window=week[kept],
    )
