"""Conditions of tasks, as SQL: what state one is in, and who may have it.

A task's state is never stored, it is what its rows say:

    open       nobody has it, nobody said anything      leased    somebody has it before them
    waiting    the labels agree, more are needed        disputed  the labels differ
    skipped    somebody skipped it, nobody labelled it  done      it has its annotation
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, case, func, select

from core import schema
from core.store.naming import Naming
from core.store.tasks import same, unsettled

_K, _V, _L = schema.tasks, schema.votes, schema.leases


def given(naming: Naming) -> ScalarSelect[int]:
    """How many labels votes give a task."""
    return select(func.count(naming.held(_V.c.label))).where(same(_V, _K)).scalar_subquery()


def different(naming: Naming) -> ScalarSelect[int]:
    """How many different ones."""
    label = naming.held(_V.c.label)
    return select(func.count(label.distinct())).where(same(_V, _K)).scalar_subquery()


def free(naming: Naming, annotator: str, now: datetime, votes_needed: int) -> list[ColumnElement[bool]]:
    """Tasks that this annotator may have: others who have them leave room for a vote."""
    running = [same(_L, _K), _L.c.annotator != annotator, _L.c.until > now]
    held = select(func.count()).where(*running).scalar_subquery()
    return [*wanting(naming, annotator), (held == 0) | (held + given(naming) < votes_needed)]


def wanting(naming: Naming, annotator: str) -> list[ColumnElement[bool]]:
    """Tasks on which this annotator's vote helps: where labels differ, one more settles nothing.
    Who said a label that is gone is asked again."""
    holds = _V.c.label.is_(None) | naming.held(_V.c.label).is_not(None)
    voted = select(_V).where(same(_V, _K), _V.c.annotator == annotator, holds)
    return [*unsettled(), different(naming) <= 1, ~voted.exists()]


def state(naming: Naming, now: datetime) -> ColumnElement[str]:
    leased = select(_L).where(same(_L, _K), _L.c.until > now).exists()
    skipped = select(_V).where(same(_V, _K), _V.c.label.is_(None)).exists()
    return case(
        (different(naming) > 1, "disputed"),
        (leased, "leased"),
        (different(naming) == 1, "waiting"),
        (skipped, "skipped"),
        else_="open",
    )
