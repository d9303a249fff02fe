"""What is around a body has a bound too."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from core.state import Champion
from core.store import Store
from serving.service import Service
from serving.wire import MOST
from tests.serving.real_server import running

LONG = b"a" * (3 * MOST)
CHUNKED = b"POST /v1/predict HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    from tests.fake_models import Shelf

    store = Store(f"sqlite:///{tmp_path_factory.mktemp('wire')}/store.db")
    store.state.write(Champion("1"))
    with running(Service(store, Shelf().load, max_text=100), store) as url:
        yield int(url.rpartition(":")[2])
    store.close()


def said(port: int, raw: bytes) -> bytes:
    """The begin of what the server says, b"" where it only ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        with suppress(ConnectionError):
            line.sendall(raw)
        with suppress(ConnectionError):
            return line.recv(4096)
    return b""


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /" + LONG + b" HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + LONG + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * MOST + b"\r\n",
        CHUNKED + b"1;" + LONG + b"\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1\r\na\r\n0\r\nx: " + LONG + b"\r\n\r\n",
        CHUNKED + b"1\r\na\r\n" * MOST,
    ],
    ids=["path", "header", "headers", "chunk extension", "trailer", "tiny chunks"],
)
def test_an_endless_head_is_cut_off(port: int, raw: bytes) -> None:
    answer = said(port, raw)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert said(port, b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_long_body_in_chunks_is_no_long_head(port: int) -> None:
    text = b'{"text": "my card?"' + b" " * 3_000_000 + b"}"
    parts = (text[i : i + 64] for i in range(0, len(text), 64))
    body = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts)
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-type: application/json\r\n\r\n")
    assert said(port, head + body + b"0\r\n\r\n").startswith(b"HTTP/1.1 200")
