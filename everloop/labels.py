"""How far labelling is, for `everloop label status`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from core.label_set import LabelSet
from core.records import Dispute
from core.store import Store
from everloop.table import table

WIDTH = 72  # characters of a text
SHOWN = 20  # disputes


def picture(store: Store, now: datetime) -> dict[str, Any]:
    """Queue, annotators, agreement and disputes, as JSON has them."""
    from pipelines.labeling.agreement import agreement

    said = store.under(LabelSet()).all_votes()  # a label that is gone since was no skip
    labels = Counter(v.annotator for v in said if v.label is not None)
    skips = Counter(v.annotator for v in said if v.label is None)
    found = agreement(store.all_votes())
    return {
        "queue": dict(store.queue_state(now)),
        "reviews": store.reviewed(),
        "annotators": [
            {"annotator": a, "labels": labels[a], "skipped": skips[a]}
            for a in sorted({*labels, *skips})
        ],
        "agreement": {
            "tasks": found.tasks,
            "krippendorff_alpha": found.alpha,
            "pairs": [
                {
                    "annotators": [p.one, p.other],
                    "tasks": p.tasks,
                    "agreed": p.agreed,
                    "cohen_kappa": p.kappa,
                }
                for p in found.pairs
            ],
        },
        "disputes": [_dispute(d) for d in store.disputed(SHOWN)],
    }


def text(found: dict[str, Any]) -> str:
    """The picture for a terminal."""
    queue = ", ".join(f"{n} {state}" for state, n in found["queue"].items() if n)
    blocks = [queue or "no task yet; they are picked with every turn: everloop loop"]
    if found["annotators"]:
        rows = [(a["annotator"], a["labels"], a["skipped"]) for a in found["annotators"]]
        blocks.append(table(["annotator", "labels", "skipped"], rows))
    if found["agreement"]["tasks"]:
        blocks.append(_agreement(found["agreement"]))
    if found["disputes"]:
        blocks.append(_disputes(found))
    return "\n\n".join(blocks)


def _agreement(found: dict[str, Any]) -> str:
    rows = [
        (" and ".join(p["annotators"]), p["tasks"], f"{p['agreed']:.0%}", _number(p["cohen_kappa"]))
        for p in found["pairs"]
    ]
    tasks = f"{found['tasks']} task{'' if found['tasks'] == 1 else 's'} with several labels"
    line = f"Krippendorff's alpha {_number(found['krippendorff_alpha'])} on {tasks}"
    return "\n".join([table(["annotators", "tasks", "agree", "Cohen's kappa"], rows), line])


def _disputes(found: dict[str, Any]) -> str:
    lines = []
    for d in found["disputes"]:
        hint = f"; is it '{d['suggested']}'?" if d["suggested"] else ""
        lines += [f"{d['prediction_id']}  {d['text']}", f"  {d['reason']}{hint}"]
    waiting = found["queue"].get("disputed", 0) + found["reviews"] - len(found["disputes"])
    more = [f"and {waiting} more"] if waiting > 0 else []
    return "\n".join([*lines, *more, "settle them: everloop label adjudicate ID LABEL"])


def _dispute(d: Dispute) -> dict[str, Any]:
    line = " ".join(d.task.text.split())
    return {
        "prediction_id": d.task.prediction_id,
        "text": line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…",
        "reason": d.reason,
        "label": d.label,
        "suggested": d.suggested,
        "votes": {v.annotator: v.label for v in d.votes},
    }


def _number(value: float | None) -> str:
    return "only one label" if value is None else f"{value:.2f}"
