"""The serving path: the HTTP server and a replay both answer through `Service.predict`.

A text is read once. In a rollout the candidate's head scores the same embedding, so comparing the two
models on every request costs a matrix product, not a second pass of the encoder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from core.errors import DataError, ModelError
from core.kept import Kept
from core.models.base import Model
from core.records import Prediction, Request, Variant
from core.store import Store
from serving.cache import Cache
from serving.router import route
from serving.scoring import Scores, row, score
from serving.traffic import Switch, Traffic


class Logging(Protocol):
    """What of an answer may be stored, and how its text is stored."""

    @property
    def whole(self) -> bool: ...

    @property
    def clean(self) -> Callable[[str], str]: ...

    def keep(self, rows: list[Prediction]) -> Kept: ...


class Everything:
    """Store every answer as it is."""

    whole = True

    def clean(self, text: str) -> str:
        return text

    def keep(self, rows: list[Prediction]) -> Kept:
        return Kept(rows, sum(p.variant != "shadow" for p in rows))


class Service:
    """Answers requests with the models the store names; stores every answer before giving it."""

    def __init__(
        self,
        store: Store,
        load: Callable[[str], Model],
        max_text: int,
        refresh_seconds: float = 1.0,
        cache: Cache | None = None,
        logging: Logging | None = None,
    ) -> None:
        """`load` turns a version into a model, or raises ModelError. The store is asked who serves
        every `refresh_seconds` of real time; 0 asks on every call, as a replay wants."""
        self.store, self._max_text, self._cache = store, max_text, cache
        self.logging: Logging = logging or Everything()
        self.switch = Switch(store, load)
        self._refresh_seconds = refresh_seconds
        self._asked = float("-inf")
        self._lock = threading.RLock()

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        """The stored answers, in request order; a request id that has an answer gets the same one.

        Raises DataError for a text that is empty, too long, or another one under a known request id
        (then nothing is stored), ModelError when there is no model yet, StoreError when an answer
        could not be stored: what was not committed is never answered.
        """
        self.check(requests)
        if not requests:
            return []
        with self._lock:
            traffic = self.current(requests[-1].timestamp)
            known = self.store.answers.known([r.request_id for r in requests])
            fresh = self._first_of_each(requests, known)
            if fresh:
                rows, passes = self.answer(fresh, traffic)
                self.log(rows, passes)
                known |= {r.request_id: r for r in rows if r.variant != "shadow"}
                # read back: another server may have answered the same request a moment before
                known |= self.store.answers.known([r.request_id for r in fresh])
            return [known[r.request_id] for r in requests]

    def log(self, rows: list[Prediction], passes: int) -> None:
        """Store what may be kept of these answers."""
        self.store.answers.append([replace(self.logging.keep(rows), passes=passes)])

    def check(self, requests: Sequence[Request]) -> None:
        """Raises DataError for a text that is empty, too long or not Unicode."""
        for i, request in enumerate(requests):
            where = "text" if len(requests) == 1 else f"inputs[{i}].text"
            _check_text(request.text, self._max_text, where)

    def current(self, now: datetime) -> Traffic:
        """Who serves, asked again when that is due. Raises as `Switch.turn`."""
        held = self.switch.now
        fresh = time.monotonic() - self._asked < self._refresh_seconds
        return held if held and fresh else self.refresh(now)

    def refresh(self, now: datetime) -> Traffic:
        """Ask the store who serves, and load what it names. Raises as `Switch.turn`."""
        traffic = self.switch.turn(now)
        self._asked = time.monotonic()
        return traffic

    def answer(self, requests: Sequence[Request], traffic: Traffic) -> tuple[list[Prediction], int]:
        """Rows to store, and how many texts the encoders read for them. Safe for many threads."""
        texts = [r.text for r in requests]
        champion = score(traffic.champion, texts, cache=self._cache)
        candidate = self._second_opinion(texts, traffic, champion, requests[-1].timestamp)
        passes = champion.read + (candidate.read if candidate else 0)
        rows: list[Prediction] = []
        for i, request in enumerate(requests):
            if candidate is None:
                rows.append(row(request, i, champion, "champion"))
                continue
            variant = _variant(request, traffic)
            pair = (champion, candidate) if variant == "champion" else (candidate, champion)
            rows += [row(request, i, pair[0], variant), row(request, i, pair[1], "shadow")]
        return rows, passes

    def same_text(self, request: Request, before: str) -> None:
        """Raises DataError when a request id that stands for `before` now comes with another text.

        `before` is a text as it is stored, which may not be how it came.
        """
        if before not in (request.text, self.logging.clean(request.text)):
            raise DataError(
                "this request id already belongs to another text",
                where=f"request_id {request.request_id}",
                got=ascii(request.text[:60]),
                expected=ascii(before[:60]),
                do="give each text a request_id of its own",
            )

    def _first_of_each(
        self, requests: Sequence[Request], known: dict[str, Prediction]
    ) -> list[Request]:
        """Requests that have no answer yet, each id once. Raises DataError: one id, two texts."""
        fresh: dict[str, Request] = {}
        for request in requests:
            before = known.get(request.request_id) or fresh.setdefault(request.request_id, request)
            self.same_text(request, before.text)
        return list(fresh.values())

    def _second_opinion(
        self, texts: list[str], traffic: Traffic, champion: Scores, now: datetime
    ) -> Scores | None:
        if not (traffic.rollout and traffic.candidate):
            return None
        try:
            return score(traffic.candidate, texts, shared=champion, cache=self._cache)
        except ModelError as fault:
            version, why = traffic.candidate.version, traffic.rollout.rollout_id
            self.switch.refuse(version, why, traffic.champion, fault, now)
            return None


def _variant(request: Request, traffic: Traffic) -> Variant:
    """Who answers: the version a caller named, if it serves, else whom the router says."""
    if traffic.candidate and request.version == traffic.candidate.version:
        return "canary"
    if request.version == traffic.champion.version:
        return "champion"
    return route(request.user_key, request.request_id, traffic.rollout)


def _check_text(text: str, most: int, where: str) -> None:
    if len(text) > most:
        raise DataError(
            "the text is too long",
            where=where,
            got=f"{len(text)} characters: {text[:40]!a}...",
            expected=f"at most {most} characters",
            do="send a shorter text, or raise logging.max_text_characters in params.yaml",
        )
    fault = "the text is empty" if not text.strip() else not_storable(text)
    if fault:
        raise DataError(
            fault,
            where=where,
            got=ascii(text[:60]),
            expected="some words in Unicode",
            do="leave this text out, or mend it where it is made",
        )


def not_storable(text: str) -> str:
    """Why no database would take this text, "" when it would.

    >>> not_storable("grüß dich"), not_storable("a" + chr(0))
    ('', 'the text holds a NUL character')
    """
    if "\x00" in text:
        return "the text holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "the text is not Unicode: it holds half of a surrogate pair"
    return ""
