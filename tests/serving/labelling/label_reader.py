"""A browser with the labelling page open, and what a person does and sees there."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.records.answers import Prediction
from core.store import Store
from serving.labelling.annotation_queue import Labelling
from serving.service import Service
from tests.fake_models import NOW
from tests.serving.labelling.label_queue import ask, pick, shelf, sighted, texts_of
from tests.serving.real_server import running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
in_a_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium: apt-get install chromium")
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@contextmanager
def browsing() -> Iterator[Any]:
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Reader:
    """One person with the page open, and what the browser complained of."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return str(self.page.text_content("#text"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, words: str) -> None:
        self.page.keyboard.type(words)

    def until(self, script: str) -> None:
        """Wait for it; by asking, as the page's policy lets nobody evaluate in it."""
        end = time.monotonic() + 15
        while not self.page.evaluate(script):
            assert time.monotonic() < end, f"{script}\n{self.page.inner_text('body')}"
            self.page.wait_for_timeout(10)

    def shows(self, text: str) -> None:
        self.until(f"document.getElementById('text').textContent === {json.dumps(text)}")

    def says(self, words: str) -> None:
        self.until(f"document.body.innerText.includes({json.dumps(words)})")

    def saved(self) -> None:
        self.until("document.getElementById('sync').textContent === 'Saved'")

    def labels(self) -> list[str]:
        return [
            str(x)
            for x in self.page.eval_on_selector_all(".chip", "all => all.map(x => x.dataset.label)")
        ]


@contextmanager
def reading(browser: Any, url: str, name: str = "ann", **options: Any) -> Iterator[Reader]:
    context = browser.new_context(**options)
    try:
        yield opened(context, url, name)
    finally:
        context.close()


def opened(context: Any, url: str, name: str = "") -> Reader:
    reader = Reader(context.new_page())
    reader.page.on(
        "console",
        lambda m: reader.complaints.append(m.text) if m.type in ("error", "warning") else None,
    )
    reader.page.on("pageerror", lambda fault: reader.complaints.append(str(fault)))
    reader.page.goto(f"{url}/label")
    if name:
        reader.page.fill("#who-name", name)
        reader.press("Enter")
    reader.until("!document.getElementById('task').hidden || !document.getElementById('empty').hidden")
    return reader


def waiting(store: Store, n: int) -> list[Prediction]:
    """So many tasks whose guess is shown, in the order in which they are given out."""
    rows = sighted(ask(store, texts_of(2 * n + 5)))[:n]
    pick(store, rows)
    return rows


@contextmanager
def serving(store: Store, settings: Labelling | None = None) -> Iterator[str]:
    service = Service(store, shelf().load, max_text=10_000)
    service.switch.turn(NOW)
    with running(service, store, labelling=settings or Labelling()) as url:
        yield url


def said(store: Store) -> dict[str, tuple[str, str | None]]:
    return {v.prediction_id: (v.annotator, v.label) for v in store.queue.all_votes()}
