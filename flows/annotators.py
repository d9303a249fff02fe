"""Before a dataset takes what people labelled: is one of them contradicted by all others?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pandas as pd

from core.arrays import stacked
from core.evidence import AskedAgainEvidence
from core.records.decisions import Decision
from core.store.claims import WEAK
from core.store.reviews import Fresh
from flows.session import Session
from flows.words import trained
from pipelines.labeling.annotators import Doubt, doubts

STAGE = "labeling"


def second_opinions(session: Session, now: datetime, partition: str) -> None:
    """Hand the labels that everybody else's contradict to another annotator, where their annotator is
    contradicted more often than the others are. What is found is stored before anything is done."""
    found = session.store.state.once(f"annotators/{partition}", lambda: _look(session, now, partition))
    for annotator, why, ids in found["again"]:
        session.store.reviews.ask_again(ids, annotator, now, f"asked again: {why}")


def _look(session: Session, now: datetime, partition: str) -> dict[str, Any]:
    """What is to be asked again: annotator, reason and prediction ids of each doubt."""
    found = session.store.at(now).reviews.fresh(now)
    if len({f.annotator for f in found if not f.seconded}) < 2:
        return {"again": []}
    encoder = Counter(f.encoder for f in found).most_common(1)[0][0]
    found = [f for f in found if f.encoder == encoder]
    rows = _before(session, now, encoder)
    doubted = _doubts(found, rows)
    again = _asked_again(found, rows["row_id"].tolist(), doubted)
    if doubted:
        session.record(_decision(doubted, sum(len(ids) for *_, ids in again), now, partition))
    return {"again": again}


def _before(session: Session, now: datetime, encoder: str) -> pd.DataFrame:
    """What people labelled in earlier rounds and the newest dataset trains on."""
    rows = trained(session, session.store.at(now).label_set)
    return rows[(rows["annotator"] != WEAK) & (rows["encoder"] == encoder)]


def _doubts(found: Sequence[Fresh], rows: pd.DataFrame) -> list[Doubt]:
    """Doubts about the fresh labels; their rows are positions in `found`, then in `rows`."""
    return doubts(
        stacked([*(f.embedding.tobytes() for f in found), *rows["embedding"]]),
        [*(f.label for f in found), *rows["target"]],
        [*(f.annotator for f in found), *rows["annotator"]],
        [*(not f.seconded for f in found), *[False] * len(rows)],
    )


def _asked_again(
    found: Sequence[Fresh], earlier: Sequence[str], doubted: Sequence[Doubt]
) -> list[tuple[str, str, list[str]]]:
    """By doubt: annotator, reason, prediction ids; an id once. Audit labels of an annotator who is
    doubted throughout are asked again all of them: only the contradicted ones would make accuracy look
    better than it is."""
    seen: set[str] = set()
    again = []
    for doubt in doubted:
        ids = [found[i].prediction_id for i in doubt.rows]
        ids += [earlier[i - len(found)] for i in doubt.earlier if i >= len(found)]
        if not doubt.looks:
            mine = [f for f in found if f.annotator == doubt.annotator and not f.seconded]
            ids += [f.prediction_id for f in mine if f.audit]
        again.append((doubt.annotator, str(doubt), [i for i in dict.fromkeys(ids) if i not in seen]))
        seen.update(ids)
    return again


def _decision(doubted: Sequence[Doubt], count: int, now: datetime, partition: str) -> Decision:
    people = sorted({d.annotator for d in doubted})
    return Decision(
        key=f"{STAGE}/annotators/{partition}",
        stage=STAGE,
        timestamp=now,
        verdict=f"{count} labels asked again",
        reason=f"{'; '.join(map(str, doubted))}. Another annotator is asked before they train",
        evidence=AskedAgainEvidence(
            partition,
            people,
            count,
            [{k: v for k, v in asdict(d).items() if k not in ("rows", "earlier")} for d in doubted],
        ),
        severity="warning",
    )
