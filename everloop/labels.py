"""How far labelling is, for `everloop label status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.evidence import UsersLabelsEvidence
from core.readers import excerpt, nearest
from core.records.labels import Dispute
from core.store import Store
from everloop.table import shortened, table

if TYPE_CHECKING:
    from flows.words import Ruling

WIDTH = 72  # characters of a text, on a terminal
SHOWN = 20  # disputes


def picture(store: Store, now: datetime, known: Collection[str]) -> dict[str, Any]:
    """Queue, annotators, agreement, disputes and names that are not `known`, as JSON has them."""
    from pipelines.labeling.agreement import agreement

    said = store.under(store.task.names).queue.all_votes()  # a label that is gone since was no skip
    labels = Counter(v.annotator for v in said if v.label is not None)
    skips = Counter(v.annotator for v in said if v.label is None)
    found = agreement(store.queue.all_votes())
    return {
        "queue": dict(store.queue.state(now)),
        "reviews": store.reviews.count(),
        "users": _users(store),
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
        "disputes": [_dispute(d) for d in store.reviews.disputed(SHOWN)],
        "unconfirmed": _unconfirmed(store, known),
    }


def text(found: dict[str, Any]) -> str:
    """The picture for a terminal."""
    queue = ", ".join(f"{n} {state}" for state, n in found["queue"].items() if n)
    blocks = [queue or "no task yet; they are picked with every turn: everloop loop"]
    if found["users"]:
        blocks.append(_words(found["users"]))
    if found["annotators"]:
        rows = [(a["annotator"], a["labels"], a["skipped"]) for a in found["annotators"]]
        blocks.append(table(["annotator", "labels", "skipped"], rows))
    if found["agreement"]["tasks"]:
        blocks.append(_agreement(found["agreement"]))
    if found["disputes"]:
        blocks.append(_disputes(found))
    if found["unconfirmed"]["names"]:
        blocks.append(_names(found["unconfirmed"]))
    return "\n\n".join(blocks)


def _users(store: Store) -> dict[str, Any]:
    """What became of users' words at the last look; {} where there were none."""
    said = store.decisions.read("labeling")
    last = [d for d in said if d.read(UsersLabelsEvidence).by_fate is not None][-1:]
    if not last:
        return {}
    return {
        "at": last[0].timestamp.isoformat(),
        "verdict": last[0].verdict,
        "reason": last[0].reason,
        **last[0].evidence.stored(),
        "waiting_for_people": store.feedback.words_asked(),
    }


def _words(users: dict[str, Any]) -> str:
    asked = users["waiting_for_people"]
    lines = [f"{users['reason']} (looked at {users['at'][:16].replace('T', ' ')})"]
    if asked:
        lines.append(f"{asked} of users' labels wait for a person: everloop label export tasks.csv")
    return "\n".join([*lines, "each of them: everloop label feedback"])


def words_json(rulings: Sequence[Ruling]) -> list[dict[str, Any]]:
    return [
        {
            "prediction_id": r.word.prediction_id,
            "timestamp": r.word.timestamp.isoformat(),
            "source": r.word.source,
            "kind": r.word.kind,
            "label": r.word.label,
            "answer": r.word.answer,
            "fate": r.fate,
        }
        for r in rulings
    ]


def words_text(rulings: Sequence[Ruling], limit: int) -> str:
    """By what becomes of them, then in order of time."""
    from pipelines.labeling.words import WHY

    if not rulings:
        return "no label of a user waits; what people were asked about is in: everloop label status"
    blocks = []
    for fate, why in WHY.items():
        mine = [r.word for r in rulings if r.fate == fate]
        lines = [
            f"  {w.prediction_id}  '{w.label}' of {w.source or 'nobody named'}, not '{w.answer}'"
            for w in mine[:limit]
        ]
        more = [f"  and {len(mine) - limit} more"] if len(mine) > limit else []
        blocks += ["\n".join([f"{len(mine)} {why}", *lines, *more])] if mine else []
    return "\n\n".join(blocks)


def _unconfirmed(store: Store, known: Collection[str]) -> dict[str, Any]:
    """Names that nobody has used: how many, and the commonest. Votes of files wait for them, and users'
    words."""
    votes = Counter(str(v.label) for v in store.queue.waiting())
    given = store.feedback.names() if store.task.labelled else {}
    words = Counter({x: n for x, n in given.items() if x not in known})
    names = sorted({*votes, *words}, key=lambda x: (-votes[x] - words[x], x))
    shown = [
        {"label": x, "votes": votes[x], "feedback": words[x], "nearest": nearest(x, known)}
        for x in names[:SHOWN]
    ]
    return {"names": len(names), "commonest": shown}


def _names(found: dict[str, Any]) -> str:
    shown = found["commonest"]
    rows = [(f"'{excerpt(u['label'])}'", u["votes"], u["feedback"], u["nearest"]) for u in shown]
    more = [f"and {found['names'] - len(shown)} more names"] if found["names"] > len(shown) else []
    lines = table(["nobody has used", "votes", "feedback", "did you mean"], rows)
    return "\n".join([lines, *more, "they wait; if one is meant: everloop label set add LABEL"])


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
        lines += [f"{d['prediction_id']}  {shortened(d['text'], WIDTH)}", f"  {d['reason']}{hint}"]
    waiting = found["queue"].get("disputed", 0) + found["reviews"] - len(found["disputes"])
    more = [f"and {waiting} more"] if waiting > 0 else []
    return "\n".join([*lines, *more, "settle them: everloop label adjudicate ID LABEL"])


def _dispute(d: Dispute) -> dict[str, Any]:
    return {
        "prediction_id": d.task.prediction_id,
        "text": " ".join(d.task.text.split()),
        "reason": d.reason,
        "label": d.label,
        "suggested": d.suggested,
        "votes": {v.annotator: v.label for v in d.votes},
    }


def _number(value: float | None) -> str:
    return "only one label" if value is None else f"{value:.2f}"
