"""Services that are away, each in its own way, on loopback."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REFUSED = "127.0.0.1:9"
NO_SUCH_NAME = "no-such-host.invalid"


@contextmanager
def black_hole() -> Iterator[str]:
    """HOST:PORT that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:
        yield f"127.0.0.1:{door.getsockname()[1]}"


@contextmanager
def answering(
    status: int, body: str, kind: str = "text/html", tls: Path | None = None
) -> Iterator[str]:
    """HOST:PORT that gives every call this answer; over TLS, with a certificate made in `tls`."""
    raw = body.encode()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(raw)

        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = _with_tls(server.socket, tls)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def going_away(stall: bool) -> Iterator[str]:
    """HOST:PORT of a tracking server that answers once and then takes calls without answering, or
    takes none any more."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:

        def once() -> None:
            call, _ = door.accept()
            with call:
                call.recv(65536)
                call.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            if not stall:
                door.shutdown(socket.SHUT_RDWR)
                door.close()

        threading.Thread(target=once, daemon=True).start()
        yield f"127.0.0.1:{door.getsockname()[1]}"


def _with_tls(door: socket.socket, folder: Path) -> ssl.SSLSocket:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        ["openssl", "req", *made, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context.wrap_socket(door, server_side=True)
