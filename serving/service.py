"""The serving path, which is the same for a server, a replay and a file.

    before    who has an answer already
    answer    one pass of the encoder for the rest
    log       their rows are stored
    after     what is given: the stored answers

`Service.predict` walks it for one caller who waits, the server's `Engine` for batches of many callers.

A text is read once. In a rollout the candidate's head scores the same embedding, so comparing the two
models on every request costs a matrix product, not a second pass of the encoder.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from core.cells import unstorable
from core.errors import BusyError, DataError, EngineError, InputError, ModelError, StoreError
from core.ids import is_uuid7
from core.models.base import Model
from core.records.answers import Prediction, Request, Variant
from core.records.writing import Listener
from core.store import Store
from serving.cache import Cache
from serving.log import Commits, KeepAll, LogPolicy
from serving.router import route
from serving.scoring import LoadedModel, Scores, answer_id, row, score
from serving.traffic import Switch, Traffic

log = logging.getLogger(__name__)


class Service:
    """Answers requests with the models the store names; stores every answer before giving it."""

    def __init__(
        self,
        store: Store,
        load: Callable[[str], Model],
        max_text: int,
        cache: Cache | None = None,
        policy: LogPolicy | None = None,
    ) -> None:
        """`load` turns a version into a model, or raises ModelError."""
        self.store, self._max_text, self._cache = store, max_text, cache
        self.policy: LogPolicy = policy or KeepAll()
        self.log = Commits(store, self.policy)
        self.switch = Switch(store, load)
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
            traffic = self.switch.turn(requests[-1].timestamp)
            firsts = self._first_of_each(requests)
            answers = _or_raise(self.before(firsts))
            if new := [r for r in firsts if r.request_id not in answers]:
                rows, passes = self.answer(new, traffic)
                self.log.put(rows, passes).result()
                answers |= self.after(new, rows)
            return [answers[r.request_id] for r in requests]

    def knows(self, prediction_id: str) -> bool:
        """Whether this can be the id of an answer; only a log that keeps every answer is sure."""
        if self.store.answers.get(prediction_id):
            return True
        return not self.policy.whole and is_uuid7(prediction_id)

    def storable(self, text: str) -> str:
        """A user's own text as the log may have it. Raises DataError where no text is kept."""
        if self.policy.texts:
            return self.policy.clean(text)
        raise DataError(
            "no text is kept here",
            where="value",
            got=f"a text of {len(text)} characters",
            expected="feedback without one: logging.policy of params.yaml keeps counts only",
        )

    def check(self, requests: Sequence[Request]) -> None:
        """Raises DataError for a text that is empty, too long or not Unicode."""
        for i, request in enumerate(requests):
            where = "text" if len(requests) == 1 else f"inputs[{i}].text"
            _check_text(request.text, self._max_text, where)

    def before(self, requests: Sequence[Request]) -> dict[str, Prediction | DataError]:
        """By request id, the answers given before to requests with an id of their own; a DataError for
        one that came with another text then."""
        named = {r.request_id: r for r in requests if not r.fresh}
        found = self._known(named)
        return {name: self._same(named[name], given) for name, given in found.items()}

    def after(self, requests: Sequence[Request], rows: list[Prediction]) -> dict[str, Prediction]:
        """By request id, what to give once these rows are stored."""
        given = {r.request_id: r for r in rows if r.variant != "shadow"}
        # read back: another server may have answered the same request a moment before. What is stored
        # of ours may be redacted; the caller gets it as it was written
        stored = self._known([r.request_id for r in requests if not r.fresh])
        ours = {r.prediction_id for r in given.values()}
        return given | {k: p for k, p in stored.items() if p.prediction_id not in ours}

    def _known(self, ids: Collection[str]) -> dict[str, Prediction]:
        if not ids:
            return {}
        try:
            return self.store.answers.known(list(ids))
        except StoreError as fault:  # it is down: what is asked again is answered again
            log.warning("earlier answers cannot be looked up: %s", fault.got)
            return {}

    def answer(self, requests: Sequence[Request], traffic: Traffic) -> tuple[list[Prediction], int]:
        """Rows to store, and how many texts the encoders read for them. Safe for many threads."""
        variants = [_variant(r, traffic) for r in requests]
        heard = _listened(requests, variants, traffic.champion)
        champion = score(traffic.champion, heard, cache=self._cache)
        candidate = self._second_opinion(requests, variants, traffic, champion)
        passes = champion.read + (candidate.read if candidate else 0)
        rows: list[Prediction] = []
        for i, (request, variant) in enumerate(zip(requests, variants, strict=True)):
            if candidate is None:
                rows.append(row(request, i, champion, "champion"))
                continue
            pair = (champion, candidate) if variant == "champion" else (candidate, champion)
            rows += [row(request, i, pair[0], variant), row(request, i, pair[1], "shadow")]
        return rows, passes

    def same_text(self, request: Request, before: str) -> None:
        """Raises DataError when a request id that stands for `before` now comes with another text.

        `before` is a text as it is stored, which may not be how it came.
        """
        if before not in (request.text, self.policy.clean(request.text)):
            raise DataError(
                "this request id already belongs to another text",
                where=f"request_id {request.request_id}",
                got=ascii(request.text[:60]),
                expected=ascii(before[:60]),
                do="give each text a request_id of its own",
            )

    def _same(self, request: Request, given: Prediction) -> Prediction | DataError:
        try:
            self.same_text(request, given.text)
        except DataError as fault:
            return fault
        return given

    def _first_of_each(self, requests: Sequence[Request]) -> list[Request]:
        """Each id once. Raises DataError: one id, two texts."""
        firsts: dict[str, Request] = {}
        for request in requests:
            self.same_text(request, firsts.setdefault(request.request_id, request).text)
        return list(firsts.values())

    def _second_opinion(
        self,
        requests: Sequence[Request],
        variants: Sequence[Variant],
        traffic: Traffic,
        champion: Scores,
    ) -> Scores | None:
        if not (traffic.rollout and traffic.candidate):
            return None
        heard = _listened(requests, variants, traffic.candidate, is_champion=False)
        try:
            return score(traffic.candidate, heard, shared=champion, cache=self._cache)
        except ModelError as fault:
            version, why = traffic.candidate.version, traffic.rollout.rollout_id
            self.switch.refuse(version, why, traffic.champion, fault, requests[-1].timestamp)
        except (EngineError, BusyError, InputError) as fault:  # it may be well the next time
            log.warning("version %s does not answer: %s", traffic.candidate.version, fault)
        return None


def _or_raise(found: dict[str, Prediction | DataError]) -> dict[str, Prediction]:
    answers = {}
    for name, outcome in found.items():
        if isinstance(outcome, DataError):
            raise outcome
        answers[name] = outcome
    return answers


def _listened(
    requests: Sequence[Request],
    variants: Sequence[Variant],
    by: LoadedModel,
    is_champion: bool = True,
) -> list[Request]:
    """The same requests; only those that this model answers are heard by their callers."""
    out = []
    for request, variant in zip(requests, variants, strict=True):
        if request.how is None:
            out.append(request)
        elif (variant == "champion") == is_champion:
            request.listener.of(answer_id(request, variant), by.version)
            out.append(request)
        else:
            out.append(replace(request, listener=Listener()))
    return out


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
    bad = unstorable(text)
    if bad or not text.strip():
        raise DataError(
            f"the text holds {bad}" if bad else "the text is empty",
            where=where,
            got=ascii(text[:60]),
            expected="some words in Unicode",
            do="leave this text out, or mend it where it is made",
        )
