"""What recipes learn from that nobody labelled: requests of the log, and the answers of other models.

Requests stay in the log, where retention and `forget` reach them: no dataset version holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx

from core.arrays import Array, stacked
from core.errors import EngineError, ModelError
from core.models import families
from core.progress import doing
from core.records.windows import Window
from core.texts import words
from flows.session import Session
from pipelines.datasets.contents import TESTED, rows_here
from pipelines.datasets.fence import cosines, least
from pipelines.datasets.inputs import read_inputs

if TYPE_CHECKING:
    from core.models.base import Model
    from pipelines.training.data import Teacher

SINCE = timedelta(days=28)  # requests that are older say little of what is asked now
TIMEOUT = httpx.Timeout(300.0, connect=5.0)  # seconds: a big model on a small machine is slow
MOST_TOKENS = 512  # of one answer


def requests(session: Session, identity: str, most: int) -> list[Any]:
    """Requests before the time of the version, evenly drawn where there are many, each of them once.
    What lies near a row that evaluates is left out; so is what another encoder than `identity` read,
    where nobody can tell."""
    if not most:
        return []
    as_of = read_inputs(session.workspace).as_of
    window = session.store.at(as_of).answers.window(as_of - SINCE, as_of, most)
    window = window.take((window.rows["encoder"] == identity).to_numpy(dtype=bool))
    window = window.take(_new(session, identity, window))
    found = session.store.answers.known(window.rows["request_id"].tolist())
    return [_input(found[each]) for each in window.rows["request_id"][-most:]]


def _new(session: Session, identity: str, window: Window) -> Array:
    """(n,) which requests are there for the first time, and near no row that evaluates."""
    tested = rows_here(session.workspace, TESTED, ["input", "encoder", "embedding"])
    said = {words(text) for text in session.texts(tested)}
    spoken = window.rows["text"].map(words)
    new = (~spoken.duplicated() & ~spoken.isin(said)).to_numpy(dtype=bool)
    held = tested.loc[tested["encoder"] == identity, "embedding"]
    if len(held) and len(window):
        matrix = stacked(held)
        new = new & (cosines(window.embeddings, matrix) < least(matrix))
    return new


def _input(answer: Any) -> Any:
    return list(answer.detail.messages) or answer.text


def teacher(session: Session, name: str) -> Teacher:
    """Whom `training.teacher` names. Raises ModelError or EngineError."""
    from pipelines.training.data import Teacher

    if name.startswith(("http://", "https://")):
        url, _, model = name.partition("#")
        return Teacher(lambda inputs: _asked(url.rstrip("/"), model, inputs))
    local = _local(session, name)

    def write(inputs: Sequence[Any]) -> list[str]:
        answers = local.answer(list(inputs))
        return [a.output if getattr(a.detail, "finish_reason", "") == "stop" else "" for a in answers]

    return Teacher(write, local)


def _local(session: Session, name: str) -> Model:
    if name.isdigit():
        return session.registry.load(name)
    model = session.strategy.model
    return families.untrained_writer(name, model.encoder, model.max_tokens, model.runtime)


def _asked(url: str, model: str, inputs: Sequence[Any]) -> list[str]:
    """The likeliest answers of a server. Raises EngineError."""
    with httpx.Client(
        base_url=f"{url.removesuffix('/v1')}/v1", timeout=TIMEOUT, trust_env=False
    ) as http:
        chosen = model or _only_model(http, url)
        said = []
        for at, asked in enumerate(inputs):
            doing("asking the teacher", at, len(inputs), "requests")
            said.append(_answer(http, url, chosen, asked))
    return said


def _only_model(http: httpx.Client, url: str) -> str:
    names = [str(each["id"]) for each in _json(http, url, "GET", "/models", None)["data"]]
    if len(names) == 1:
        return names[0]
    raise ModelError(
        "the teacher is not named",
        where="training.teacher",
        got=f"{url}, which serves {', '.join(names) or 'no model'}",
        expected=f"{url}#MODEL",
    )


def _answer(http: httpx.Client, url: str, model: str, asked: Any) -> str:
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": MOST_TOKENS}
    choice = _json(http, url, "POST", "/chat/completions", body)["choices"][0]
    return str(choice["message"]["content"] or "") if choice["finish_reason"] == "stop" else ""


def _json(http: httpx.Client, url: str, verb: str, path: str, body: Any) -> Any:
    try:
        said = http.request(verb, path, json=body)
        said.raise_for_status()
        return said.json()
    except (httpx.HTTPError, ValueError) as fault:
        raise EngineError(
            "the teacher does not answer",
            where=f"{url} (training.teacher)",
            got=f"{type(fault).__name__}: {fault}",
            expected="a server that speaks OpenAI's protocol",
            do="start it, then again: everloop retrain",
        ) from None
