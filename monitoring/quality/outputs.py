"""What is known of each output that a model wrote: its form, its faults, its embedding."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from core.arrays import Array
from core.records.windows import Window
from monitoring.quality.languages import strange
from monitoring.quality.neighbours import duplicated
from monitoring.quality.sample import SAMPLE_ROWS, drawn
from monitoring.quality.texts import describe

REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]?m|i am) (?:so |very )?sorry|(?:unfortunately|sorry|apologies),? |"
    r"i (?:can['’]?t|cannot|can not|won['’]?t|am unable|am not able)|as an ai\b|"
    r"i['’]?m (?:unable|not able)|i (?:must|have to) decline)",
    re.IGNORECASE,
)
LANGUAGE_ROWS = 2000  # whose languages are looked at
CUT = "length"  # how OpenAI's protocol calls an answer that ran out of tokens

Embed = Callable[[list[str]], Array]


def written(
    window: Window, reference: Window, fault: Callable[[str], str], embed: Embed | None
) -> tuple[Window, Window]:
    """Rows of both, their embeddings those of the outputs (none without `embed`), with the columns of
    `texts.describe` of the outputs and `empty`, `cut`, `broken` (`fault` says why), `refused`,
    `strange` (in another language than the request), `duplicate`: 0 or 1, NaN where it is not known."""
    ours, theirs = drawn(window, SAMPLE_ROWS), drawn(reference, SAMPLE_ROWS)
    said = [w.rows["output"].tolist() for w in (ours, theirs)]
    for sample, words in zip((ours, theirs), describe(*said), strict=True):
        sample.rows[words.columns] = words
    return _told(ours, said[0], fault, embed), _told(theirs, said[1], fault, embed)


def _told(
    window: Window, outputs: Sequence[str], fault: Callable[[str], str], embed: Embed | None
) -> Window:
    faults = {o: float(bool(fault(o))) for o in set(outputs)}
    vectors = embed(list(outputs)) if embed and outputs else np.zeros((len(outputs), 0))
    rows = window.rows.assign(
        empty=[float(not o.strip()) for o in outputs],
        cut=_cut(window),
        broken=[faults[o] for o in outputs],
        refused=[float(bool(REFUSAL.match(o))) for o in outputs],
        strange=_strange(window, outputs),
        duplicate=duplicated(vectors) if vectors.shape[1] else np.nan,
    )
    return replace(window, rows=rows, embeddings=np.asarray(vectors, dtype=np.float32))


def _strange(window: Window, outputs: Sequence[str]) -> Array:
    """Of so many rows as are enough for a share."""
    found = np.full(len(window), np.nan)
    texts = window.rows["text"].tolist()[:LANGUAGE_ROWS]
    found[: len(texts)] = strange(outputs[:LANGUAGE_ROWS], texts)
    return found


def _cut(window: Window) -> Array:
    if "finish_reason" not in window.rows:
        return np.full(len(window), np.nan)
    return (window.rows["finish_reason"] == CUT).to_numpy(dtype=float)
