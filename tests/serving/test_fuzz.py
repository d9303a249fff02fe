"""Anything may be sent to a server: it answers as its own description says, in time, and never by 5xx."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.fuzz import Found, send
from bench.fuzzed import LIMIT, heavy, requests
from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.protocols import tensors
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW
from tests.serving.real_server import running

# Off: a description cannot say that a text is not blank or that a shape fits its data, and there is
# next to nothing that is not CSV, or that these protocols forbid beside what they name.
RULES = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "504"]  # 504: less time than it takes
positive_data_acceptance.enabled = false

[[operations]]
include-tag = ["MLflow", "Open Inference Protocol v2"]
checks.negative_data_rejection.enabled = false
"""


def fuzz(url: str, folder: Path, *options: str) -> None:
    rules = folder / "rules.toml"
    rules.write_text(RULES)
    command = ["-m", "schemathesis.cli", "--config-file", str(rules), "run", f"{url}/openapi.json"]
    always = ["--seed", "1", "--request-timeout", "10", "--generation-database", "none", "--no-color"]
    done = subprocess.run(
        [sys.executable, *command, *always, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_call_holds_its_description(store: Store, service: Service, tmp_path: Path) -> None:
    with running(service, store) as url:
        fuzz(url, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "3")


@pytest.mark.slow
def test_every_call_holds_its_description_at_length(
    store: Store, service: Service, tmp_path: Path
) -> None:
    with running(service, store) as url:
        fuzz(url, tmp_path, "--max-examples", "100")


def fuzzed(service: Service, store: Store, seed: int, count: int, limit: int) -> Found:
    """What a server says to so many requests of the bench, with bodies up to `limit` bytes."""
    with running(service, store) as url:
        port = int(url.rpartition(":")[2])
        return asyncio.run(send(port, requests(seed, count, limit), seconds=600))


def test_nothing_that_is_sent_makes_the_server_fail(store: Store, service: Service) -> None:
    found = fuzzed(service, store, seed=1, count=400, limit=1 << 17)
    assert [(a.kind, status, a.raw[:200], said) for a, status, said in found.failed] == []
    assert sum(found.codes.values()) == 400
    assert set(found.by_status()) >= {200, 400, 403, 404, 405, 409, 415, 422}


@pytest.mark.slow
def test_nothing_that_is_sent_makes_the_server_fail_at_length(store: Store, service: Service) -> None:
    found = fuzzed(service, store, seed=2, count=2000, limit=LIMIT)
    assert [(a.kind, status, a.raw[:200], said) for a, status, said in found.failed] == []


def test_the_same_seed_sends_the_same() -> None:
    one, two = (list(requests(3, 200, 1 << 12)) for _ in range(2))
    other = list(requests(4, 200, 1 << 12))
    unsigned = [[a.raw for a in many if a.kind != "webhook"] for many in (one, two, other)]
    assert unsigned[0] == unsigned[1] != unsigned[2]
    assert len({a.kind for a in one}) >= 11
    largest = [heavy(random.Random(i), 1 << 12) for i in range(9)]  # however little a call may have
    assert all(len(a.raw) < (1 << 12) + 500 for a in largest)


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    engine = Engine(service, lambda: NOW, Metrics())
    return TestClient(create_app(engine, store, lambda: NOW, Serving()), base_url="http://localhost")


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(st.text(max_size=120), max_size=4))
def test_all_protocols_give_any_texts_the_same_labels(client: TestClient, texts: list[str]) -> None:
    n, head = len(texts), "inference-header-content-length"
    tensor = {"name": "text", "shape": [n], "datatype": "BYTES"}
    raw = tensors.encode(texts)
    size = {"parameters": {"binary_data_size": len(raw)}}
    start = orjson.dumps({"inputs": [tensor | size]})
    infer = "/v2/models/everloop/infer"
    found = [
        client.post("/v1/predict", json={"inputs": texts}),
        client.post("/invocations", json={"dataframe_split": {"data": [[t] for t in texts]}}),
        client.post(infer, json={"inputs": [tensor | {"data": texts}]}),
        client.post(infer, content=start + raw, headers={head: str(len(start))}),
    ]
    taken = all(t.strip() and "\x00" not in t and len(t) <= 100 for t in texts)
    assert [a.status_code for a in found] == ([200] * 4 if taken else [422, 400, 400, 400])
    if taken:
        labels = [[p["label"] for p in a.json()["predictions"]] for a in found[:2]]
        labels += [a.json()["outputs"][0]["data"] for a in found[2:]]
        assert labels == [labels[0]] * 4
