"""Asks /health again and again, in a process of its own, until stdin closes; then says how long.

python -m bench.prober 8000
ready
{"count": 1500, "p50": 0.6, "p99": 2.1, "max": 8.4}
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

import numpy as np

EVERY = 0.02  # seconds


def main() -> None:
    port = int(sys.argv[1])
    over = threading.Event()
    threading.Thread(target=_until_closed, args=(over,), daemon=True).start()
    request = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    took: list[float] = []
    failed = 0
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        print("ready", flush=True)
        while not over.wait(EVERY) or not took:
            start = time.perf_counter()
            line.sendall(request)
            answer = b""
            while b"}" not in answer:  # the end of the body, which may come after the headers
                answer += line.recv(65_536)
            failed += not answer.startswith(b"HTTP/1.1 200")
            took.append((time.perf_counter() - start) * 1000)
    found = {"count": len(took), "failed": failed, "max": round(max(took), 2)}
    found |= {f"p{q}": round(float(np.percentile(took, q)), 2) for q in (50, 99)}
    print(json.dumps(found))


def _until_closed(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
