"""Bodies in every coding and of any making: read or refused, on every route, at a bounded cost."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.errors import DataError
from core.store import Store
from serving.app import create_app
from serving.codings import MEMBERS, unpack
from serving.engine import Engine
from serving.metrics import Metrics
from serving.reading import values
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW

INFER = "/v2/models/everloop/infer"
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["my card?"]}
THUMBS = {"prediction_id": "nope", "kind": "thumbs", "value": "up"}
VOTE = {"prediction_id": "nope", "annotator": "ann", "label": None}
CALLS: dict[str, tuple[Any, int]] = {  # a body that is read, and the answer to it
    "/v1/predict": ({"text": "my card?"}, 200),
    "/v1/feedback": (THUMBS, 404),
    "/v1/label/votes": (VOTE, 409),
    "/invocations": ({"inputs": ["my card?"]}, 200),
    "/endpoints/everloop/invocations": ({"inputs": ["my card?"]}, 200),
    INFER: ({"inputs": [TENSOR]}, 200),
    "/v2/models/everloop/versions/1/infer": ({"inputs": [TENSOR]}, 200),
}
SECONDS = 5.0  # of the processor: thirty times what it takes


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    engine = Engine(service, lambda: NOW, Metrics())
    app = create_app(engine, store, lambda: NOW, Serving())
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def sent(client: TestClient, path: str, body: bytes, coding: str = "", kind: str = "json") -> Any:
    headers = {"content-type": {"json": "application/json", "csv": "text/csv"}.get(kind, kind)}
    return client.post(path, content=body, headers=headers | {"content-encoding": coding})


def in_two(body: bytes) -> bytes:
    return gzip.compress(body[:7]) + gzip.compress(body[7:]) + bytes(5)


@pytest.mark.parametrize("path", CALLS)
def test_every_route_takes_the_same_codings(client: TestClient, path: str) -> None:
    body, status = json.dumps(CALLS[path][0]).encode(), CALLS[path][1]
    ways = [
        ("", body),
        ("identity", body),
        ("Identity", body),
        ("gzip", gzip.compress(body)),
        ("GZIP", gzip.compress(body)),
        ("x-gzip", gzip.compress(body)),
        ("identity, gzip", gzip.compress(body)),
        ("gzip", in_two(body)),
        ("deflate", zlib.compress(body)),
        ("", b"\xef\xbb\xbf" + body),
        ("gzip", gzip.compress(b"\xef\xbb\xbf" + body)),
    ]
    assert [sent(client, path, raw, coding).status_code for coding, raw in ways] == [status] * len(ways)
    for coding in ("zstd", "br", "compress", "gzip, gzip", "*"):
        assert sent(client, path, body, coding).status_code == 415
    mend = 400 if "in" in path.rpartition("/")[2] else 422
    broken = [("gzip", body), ("gzip", gzip.compress(body)[:-9]), ("deflate", gzip.compress(body))]
    broken += [("gzip", gzip.compress(body) + b"more"), ("deflate", zlib.compress(body) + b"more")]
    assert {sent(client, path, raw, coding).status_code for coding, raw in broken} == {mend}


def test_a_coding_that_is_not_read_says_what_is(client: TestClient) -> None:
    assert sent(client, "/v1/predict", b"{}", "br").json() == {
        "error": "this content encoding is not read here",
        "where": "header content-encoding",
        "got": "'br'",
        "expected": "gzip, deflate or none",
        "do": "send the body as it is, or compressed once",
    }


def test_a_body_that_unpacks_to_too_much_stops_at_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(DataError, match="the gzip body is cut off or too large"):
        unpack(bomb, "gzip", 1000)
    with pytest.raises(DataError, match="cut off or too large"):
        unpack(gzip.compress(bytes(600)) * 2, "gzip", 1000)
    assert unpack(gzip.compress(bytes(500)) * 2, "gzip", 1000) == bytes(1000)


def test_a_body_of_very_many_members_is_refused() -> None:
    with pytest.raises(DataError, match=f"more than {MEMBERS} members"):
        unpack(gzip.compress(b"") * 200_000, "gzip", 1 << 22)


BIG = 4 * 1024 * 1024 - 4096


def filled(start: str, item: str, end: str, by: str = ",") -> bytes:
    room = BIG - len(start) - len(end)
    return (start + by.join([item] * (room // (len(item) + 1))) + end).encode()


def tensor(data: str) -> tuple[str, str, str]:
    start = '{"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES", "data": ['
    return INFER, start, data + "]}]}"


COSTLY = [
    ("/v1/predict", filled('{"inputs": [', '""', "]}")),
    ("/v1/predict", filled('{"inputs": [', "7", "]}")),
    ("/v1/predict", filled('{"inputs": [', "{}", "]}")),
    ("/v1/predict", filled("[", "[]", "]")),
    ("/v1/predict", filled('{"text": "a", "segments": {', '"a": 1', "}}")),
    ("/v1/feedback", filled("{", '"k": 1', "}")),
    ("/v1/feedback", b'{"value": ' + b"1" * BIG + b"}"),
    ("/v1/label/votes", filled("[", "null", "]")),
    ("/invocations", filled('{"inputs": [', '""', "]}")),
    ("/invocations", filled('{"instances": {"text": [', '""', "]}}")),
    ("/invocations", filled('{"dataframe_records": [', '{"a":1}', "]}")),
    ("/invocations", filled('{"dataframe_split": {"columns": [', '""', '], "data": []}}')),
    ("/invocations", filled('{"dataframe_split": {"data": [', '[""]', "]}}")),
    (INFER, filled(*tensor("")[1:2], '""', "]}]}")),
    (INFER, filled(*tensor("")[1:2], '[""]', "]}]}")),
    (INFER, filled('{"inputs": [{"name": "t", "datatype": "BYTES", "shape": [', "1", "]}]}")),
    (INFER, filled('{"outputs": [', "{}", "]}")),
]


@pytest.mark.parametrize(("path", "body"), COSTLY)
def test_a_body_of_a_million_values_is_refused_before_they_are_made(
    client: TestClient, path: str, body: bytes
) -> None:
    start = time.process_time()
    for coding, raw in (("", body), ("gzip", gzip.compress(body, 1))):
        answer = sent(client, path, raw, coding)
        assert answer.status_code in (400, 422)
        assert len(answer.content) < 1000
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("line", ["a", '"a"', ",", "", '"\n\n"'])
def test_a_table_of_a_million_lines_is_refused_after_the_last_that_is_taken(
    client: TestClient, line: str
) -> None:
    start = time.process_time()
    answer = sent(client, "/invocations", filled("text\n", line, "", by="\n"), kind="csv")
    assert answer.status_code == (400 if line else 200)  # empty lines are left out
    assert time.process_time() - start < SECONDS


def test_a_line_of_a_million_cells_is_refused(client: TestClient) -> None:
    for table in (b"," * BIG, b"text\n" + b"," * BIG, b"a," * (BIG // 2)):
        answer = sent(client, "/invocations", table, kind="csv")
        assert (answer.status_code, answer.json()["message"]) == (
            400,
            "the body is not CSV; at body; got more than 100000 commas in a line; "
            "expected CSV in UTF-8 whose first line names the columns",
        )


def test_as_many_texts_as_a_call_may_have_are_answered(client: TestClient) -> None:
    texts = [f"{i}, [{{'\\\"" for i in range(1024)]
    for path, body in (
        ("/v1/predict", {"inputs": texts}),
        ("/invocations", {"dataframe_records": [{"text": t} for t in texts]}),
        (INFER, {"inputs": [TENSOR | {"shape": [1024, 1], "data": [[t] for t in texts]}]}),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert len(found.get("predictions") or found["outputs"][0]["data"]) == 1024


def test_a_binary_tensor_of_too_many_texts(client: TestClient) -> None:
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "t",
                    "shape": [1],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": 2_000_000},
                }
            ]
        }
    )
    headers = {"inference-header-content-length": str(len(head))}
    answer = client.post(INFER, content=head.encode() + bytes(2_000_000), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        "too many inputs in one call; at inputs; got more than 1024"
    )


def test_a_fault_quotes_little_of_what_was_sent(client: TestClient) -> None:
    key = "k" * 30_000
    for path, body in (
        ("/v1/predict", {"text": "a", key: [key] * 9}),
        ("/invocations", {"inputs": [[[key] * 9] * 9]}),
        (INFER, {"inputs": [TENSOR], "parameters": {"segments": {key: key}}}),
        (INFER, {"inputs": [TENSOR | {"shape": [10**4000]}]}),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code in (400, 422)
        assert len(answer.content) < 1000


def test_very_many_faults_are_not_listed(client: TestClient) -> None:
    answer = client.post("/v1/predict", json={"text": "a"} | {f"k{i}": i for i in range(50_000)})
    assert (answer.status_code, answer.json()["got"]) == (422, "50000 faults")


def test_values_in_strings_do_not_count() -> None:
    text = json.dumps({"text": 'a, b, [c], {d}, \\" \\\\'})
    assert values(text.encode()) == 2
    assert values(rb'["\\", "\\\"", ","]') == 4


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", '"iso-8859-1"'])
@pytest.mark.parametrize("path", CALLS)
def test_a_text_that_is_not_called_utf8_is_not_read(
    client: TestClient, path: str, charset: str
) -> None:
    body = json.dumps(CALLS[path][0]).encode()
    assert sent(client, path, body, kind=f"application/json; charset={charset}").status_code == 415
    good = sent(client, path, body, kind='Application/JSON; Charset="UTF-8"')
    assert good.status_code == CALLS[path][1]
