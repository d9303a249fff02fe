"""Are the labels of the first files fit to train on, and to judge by?

A label in the evaluation rows that no training row has can never be answered. Mostly it is a slip
(`tranfer`), or the two files are not of one kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from core.errors import DataError
from core.label_names import in_words
from core.label_set import LabelSet
from core.texts import first_few

FEW = 8  # labels that an error lists


def check_labels(
    train: tuple[Path, Iterable[str]],
    evaluation: tuple[Path, Iterable[str]],
    names: LabelSet,
    closed: Iterable[str] | None,
) -> str:
    """A warning, or "". train, evaluation: a file and the labels of its rows; closed: those of
    `labeling.labels`, None where they are open.

    Raises DataError for one training label, and for evaluation labels that no training row has. A label
    that was declared may have no row yet; of those the warning tells.
    """
    known, asked = (_counted(names, rows) for _, rows in (train, evaluation))
    if len(known) < 2:
        raise DataError(
            "nothing can be learnt from one label",
            where=str(train[0]),
            got=", ".join(in_words(known, [])) or "no label",
            expected="rows of two labels or more: a classifier tells them apart",
        )
    unknown = {x: n for x, n in asked.items() if x not in known}
    declared = set(names.current(closed or ()))
    if slips := {x: n for x, n in unknown.items() if x not in declared}:
        raise DataError(
            "evaluation labels that no training row has",
            where=str(evaluation[0]),
            got=", ".join(in_words(slips, known)),
            expected=f"labels of {train[0].name}: {first_few(sorted(known), FEW)}",
            do="correct them; one that is meant and has no row yet: everloop label set add LABEL",
        )
    if not unknown:
        return ""
    said = ", ".join(in_words(unknown, []))
    wrong = "such rows count as wrong until one has"
    return f"{evaluation[0].name}: no training row has {said}; {wrong}"


def _counted(names: LabelSet, rows: Iterable[str]) -> Counter[str]:
    """Rows by what their labels are called; those of labels that are gone are in no dataset."""
    return Counter(name for x in rows if (name := names.now(x)) is not None)
