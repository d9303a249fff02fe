"""Callers who ask a server without pause, every second time for a stream, and keep all that they hear."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class HeardAnswer:
    answer_id: str
    version: str
    text: str
    finish: str


@dataclass
class Callers:
    """`failures` are answers that were refused, broke off, or named two versions."""

    address: str
    body: dict[str, Any]
    answers: list[HeardAnswer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    rates: bool = False  # each answer gets a thumb
    thumbs: list[str] = field(default_factory=list)  # the ids of answers whose thumb was taken
    asked: int = 0
    over: bool = False

    @contextmanager
    def asking(self, count: int) -> Iterator[Callers]:
        threads = [threading.Thread(target=self._ask, args=(at,)) for at in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.over = True
            for thread in threads:
                thread.join(60)

    def _ask(self, at: int) -> None:
        with httpx.Client(base_url=self.address, timeout=60) as http:
            turn = at
            while not self.over:
                turn += 1
                self.asked += 1
                try:
                    self.answers.append(one := self.stream(http) if turn % 2 else self.whole(http))
                    if self.rates and self.rate(http, one.answer_id):
                        self.thumbs.append(one.answer_id)
                except (httpx.HTTPError, ValueError, KeyError, IndexError) as fault:
                    self.failures.append(f"{type(fault).__name__}: {fault}")

    def rate(self, http: httpx.Client, answer_id: str) -> bool:
        body = {"prediction_id": answer_id, "kind": "thumbs", "value": "up"}
        return http.post("/v1/feedback", json=body).status_code == 200

    def whole(self, http: httpx.Client) -> HeardAnswer:
        answer = http.post("/v1/chat/completions", json=self.body)
        if answer.status_code != 200:
            raise ValueError(answer.text)
        said = answer.json()
        choice = said["choices"][0]
        return HeardAnswer(
            said["id"], _version(said), choice["message"]["content"], choice["finish_reason"]
        )

    def stream(self, http: httpx.Client) -> HeardAnswer:
        with http.stream("POST", "/v1/chat/completions", json=self.body | {"stream": True}) as answer:
            if answer.status_code != 200:
                raise ValueError(answer.read().decode())
            lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
        if lines.pop() != "[DONE]":
            raise ValueError("it broke off")
        events = [json.loads(line) for line in lines]
        if len({(e["id"], e["model"]) for e in events}) != 1:
            raise ValueError("more than one version in a stream")
        parts = [e["choices"][0] for e in events]
        text = "".join(part["delta"].get("content") or "" for part in parts)
        return HeardAnswer(events[0]["id"], _version(events[0]), text, parts[-1]["finish_reason"])


def _version(said: dict[str, Any]) -> str:
    return str(said["model"]).removeprefix("everloop-")
