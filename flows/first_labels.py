"""Are the labels of the first files fit to train on, and to judge by?

A label in the evaluation rows that no training row has can never be answered. Mostly it is a slip
(`tranfer`), or the two files are not of one kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from core.errors import DataError
from core.label_set import LabelSet
from core.readers import nearest

SHOWN = 8


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
            got=", ".join(told(known, ())) or "no label",
            expected="rows of two labels or more: a classifier tells them apart",
        )
    unknown = {x: n for x, n in asked.items() if x not in known}
    declared = set(names.current(closed or ()))
    if slips := {x: n for x, n in unknown.items() if x not in declared}:
        raise DataError(
            "evaluation labels that no training row has",
            where=str(evaluation[0]),
            got=", ".join(told(slips, known)),
            expected=f"labels of {train[0].name}: {_few(sorted(known))}",
            do="correct them; one that is meant and has no row yet: everloop label set add LABEL",
        )
    if not unknown:
        return ""
    return (
        f"{evaluation[0].name}: no training row has {', '.join(told(unknown, ()))}; such rows count as "
        "wrong until one has"
    )


def told(labels: dict[str, int], known: Iterable[str]) -> list[str]:
    """The commonest labels with their rows and the known label most like each.

    >>> told({"tranfer": 12, "x": 1}, ["transfer"])
    ["'tranfer' in 12 rows (did you mean 'transfer'?)", "'x' in 1 row"]
    """
    ordered = sorted(labels.items(), key=lambda x: (-x[1], x[0]))
    near = {label: nearest(label, known) for label, _ in ordered[:SHOWN]}
    lines = [
        f"'{label}' in {n} row{'' if n == 1 else 's'}"
        + (f" (did you mean '{near[label]}'?)" if near[label] else "")
        for label, n in ordered[:SHOWN]
    ]
    return [*lines, *([f"and {len(labels) - SHOWN} more labels"] if len(labels) > SHOWN else [])]


def _counted(names: LabelSet, rows: Iterable[str]) -> Counter[str]:
    """Rows by what their labels are called; those of labels that are gone are in no dataset."""
    return Counter(name for x in rows if (name := names.now(x)) is not None)


def _few(labels: list[str]) -> str:
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return ", ".join(labels[:SHOWN]) + more
