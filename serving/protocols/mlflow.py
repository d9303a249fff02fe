"""The scoring protocol of `mlflow models serve`, for MLflow's own clients and all that speak it.

    curl -s localhost:8000/invocations -H 'content-type: application/json' -d '{"inputs": ["my card?"]}'
    {"predictions": [{"label": "card_arrival", "score": 0.91, "prediction_id": "019b8b74-...", ...}]}

A row's text is its column `text`, or its first column where none is called so. Faults are MLflow's
{"error_code", "message"}.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import islice
from typing import Any

from fastapi import APIRouter, Response
from fastapi import Request as Call
from pydantic import BaseModel, TypeAdapter

from core.errors import DataError
from serving.messages.mlflow import NAME, Endpoint, Endpoints, Invocation, MlflowFault, Split
from serving.messages.own import AnswersMessage, Asker, answers
from serving.protocols.engine_client import (
    AROUND,
    WAIT,
    Direct,
    EngineClient,
    described,
    json,
    parameter,
    reference,
)
from serving.protocols.faults import NotFoundError, quoted, too_many
from serving.reading import JSON, SMALL, aside, media_type, read

COLUMN = "text"
CSV = "text/csv"
COMMAS = 100_000  # in one line of CSV
BODIES = (Invocation,)
INVOCATION = TypeAdapter(Invocation)


def routes(client: EngineClient) -> APIRouter:
    router = APIRouter(route_class=Direct, tags=["MLflow"])
    spoken = version("mlflow")  # whose protocol this is; clients compare

    @router.post("/invocations", **_INVOCATIONS)
    async def invocations(call: Call) -> Response:
        """Classify the rows of a table, or a list of texts."""
        texts, asker = await _asked(call, client.most)
        found = await client.answers(client.requests(texts, asker.user, asker.segments), call)
        return Response(answers(found), media_type=JSON)

    @router.post("/endpoints/{name}/invocations", **_NAMED)
    async def named(call: Call) -> Response:
        """The same, as `mlflow.deployments` asks: by the name of an endpoint."""
        _check_name(call)
        return await invocations(call)

    @router.get("/api/2.0/endpoints/", **described(Endpoints, {}))
    async def endpoints(_: Call) -> Response:
        """The one endpoint there is, as a list."""
        return json(Endpoints(endpoints=[Endpoint()]).model_dump())

    @router.get("/api/2.0/endpoints/{name}", **described(Endpoint, {404: MlflowFault}, None, [_NAME]))
    async def endpoint(call: Call) -> Response:
        """One endpoint by its name."""
        _check_name(call)
        return json(Endpoint().model_dump())

    @router.get("/ping", **_text("a model is loaded", "\n", {503: MlflowFault}))
    async def ping(_: Call) -> Response:
        """200 when a model is loaded and can answer."""
        await client.serving()
        return Response("\n", media_type="text/plain")

    @router.get("/version", **_text("the version of MLflow", "3.17.2", {}))
    async def mlflow_version(_: Call) -> Response:
        """The version of MLflow whose protocol this is."""
        return Response(spoken, media_type="text/plain")

    return router


async def _asked(call: Call, most: int) -> tuple[list[str], Asker]:
    """The texts of a call and who asks. Raises DataError for more than `most`."""
    kind, body = media_type(call, JSON, CSV), await call.body()
    if kind == CSV:
        rows = _csv(body, most) if len(body) <= SMALL else await aside(_csv, body, most)
        return _rows(rows, "row", most), Asker()
    found = await read(INVOCATION, body, most)
    return _texts(found, most), found.params or Asker()


def _check_name(call: Call) -> None:
    name = call.path_params["name"]
    if name != NAME:
        raise NotFoundError("no such endpoint", where="the URL", got=ascii(name), expected=NAME)


def _texts(body: Invocation, most: int) -> list[str]:
    """The text of every row, whichever of the four forms they came in."""
    forms = ("dataframe_split", "dataframe_records", "instances", "inputs")
    given = [name for name in forms if getattr(body, name) is not None]
    if len(given) != 1:
        raise DataError(
            "one form of input is needed",
            where="body",
            got=", ".join(given) or "none",
            expected=f"exactly one of {', '.join(forms)}",
        )
    value = getattr(body, given[0])
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):  # columns, each a list of values
        value = _of_first(value)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list):
            expected = "a list of texts"
            raise DataError("no texts here", where=given[0], got=quoted(value), expected=expected)
    if isinstance(value, Split):
        value = _column(value.columns or [], value.data)
    return _rows(value, given[0], most)


def _rows(rows: Sequence[Any], where: str, most: int) -> list[str]:
    """One text a row: the row itself, its column `text`, or its first cell."""
    if len(rows) > most:
        raise too_many(len(rows), most)
    texts = []
    for i, row in enumerate(rows):
        cell = row
        if isinstance(row, dict):
            cell = _of_first(row)
        elif isinstance(row, list):
            cell = row[0] if row else None
        if not isinstance(cell, str):
            place = f"{where}[{i}]"
            raise DataError("this row has no text", where=place, got=quoted(row), expected="a text")
        texts.append(cell)
    return texts


def _of_first(columns: dict[str, Any]) -> Any:
    return columns[COLUMN] if COLUMN in columns else next(iter(columns.values()), None)


def _csv(body: bytes, most: int) -> list[list[str]]:
    """One cell a row; the first line names the columns, empty lines are left out. Reads no more than
    one row beyond `most`."""
    try:
        lines = map(_few_commas, io.StringIO(body.decode("utf-8-sig"), newline=""))
        read = filter(None, csv.reader(lines, strict=True))
        names = next(read, [])
        rows = _column(names, islice(read, most + 1))
    except (csv.Error, UnicodeDecodeError) as fault:
        expected = "CSV in UTF-8 whose first line names the columns"
        raise DataError(
            "the body is not CSV", where="body", got=str(fault), expected=expected
        ) from None
    if len(rows) > most:
        raise too_many(f"more than {most}", most)
    return rows


def _few_commas(line: str) -> str:
    """Raises csv.Error for a line of too many cells: all of them would be made at once."""
    if len(line) > COMMAS and line.count(",") > COMMAS:
        raise csv.Error(f"more than {COMMAS} commas in a line")
    return line


def _column(names: Sequence[Any], rows: Iterable[list[Any]]) -> list[list[Any]]:
    """The cell of each row in the column `text`, or in the first; none where the row is too short."""
    place = names.index(COLUMN) if COLUMN in names else 0
    return [row[place : place + 1] for row in rows]


def _text(meaning: str, example: str, refused: dict[int, type[BaseModel]]) -> dict[str, Any]:
    told = described(None, refused)
    content = {"text/plain": {"schema": {"type": "string"}, "example": example}}
    told["responses"][200] = {"description": meaning, "content": content}
    return told | {"response_class": Response}


_NAME = parameter("path", "name", {"type": "string"}, NAME)
_REFUSED = dict.fromkeys((*AROUND, 400, 415, 503, 504), MlflowFault)
_ASKS = {
    JSON: reference(Invocation),
    CSV: {"type": "string", "examples": ["text\nmy card?\nwhere is it?\n"]},
}
_INVOCATIONS = described(AnswersMessage, _REFUSED, _ASKS, [WAIT])
_NAMED = described(AnswersMessage, _REFUSED | {404: MlflowFault}, _ASKS, [_NAME, WAIT])
