"""Requests that nobody would send, and some that everybody does: any number of them, from one seed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import math
import random
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

LIMIT = 4 * 1024 * 1024  # serving.max_body_bytes
MOST = 1024  # serving.max_inputs
SECRET = "a secret of both"
WORDS = [
    "my",
    "card",
    "is",
    "lost",
    "where",
    "order",
    "refund",
    "please",
    "straße",
    "数据",
    "\U0001f600",
]


@dataclass(frozen=True)
class Asked:
    """One request, as bytes. `hurried`: it gives less time than an answer takes, so 504 is right."""

    kind: str
    raw: bytes
    method: str = "POST"
    hurried: bool = False
    heavy: bool = False  # as many texts as a call may have: one such at a time
    wild: bool = False  # not HTTP: the connection may end without an answer


@dataclass
class Call:
    """A request under way to `Asked`."""

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: dict[str, bytes] = field(default_factory=dict)
    chunked: bool = False

    def raw(self) -> bytes:
        headers = {"host": b"127.0.0.1"} | self.headers
        body = self.body
        if self.chunked:
            headers["transfer-encoding"] = b"chunked"
            parts = [body[i : i + 60_000] for i in range(0, len(body), 60_000)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
        elif body or self.method in ("POST", "PUT", "PATCH"):
            headers.setdefault("content-length", b"%d" % len(body))
        lines = [b"%s %s HTTP/1.1" % (self.method.encode(), self.path.encode("latin-1"))]
        lines += [name.encode() + b": " + value for name, value in headers.items()]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


def requests(seed: int, count: int, limit: int = LIMIT) -> Iterator[Asked]:
    """So many requests, the same ones for the same seed (a signature's time apart)."""
    rng = random.Random(seed)
    kinds, weights = zip(*KINDS.items(), strict=True)
    for _ in range(count):
        kind = rng.choices(kinds, weights)[0]
        yield kind(rng, limit)


def valid(rng: random.Random, _limit: int) -> Asked:
    """What a client sends."""
    return _asked("valid", _good(rng, rng.randint(1, 4)))


def heavy(rng: random.Random, limit: int) -> Asked:
    """As much as a client may send: all texts of a call, or all its bytes."""
    count = rng.choice([MOST, MOST // 4])
    call = _good(rng, count, longest=limit // count // 2 if rng.random() < 0.3 else 0)
    while len(call.body) > limit:
        count //= 2
        call = _good(rng, count)
    return Asked("heavy", call.raw(), heavy=True)


def mutated(rng: random.Random, _limit: int) -> Asked:
    """A good body with some of its bytes wrong."""
    call = _good(rng, rng.randint(0, 3))
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        start = rng.randrange(len(call.body) + 1)
        end = min(len(call.body), start + rng.choice([0, 0, 1, 3, 10]))
        call.body = call.body[:start] + rng.choice(TOKENS) + call.body[end:]
    return _asked("mutated", call)


def repeated(rng: random.Random, limit: int) -> Asked:
    """One item again and again, up to the limit, inside whatever takes a list."""
    call, wrap = _good(rng, 1), rng.choice(WRAPS)
    call.path = rng.choice(PATHS)
    item, by = rng.choice(ITEMS), rng.choice([b",", b",", b",", b"\n"])
    size = _size(rng, limit - sum(map(len, wrap)))
    call.body = wrap[0] + by.join([item] * max(1, size // (len(item) + 1))) + wrap[1]
    if by == b"\n" or rng.random() < 0.1:
        call.path, call.headers["content-type"] = "/invocations", b"text/csv"
    return _asked("repeated", call)


def nested(rng: random.Random, limit: int) -> Asked:
    call, depth = _good(rng, 1), _size(rng, limit // 12)
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"inputs":[', b"]}")])
    call.body = opening * depth + (closing * depth if rng.random() < 0.5 else b"")
    return _asked("nested", call)


def noise(rng: random.Random, limit: int) -> Asked:
    call = _good(rng, 1)
    call.body = rng.randbytes(_size(rng, limit))
    return _asked("noise", call)


def long(rng: random.Random, limit: int) -> Asked:
    """One very long value."""
    call, size = _good(rng, 1), _size(rng, limit - 100)
    unit = rng.choice([b"x", b"9", b"\\u0000", b"\\ud800", b'\\"', "é".encode(), b"\xff", b"\\", b","])
    value = unit * (size // len(unit))
    quote = b"" if unit == b"9" and rng.random() < 0.7 else b'"'
    name = rng.choice(FIELDS)
    call.body = b'{"' + name + b'": ' + quote + value + quote + b"}"
    return _asked("long", call)


def packed(rng: random.Random, limit: int) -> Asked:
    """Small when it is sent, large when it is unpacked, or not what it says."""
    call = _good(rng, 1)
    plain = rng.choice(ITEMS) * _size(rng, 10 * limit)
    whole = gzip.compress(plain[: 20 * limit], 1)
    call.body = rng.choice(
        [whole, whole[: rng.randrange(1, len(whole))], zlib.compress(plain, 1), whole + b"more"]
    )
    if rng.random() < 0.2:
        call.body = gzip.compress(call.body[:9]) * rng.choice([2, 50, 20_000])
    call.body = call.body[:limit]
    call.headers["content-encoding"] = rng.choice([b"gzip", b"x-gzip", b"deflate", b"GZIP", b"br"])
    return Asked("packed", call.raw())


def headed(rng: random.Random, _limit: int) -> Asked:
    """A good body under headers that nobody sends."""
    call, hurried = _good(rng, 1), False
    for name in rng.sample(sorted(HEADERS), rng.randint(1, 3)):
        value = rng.choice(HEADERS[name])
        call.headers[name] = value
        hurried |= name == "x-timeout-ms"
    call.chunked = rng.random() < 0.2
    return Asked("headed", call.raw(), hurried=hurried)


def binary(rng: random.Random, limit: int) -> Asked:
    """A binary tensor: lengths that are right, wrong, or nothing but zeros."""
    size = _size(rng, limit - 1000)
    raw = rng.choice([bytes(size), b"\1\0\0\0a" * (size // 5), rng.randbytes(size), b"\xff" * size])
    count = rng.choice([1, size // 4, 0])
    parameters = {"binary_data_size": rng.choice([len(raw), 0, 2**70])}
    tensor = {"name": "t", "shape": [count], "datatype": "BYTES", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    at = rng.choice([len(head), len(head), 0, 10**9])
    headers = {"inference-header-content-length": b"%d" % at}
    return Asked("binary", Call(INFER, head + raw, headers=headers).raw())


def webhook(rng: random.Random, limit: int) -> Asked:
    """Rightly signed, whatever is in it."""
    body = rng.choice(
        [b"xx", b"", b"[]", b'{"entity": 1}', rng.choice(ITEMS) * _size(rng, limit // 20)]
    )
    at = rng.choice([str(int(time.time())), "9" * 5000, "\u0663", "-1"]).encode()
    code = base64.b64encode(hmac.digest(SECRET.encode(), b"d." + at + b"." + body, hashlib.sha256))
    headers = {"x-mlflow-delivery-id": b"d", "x-mlflow-timestamp": at}
    headers |= {"x-mlflow-signature": b"v1," + code}
    return Asked("webhook", Call("/v1/webhooks/mlflow", body, headers=headers).raw())


def looked(rng: random.Random, _limit: int) -> Asked:
    """Everything that has no body."""
    path = rng.choice(LOOKS).replace("ODD", rng.choice(ODD))
    method = rng.choice(["GET", "GET", "HEAD", "DELETE", "OPTIONS", "PUT"])
    return Asked("looked", Call(path, method=method).raw(), method=method)


def wild(rng: random.Random, _limit: int) -> Asked:
    """What is hardly HTTP."""
    good = bytearray(_good(rng, 1).raw())
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(min(len(good), 200))
        good[at : at + rng.randint(0, 2)] = rng.choice([b"\r\n", b"\0", b":", b" ", rng.randbytes(3)])
    return Asked("wild", bytes(good), wild=True)


KINDS: dict[Callable[[random.Random, int], Asked], float] = {
    valid: 20,
    mutated: 30,
    repeated: 8,
    nested: 3,
    noise: 3,
    long: 6,
    packed: 5,
    headed: 12,
    binary: 5,
    webhook: 3,
    looked: 8,
    wild: 3,
    heavy: 0.05,
}
INFER = "/v2/models/everloop/infer"
PATHS = ["/v1/predict", "/v1/feedback", "/v1/label/votes", "/invocations", INFER]
PATHS += ["/endpoints/everloop/invocations", "/v2/models/everloop/versions/1/infer"]
FIELDS = [b"text", b"inputs", b"segments", b"instances", b"value", b"label", b"user", b"id", b"k"]
ITEMS = [
    b'""',
    b"[]",
    b"{}",
    b"1",
    b"null",
    b"a",
    b'"a,b"',
    b'{"a":1}',
    b"[[]]",
    b'"',
    b",",
    b"\n",
    b"-",
]
WRAPS = [
    (b"[", b"]"),
    (b"{", b"}"),
    (b"", b""),
    (b'{"inputs": [', b"]}"),
    (b'{"text": "a", "segments": {', b"}}"),
    (b'{"dataframe_split": {"columns": [', b'], "data": []}}'),
    (b'{"dataframe_split": {"data": [', b"]}}"),
    (b'{"dataframe_records": [', b"]}"),
    (b'{"instances": {"text": [', b"]}}"),
    (b'{"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES", "data": [', b"]}]}"),
    (b'{"inputs": [{"name": "t", "datatype": "BYTES", "data": [], "shape": [', b"]}]}"),
    (b'{"outputs": [', b"]}"),
]
TOKENS = [b"", b"\xff", b"\0", b"\\ud800", b"1e999", b"NaN", b"-Infinity", b"9" * 400, b"9" * 5000]
TOKENS += [
    b"[",
    b"{",
    b"}",
    b'"',
    b"\\",
    b",",
    b'"a": 1,',
    b"\xef\xbb\xbf",
    b"null",
    b"true",
    b"-",
    b"\r\n",
]
ODD = ["%00", "%ff%fe", "..%2f..", "a" * 3000, "%F0%9F%98%80", "\xe9", "%ud800", "'--", "1"]
LOOKS = [
    "/health",
    "/ready",
    "/ping",
    "/version",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/label",
    "/v2",
]
LOOKS += ["/v2/models/ODD", "/v2/models/everloop/versions/ODD", "/v1/label/next?annotator=ODD&n=ODD"]
LOOKS += ["/v1/label/progress?annotator=a&since=ODD", "/v1/label/similar/ODD", "/api/2.0/endpoints/ODD"]
LOOKS += [
    "/v1/label/votes/ODD?annotator=ODD",
    "/v1/label/setup",
    "/label/ODD",
    "/ODD",
    "/v1/predict?ODD",
]
HEADERS = {
    "content-type": [
        b"",
        b";;",
        b"text/csv",
        b"application/json; charset=utf-16",
        b"\xff",
        b"a" * 9000,
    ],
    "content-encoding": [b"gzip", b"identity", b"", b",", b"gzip, gzip", b"\xff", b"zstd"],
    "host": [b"", b"[::1", b"evil.test", b"localhost:99999", b"\xff", b"[::1]:80", b"a" * 9000],
    "origin": [b"http://[::1", b"null", b"", b"http://127.0.0.1", b"http://\xff", b"//", b"http://[x]"],
    "sec-fetch-site": [b"cross-site", b"none", b"", b"\xff"],
    "x-timeout-ms": [b"1", b"nan", b"-1", b"1e999", b"9" * 5000, b"0x10", b"", b"\xff", b"1_0"],
    "inference-header-content-length": [b"-1", b"9" * 5000, b"", b"\xff", b"1e3"],
    "authorization": [b"Bearer", b"Bearer " + b"x" * 9000, b"\xff", b"Basic \xff", b""],
    "traceparent": [b"00-" + b"f" * 9000, b"", b"\xff", b"00-0-0-0"],
    "x-forwarded-for": [b"[::1, 9.9.9.999", b"\xff", b"a" * 9000, b"unknown", b",,,"],
    "x-request-id": [b"\x01", b"a" * 9000, b"\xff", b"a b"],
    "cookie": [b"\xff" * 100, b"=;=;"],
    "expect": [b"100-continue", b"?"],
    "content-length": [b"0", b"9" * 30, b"-1", b"+5", b"1 1", b"x"],
    "transfer-encoding": [b"gzip", b"chunked, chunked", b"\xff"],
    "connection": [b"close", b"\xff"],
}


def _asked(kind: str, call: Call) -> Asked:
    return Asked(kind, call.raw())


def _size(rng: random.Random, most: int) -> int:
    """Of any order of magnitude up to `most`, and `most` itself now and then."""
    return most if rng.random() < 0.02 else int(math.exp(rng.uniform(0, math.log(most))))


def _text(rng: random.Random, longest: int = 0) -> str:
    found = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 9)))
    return (found * (longest // len(found) + 1))[: min(longest, 9000)] if longest else found


def _good(rng: random.Random, count: int, longest: int = 0) -> Call:
    """A call with so many texts that is answered, or one about something that is not there."""
    texts = [_text(rng, longest) for _ in range(count)]
    tensor = {"name": "text", "shape": [count], "datatype": "BYTES", "data": texts}
    who: dict[str, Any] = {"user": "u1", "segments": {"channel": "chat"}}
    thumbs = {"prediction_id": "019b8b74-1800-75ca-ba2e-f08341255975", "kind": "thumbs", "value": "up"}
    vote = {"prediction_id": thumbs["prediction_id"], "annotator": "ann", "label": None}
    bodies: list[tuple[str, Any]] = [
        ("/v1/predict", {"inputs": texts}),
        ("/v1/predict", {"inputs": [who | {"text": t} for t in texts]}),
        ("/invocations", {"inputs": texts, "params": who}),
        ("/invocations", {"dataframe_split": {"columns": ["text"], "data": [[t] for t in texts]}}),
        ("/endpoints/everloop/invocations", {"dataframe_records": [{"text": t} for t in texts]}),
        ("/invocations", {"instances": {"text": texts}}),
        (
            INFER,
            {"inputs": [tensor], "parameters": who | {"timeout": 0}, "outputs": [{"name": "label"}]},
        ),
        ("/v2/models/everloop/versions/1/infer", {"id": "1", "inputs": [tensor]}),
    ]
    if count < MOST // 4:
        bodies += [("/v1/feedback", thumbs), ("/v1/label/votes", vote), ("/v1/predict", {"text": "a"})]
    path, body = rng.choice(bodies)
    plain = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode()
    return Call(path, plain, headers={"content-type": b"application/json"})
