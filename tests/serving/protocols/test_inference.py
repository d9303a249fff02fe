"""The Open Inference Protocol v2, by tritonclient, as KServe clients ask, and by hand."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from core.ids import hash_user
from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW, HashEncoder, LinearHead, roll_out
from tests.serving.real_server import running

TEXTS = ["my card?", "wo bleibt sie, bitteschön?"]
SHARES = LinearHead(["card", "cash"], seed=1).probabilities(HashEncoder().encode(TEXTS))
LABELS = [["card", "cash"][p.argmax()] for p in SHARES]
SCORES = [float(p.max()) for p in SHARES]
INFER = "/v2/models/everloop/infer"


@contextmanager
def triton(service: Service, store: Store) -> Iterator[Any]:
    from tritonclient.http import InferenceServerClient

    with (
        running(service, store) as url,
        InferenceServerClient(url.removeprefix("http://"), concurrency=4) as client,
    ):
        yield client


def texts_input(shape: list[int], binary: bool) -> Any:
    from tritonclient.http import InferInput

    given = InferInput("text", shape, "BYTES")
    data = np.array(TEXTS, dtype=object).reshape(shape)
    return given.set_data_from_numpy(data, binary_data=binary)


def test_tritonclient_asks_for_health_and_metadata(store: Store, service: Service) -> None:
    roll_out(store)
    with triton(service, store) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("everloop")
        assert client.is_model_ready("everloop", "2")
        assert not client.is_model_ready("everloop", "7")
        assert not client.is_model_ready("another")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        metadata = client.get_model_metadata("everloop", "1")
    assert metadata["versions"] == ["1", "2"]
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    outputs = [(o["name"], o["datatype"]) for o in metadata["outputs"]]
    assert outputs[:2] == [("label", "BYTES"), ("score", "FP32")]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_tritonclient_infers(
    store: Store, service: Service, shape: list[int], binary_in: bool, binary_out: bool | None
) -> None:
    from tritonclient.http import InferRequestedOutput

    names = ["score", "label", "prediction_id"]
    outputs = [InferRequestedOutput(name, binary_data=binary_out) for name in names]
    with triton(service, store) as client:
        found = client.infer(
            "everloop",
            [texts_input(shape, binary_in)],
            model_version="1",
            request_id="mine",
            outputs=None if binary_out is None else outputs,
        )
        labels, scores, ids = (found.as_numpy(n) for n in ("label", "score", "prediction_id"))
    assert labels.shape == scores.shape == tuple(shape)
    assert [str(t, "utf-8") if isinstance(t, bytes) else t for t in labels.ravel()] == LABELS
    np.testing.assert_allclose(scores.ravel(), SCORES, rtol=1e-6)
    response = found.get_response()
    assert (response["id"], response["model_version"]) == ("mine", "1")
    assert len(response["outputs"]) == (5 if binary_out is None else 3)
    stored = [store.answers.get(t.decode() if isinstance(t, bytes) else t) for t in ids.ravel()]
    assert [p.text for p in stored] == TEXTS


def test_tritonclient_infers_asynchronously_and_compressed(store: Store, service: Service) -> None:
    with triton(service, store) as client:
        calls = [
            client.async_infer(
                "everloop",
                [texts_input([2], True)],
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
                timeout=5_000_000,
                parameters={"user": "ann", "segments": {"channel": "chat"}},
            )
            for algorithm in ("gzip", "deflate", None)
        ]
        answers = [call.get_result() for call in calls]
    for answer in answers:
        assert [label.decode() for label in answer.as_numpy("label")] == LABELS
    stored = store.answers.get(answers[0].as_numpy("prediction_id")[0].decode())
    assert (stored.user_key, stored.segments) == (hash_user("ann"), {"channel": "chat"})


def test_tritonclient_sees_the_reason_of_a_fault(store: Store, service: Service) -> None:
    from tritonclient.utils import InferenceServerException

    with triton(service, store) as client:
        for name, version, why in (
            ("another", "", r"\[404\] no such model; at the URL; got 'another'; expected everloop"),
            ("everloop", "7", r"\[404\] this version does not serve now; at the URL; got '7'"),
        ):
            with pytest.raises(InferenceServerException, match=why):
                client.infer(name, [texts_input([2], True)], model_version=version)


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    engine = Engine(service, lambda: NOW, Metrics())
    return TestClient(
        create_app(engine, store, lambda: NOW, Serving(max_inputs=3)), base_url="http://localhost"
    )


def asked(data: Any = ("a",), shape: Any = (1,), **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": shape, "datatype": "BYTES", "data": data} | more]}


def test_json_alone_as_kserve_asks(client: TestClient) -> None:
    body = asked([["a"], ["b"]], [2, 1]) | {"id": None, "parameters": None, "outputs": None}
    answer = client.post(INFER, json=body).json()
    assert "id" not in answer
    assert [o["shape"] for o in answer["outputs"]] == [[2, 1]] * 5
    assert [o["data"] for o in answer["outputs"][3:]] == [["1", "1"], ["champion", "champion"]]


def test_no_texts_are_answered_by_empty_tensors(client: TestClient) -> None:
    answer = client.post(INFER, json=asked([], [0]) | {"parameters": {"binary_data_output": True}})
    head = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert head == len(answer.content)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_version_that_is_named_answers_whatever_the_router_would_say(
    client: TestClient, store: Store, share: float
) -> None:
    roll_out(store, share=share)
    for version in ("1", "2"):
        answer = client.post(f"/v2/models/everloop/versions/{version}/infer", json=asked())
        assert (answer.status_code, answer.json()["model_version"]) == (200, version)


def test_two_versions_of_one_answer_are_told_text_by_text(client: TestClient, store: Store) -> None:
    roll_out(store, share=0.5)
    outputs = [{"name": "model_version"}, {"name": "variant"}]
    for _ in range(50):
        answer = client.post(INFER, json=asked(["a", "b"], [2]) | {"outputs": outputs}).json()
        versions, variants = (o["data"] for o in answer["outputs"])
        assert variants == [{"1": "champion", "2": "canary"}[v] for v in versions]
        assert answer.get("model_version") == (versions[0] if len(set(versions)) == 1 else None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (asked(shape=[2]), "wrong shape; at inputs[0].shape; got [2]; expected [1] or [1, 1]"),
        (asked(shape=[10**30]), "wrong shape; at inputs[0].shape"),
        (asked(datatype="FP32"), "this value cannot be taken; at inputs[0].datatype; got 'FP32'"),
        (asked(data=[1.5]), "this value cannot be taken; at inputs[0].data[0]; got 1.5"),
        (asked(data=None), "the input has no data, or not one data; at inputs[0]"),
        (asked(parameters={"binary_data_size": 3}), "the input has no data, or not one data"),
        (asked(["a"] * 4, [4]), "too many inputs in one call; at inputs; got 4; expected at most 3"),
        (asked() | {"outputs": [{"name": "logits"}]}, "this value cannot be taken; at outputs[0].name"),
        (asked() | {"parameters": {"user": 7}}, "this value cannot be taken; at parameters.user"),
        (
            asked(parameters={"shared_memory_region": "r"}),
            "this value cannot be taken; at inputs[0].parameters.shared_memory_region",
        ),
        ({"inputs": []}, "this value cannot be taken; at inputs"),
        ([], "this value cannot be taken; at body"),
    ],
)
def test_what_cannot_be_inferred(client: TestClient, body: Any, message: str) -> None:
    answer = client.post(INFER, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def binary(raw: bytes, size: int | None = None) -> bytes:
    parameters = f'{{"binary_data_size": {len(raw) if size is None else size}}}'
    head = f'{{"inputs":[{{"name":"t","shape":[1],"datatype":"BYTES","parameters":{parameters}}}]}}'
    return head.encode() + raw


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (struct.pack("<I", 9) + b"short", "got an element of 9 bytes, 5 left"),
        (b"\x01\x00", "got unpack_from requires a buffer of at least 4 bytes"),
        (struct.pack("<I", 1) + b"\xff", "got 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_binary_data_that_cannot_be_read(client: TestClient, raw: bytes, why: str) -> None:
    body = binary(raw)
    length = str(len(body) - len(raw))
    answer = client.post(INFER, content=body, headers={"inference-header-content-length": length})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"the binary data cannot be read; at inputs[0]; {why}")


@pytest.mark.parametrize("length", ["-1", "x", "9999", "1" * 5000, ""])
def test_a_length_that_cannot_be(client: TestClient, length: str) -> None:
    headers = {"inference-header-content-length": length}
    answer = client.post(INFER, content=binary(b"\0\0\0\0"), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("this header cannot be read")


@pytest.mark.parametrize(
    ("content", "encoding", "status", "why"),
    [
        (b"no gzip", "gzip", 400, "the body is not gzip"),
        (gzip.compress(b"{}" * 100)[:-9], "gzip", 400, "the gzip body is cut off or too large"),
        (gzip.compress(b" " * 20_000_000), "gzip", 400, "the gzip body is cut off or too large"),
        (b"{}", "br", 415, "this content encoding is not read here"),
    ],
    ids=["no gzip", "cut off", "too large", "br"],
)
def test_compressed_bodies_that_cannot_be_read(
    client: TestClient, content: bytes, encoding: str, status: int, why: str
) -> None:
    answer = client.post(INFER, content=content, headers={"content-encoding": encoding})
    assert (answer.status_code, answer.json()["error"].partition(";")[0]) == (status, why)
