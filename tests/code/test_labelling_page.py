"""The labelling page in a real browser, on a real server and a real store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.records import Annotation, AnnotationTask, Prediction
from core.store import Store
from flows.home import open_home
from serving.labelling.desk import Labelling
from serving.service import Service
from tests.code.fake_models import NOW
from tests.code.label_desk import (
    ASKED,
    MANY,
    Killable,
    ask,
    browsing,
    in_a_browser,
    pick,
    shelf,
    sighted,
    texts_of,
)
from tests.code.real_server import now, running, wait_until

pytestmark = in_a_browser
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


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
    service.refresh(NOW)
    with running(service, store, labelling=settings or Labelling()) as url:
        yield url


def said(store: Store) -> dict[str, tuple[str, str | None]]:
    return {v.prediction_id: (v.annotator, v.label) for v in store.all_votes()}


def test_a_label_is_a_keystroke_or_two(store: Store, browser: Any) -> None:
    rows = waiting(store, 7)
    with serving(store) as url, reading(browser, url) as ann:
        page, [a, b, c, d, e, f, g] = ann.page, rows
        ann.shows(a.text)
        guess = ann.labels()[0]
        assert guess == a.label
        ann.press("Enter")
        ann.shows(b.text)
        third = ann.labels()[2]
        ann.press("3")
        ann.shows(c.text)
        ann.press("/")
        ann.type("car pa")
        assert page.text_content('#found [aria-selected="true"] span') == "pay_card"
        ann.press("Enter")
        ann.shows(d.text)
        ann.press("n")
        ann.type("lost luggage")
        ann.press("Enter")
        assert "not a label yet" in page.text_content("#fresh-near")
        ann.press("Enter")
        ann.shows(e.text)
        ann.press("s")
        ann.type("two things at once")
        ann.press("Enter")
        ann.shows(f.text)
        ann.press("Enter", "u")
        ann.shows(f.text)
        ann.press("2")
        ann.shows(g.text)
        ann.saved()
        ann.says("6 done today, 1 left")
        votes = said(store)
        assert {p.text: votes[p.prediction_id] for p in rows[:5]} == {
            a.text: ("ann", guess),
            b.text: ("ann", third),
            c.text: ("ann", "pay_card"),
            d.text: ("ann", "lost luggage"),
            e.text: ("ann", None),
        }
        assert votes[f.prediction_id][1] not in (None, f.label)
        assert [v.note for v in store.votes_of([e.prediction_id])] == ["two things at once"]
        assert store.annotations() == 5
        assert ann.complaints == []


@pytest.mark.slow
def test_the_same_text_after_a_reload_and_undo_back_and_forth(store: Store, browser: Any) -> None:
    rows = waiting(store, 6)
    with serving(store) as url, reading(browser, url) as ann:
        ann.press("Enter")
        ann.shows(rows[1].text)
        ann.page.reload()
        ann.shows(rows[1].text)
        assert ann.page.is_disabled("#undo")
        ann.press("Enter", "1", "2")
        ann.shows(rows[4].text)
        ann.press("u", "u", "u")
        ann.shows(rows[1].text)
        ann.saved()
        ann.until("document.getElementById('undo').disabled")
        wait_until(lambda: set(said(store)) == {rows[0].prediction_id})
        for row in rows[1:5]:  # what was taken back comes again, in order
            ann.shows(row.text)
            ann.press("2")
        ann.saved()
        wait_until(lambda: len(said(store)) == 5)
        assert ann.complaints == []


@pytest.mark.slow
def test_another_label_right_after_undo_is_the_one_that_counts(store: Store, browser: Any) -> None:
    rows = waiting(store, 3)
    with serving(store) as url, reading(browser, url) as ann:
        for _ in range(6):  # faster than any answer
            ann.press("1", "u", "2", "u", "3", "u")
        ann.press("4")
        ann.saved()
        fourth = said(store)[rows[0].prediction_id][1]
        assert fourth not in (None, rows[0].label)
        assert store.labels_of([rows[0].prediction_id]) == {rows[0].prediction_id: fourth}
        assert len(said(store)) == 1
        assert ann.complaints == []


@pytest.mark.slow
def test_the_next_text_is_there_before_the_server_answers(store: Store, browser: Any) -> None:
    rows = waiting(store, 5)
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        ann.page.wait_for_load_state("networkidle")
        ann.page.route("**/v1/label/**", lambda route: None)  # nothing is answered any more
        ann.press("Enter")
        assert ann.text == rows[1].text
        ann.press("Enter")
        assert ann.text == rows[2].text


@pytest.mark.slow
def test_two_people_never_have_the_same_text(store: Store, browser: Any) -> None:
    rows = waiting(store, 30)
    with (
        serving(store) as url,
        reading(browser, url, "ann") as ann,
        reading(browser, url, "bob") as bob,
    ):
        seen: dict[str, str] = {}
        while len(said(store)) < 30:
            for who, reader in (("ann", ann), ("bob", bob)):
                if not reader.page.is_visible("#task"):
                    continue
                assert seen.setdefault(reader.text, who) == who
                reader.press("Enter")
            ann.page.wait_for_timeout(15)
        ann.says("Done:")
        bob.says("Done:")
        by = {p.text: said(store)[p.prediction_id][0] for p in rows}
        assert seen == by
        assert min(list(by.values()).count(who) for who in ("ann", "bob")) >= 8
        assert ann.complaints == bob.complaints == []


@pytest.mark.slow
def test_a_server_killed_at_any_moment_loses_nothing(store: Store, browser: Any) -> None:
    rows = waiting(store, 24)
    server, wanted = Killable(store), {}
    try:
        with reading(browser, server.url) as ann:
            for moment in (0, 5, 20):  # ms after the key
                ann.page.wait_for_timeout(300)
                ann.until("!document.getElementById('task').hidden")
                for _ in range(3):
                    wanted[ann.text] = ann.labels()[0]
                    ann.press("Enter")
                    if not ann.page.is_visible("#task"):
                        break
                ann.page.wait_for_timeout(moment)
                server.kill()
                if ann.page.is_visible("#task"):  # work goes on
                    wanted[ann.text] = ann.labels()[1]
                    ann.press("2")
                server.start()
                ann.saved()
            votes = said(store)
            found = {p.text: votes[p.prediction_id][1] for p in rows if p.prediction_id in votes}
            assert found == wanted
            assert len(wanted) >= 9
            assert store.annotations() == len(wanted)
    finally:
        server.kill()


@pytest.mark.slow
def test_a_real_workspace_served_and_labelled(own: Path, browser: Any) -> None:
    store = open_home(own).store
    before = store.annotations()
    command = [sys.executable, "-m", "everloop", "serve", "-w", str(own), "--port", "0"]
    server = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = server.stdout.readline().split()[2].rstrip(",")  # type: ignore[union-attr]
        ids = list(store.window(ASKED - timedelta(days=30), now()).rows["prediction_id"])
        unasked = [i for i in ids if not store.task_ids([i])][:3]
        store.add_tasks([AnnotationTask(i, ASKED, "r", "margin", 0.5, audit=False) for i in unasked])
        with reading(browser, url) as ann:
            ann.press("Space", "Enter")
            ann.saved()
            ann.says("1 done today")
            assert ann.complaints == []
    finally:
        server.terminate()
        server.communicate()
    assert store.annotations() == before + 1
    assert [v.annotator for v in store.all_votes()] == ["ann"]
    store.close()


@pytest.mark.slow
def test_a_browser_that_keeps_nothing_moves_nothing(store: Store, browser: Any) -> None:
    rows = waiting(store, 3)
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        ann.page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
        ann.press("Enter")
        ann.says("This page stumbled.")
        ann.shows(rows[0].text)
        assert said(store) == {}


@pytest.mark.slow
def test_without_the_server_labels_are_kept_and_sent_later(store: Store, browser: Any) -> None:
    rows = waiting(store, 8)
    with serving(store) as url:
        context = browser.new_context()
        ann = opened(context, url, "ann")
        ann.page.wait_for_load_state("networkidle")
        context.set_offline(True)
        ann.press("Enter", "Enter")
        ann.says("The server does not answer: 2 labels kept here")
        ann.press("u", "2", "Enter")
        ann.says("Waiting for the server.")
        assert said(store) == {}
        ann.page.close(run_before_unload=False)  # the tab is gone, the labels are not
        context.set_offline(False)
        again = opened(context, url)
        again.saved()
        wait_until(lambda: len(said(store)) == 3)
        again.shows(rows[3].text)
        votes = said(store)
        assert [votes[p.prediction_id] for p in rows[:3]] == [
            ("ann", rows[0].label),
            ("ann", votes[rows[1].prediction_id][1]),
            ("ann", rows[2].label),
        ]
        assert votes[rows[1].prediction_id][1] != rows[1].label
        again.page.wait_for_load_state("networkidle")
        context.set_offline(True)
        again.press("Enter")
        again.says("1 label kept here")
        context.set_offline(False)
        again.saved()
        wait_until(lambda: len(said(store)) == 4)
        context.close()


@pytest.mark.slow
def test_a_label_that_is_refused_is_said_and_stays_said(store: Store, browser: Any) -> None:
    rows = waiting(store, 5)
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        store.annotate([Annotation(rows[0].prediction_id, "pay_bill", "file", now())])
        ann.press("2")
        ann.says("was not taken, for the text “where is my card")
        ann.says("this prediction is already labelled 'pay_bill'")
        ann.shows(rows[1].text)
        ann.press("Enter")
        ann.shows(rows[2].text)
        assert ann.page.is_visible("#refused p")
        ann.page.click("#refused button")
        assert not ann.page.is_visible("#refused p")
        ann.saved()
        assert rows[1].prediction_id in said(store)


@pytest.mark.slow
def test_a_label_that_a_dataset_has_cannot_be_taken_back(store: Store, browser: Any) -> None:
    rows = waiting(store, 3)
    with serving(store) as url, reading(browser, url) as ann:
        ann.press("Enter")
        ann.saved()
        store.claim("v0002", now() + timedelta(hours=1))
        ann.press("u")
        ann.says("This could not be taken back")
        ann.shows(rows[1].text)
        assert store.labels_of([rows[0].prediction_id])


HOSTILE = [
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>",
    "</p></section><style>*{display:none}</style> &lt;b&gt; \"quoted\" 'too'",
    "\u202eright to left override \u2066 and isolate",
    "مرحبا، أين بطاقتي؟ card 42",
    "{{7*7}} ${7*7} `x` \\u003cscript\\u003e",
    "line one\nline two\n\n\tindented   spaces",
    "👩\u200d👩\u200d👧 e\u0301 \u200b\ufeff zero width",
    "x" * 5000,
    "word " * 900,
]


@pytest.mark.slow
def test_hostile_texts_labels_and_notes_are_shown_as_they_are(store: Store, browser: Any) -> None:
    rows = ask(store, HOSTILE)
    pick(store, rows)
    others = ask(store, texts_of(9), first=100)
    evil = "<img src=x onerror='window.hacked=1'>"
    store.annotate([Annotation(p.prediction_id, evil, "bob", ASKED) for p in others])
    with serving(store) as url, reading(browser, url, "<b>ann</b>", **PHONE) as ann:
        seen = []
        for _ in HOSTILE:
            ann.page.wait_for_timeout(60)
            seen.append(ann.text)
            if ann.page.is_visible("#reveal"):
                ann.press("Space")
            assert ann.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            ann.press("/")
            ann.type("img src")
            assert ann.page.text_content("#found li span") == evil
            ann.press("Escape", "Enter")
        ann.says("Done: 9 texts today.")
        assert sorted(seen) == sorted(HOSTILE)
        assert ann.page.text_content("#open-who") == "<b>ann</b>"
        assert ann.page.evaluate("window.hacked") is None
        assert ann.complaints == []


@pytest.mark.slow
def test_on_a_phone_a_thumb_is_enough(store: Store, browser: Any) -> None:
    rows = waiting(store, 6)
    with serving(store) as url, reading(browser, url, **PHONE) as ann:
        page = ann.page
        ann.shows(rows[0].text)
        small = page.eval_on_selector_all(
            "button, input, a",
            """all => all.filter(x => x.offsetParent && x.getBoundingClientRect().height < 44)
                         .map(x => x.outerHTML)""",
        )
        assert small == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator(".chip:visible").count() == 5
        page.tap(".chip.guess")
        ann.shows(rows[1].text)
        page.tap("#find")
        ann.type("fnd crd")
        page.tap("#found li")
        ann.shows(rows[2].text)
        page.tap("#undo")
        ann.shows(rows[1].text)
        page.tap(".chip >> nth=3")
        ann.shows(rows[2].text)
        page.tap("#skip")
        page.tap("#skip-dialog .main")
        ann.shows(rows[3].text)
        page.tap("#fresh")
        ann.type("lost luggage")
        page.tap("#fresh-make")
        page.tap("#fresh-make")
        ann.shows(rows[4].text)
        ann.saved()
        labels = [said(store)[p.prediction_id][1] for p in rows[:4]]
        assert labels[0] == rows[0].label
        assert labels[2:] == [None, "lost luggage"]
        assert ann.complaints == []


@pytest.mark.slow
def test_a_slip_is_asked_about(store: Store, browser: Any) -> None:
    rows = waiting(store, 6)
    with serving(store) as url, reading(browser, url) as ann:
        ann.press("n")
        ann.type("pay_crad")
        ann.press("Enter")
        assert ann.page.evaluate("document.activeElement.textContent") == "pay_card"
        ann.press("Enter")  # the known one
        ann.shows(rows[1].text)
        ann.press("/")
        ann.type("zzz")
        ann.press("Enter")
        assert "“zzz” is not a label yet" in ann.page.text_content("#fresh-near")
        ann.press("Escape", "Escape")  # the dialog, then the field
        ann.shows(rows[1].text)
        ann.press("n")
        ann.type("Pay-Card ")
        ann.press("Enter")  # another spelling of a known one is that one
        ann.shows(rows[2].text)
        ann.press("n")
        ann.type("zzz")
        ann.press("Enter", "Enter")
        ann.shows(rows[3].text)
        ann.press("u")  # and the label that was made is known, or made anew
        ann.shows(rows[2].text)
        ann.press("/")
        ann.type("zz")
        ann.press("Enter")
        ann.shows(rows[3].text)
        ann.saved()
        labels = [said(store)[p.prediction_id][1] for p in rows[:3]]
        assert labels == ["pay_card", "pay_card", "zzz"]
        assert ann.complaints == []


@pytest.mark.slow
def test_a_closed_set_has_no_new_labels(store: Store, browser: Any) -> None:
    rows = waiting(store, 2)
    with serving(store, Labelling(labels=tuple(MANY))) as url, reading(browser, url) as ann:
        assert not ann.page.is_visible("#fresh")
        ann.press("n")
        ann.press("/")
        ann.type("qqq")
        ann.press("Enter")
        assert ann.page.text_content("#found") == "No such label."
        assert not ann.page.is_visible("dialog")
        ann.shows(rows[0].text)


@pytest.mark.slow
def test_where_the_guess_is_hidden_nothing_tells_it(store: Store, browser: Any) -> None:
    rows = ask(store, texts_of(6))
    pick(store, rows[:2], audit=True)
    store.annotate([Annotation(p.prediction_id, p.label, "bob", ASKED) for p in rows[2:]])
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        ann.page.wait_for_load_state("networkidle")
        assert ann.labels() == []
        shown = ann.page.inner_text("body")
        assert not any(word in shown for word in ("%", "hesitates", "Similar", "audit", rows[0].label))
        ann.press("Enter", "1", "5")
        ann.shows(rows[0].text)
        ann.press("Space")
        ann.says(rows[0].label)
        ann.says("Similar texts, labelled")
        ann.press("Enter")
        ann.shows(rows[1].text)
        assert ann.labels() == []  # hidden again
        ann.press("/")
        ann.type("pay card")
        ann.press("Enter")
        ann.saved()
        assert said(store)[rows[1].prediction_id] == ("ann", "pay_card")


@pytest.mark.slow
@pytest.mark.parametrize("audit", [False, True])
def test_few_labels_have_one_key_each(store: Store, browser: Any, audit: bool) -> None:
    few = ["card", "bill", "loan"]
    rows = ask(store, texts_of(8), few)
    rows = rows[:3] if audit else sighted(rows)[:3]
    pick(store, rows, audit=audit)
    service = Service(store, shelf(few).load, max_text=100)
    service.refresh(NOW)
    with running(service, store) as url, reading(browser, url) as ann:
        for row in rows:
            ann.shows(row.text)
            assert ann.labels() == ["bill", "card", "loan"]
            assert ann.page.locator(".chip.guess").count() == (0 if audit else 1)
            assert ann.page.locator(".share").count() == (0 if audit else 3)
            ann.press("2")
        ann.saved()
        assert {label for _, label in said(store).values()} == {"card"}


@pytest.mark.slow
def test_a_key_held_down_is_one_answer(store: Store, browser: Any) -> None:
    rows = waiting(store, 5)
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        for _ in range(5):
            ann.page.keyboard.down("Enter")
        ann.page.keyboard.up("Enter")
        ann.shows(rows[1].text)
        ann.page.click("#skip")
        ann.press("Escape", "Control+Enter", "Alt+1", "Meta+u")
        ann.shows(rows[1].text)


@pytest.mark.slow
def test_leases_are_renewed_while_the_page_is_open(store: Store, browser: Any) -> None:
    rows = waiting(store, 3)
    with serving(store, Labelling(lease=timedelta(seconds=1.5))) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        ann.page.wait_for_timeout(3500)
        assert store.lease("bob", now(), now() + timedelta(minutes=1), 3) == []
        ann.shows(rows[0].text)


@pytest.mark.slow
def test_a_text_that_went_to_somebody_else_meanwhile(store: Store, browser: Any) -> None:
    rows = waiting(store, 5)
    with serving(store, Labelling(lease=timedelta(seconds=2))) as url:
        context = browser.new_context()
        ann = opened(context, url, "ann")
        ann.shows(rows[0].text)
        context.set_offline(True)  # the lid is closed
        ann.page.wait_for_timeout(2500)
        later = now() + timedelta(minutes=1)
        taken = store.lease("bob", now(), later, 3)
        assert [t.text for t in taken] == [p.text for p in rows[:3]]
        context.set_offline(False)
        ann.shows(rows[3].text)
        ann.says("Somebody else has that text by now.")
        context.close()


@pytest.mark.slow
def test_an_empty_queue_says_so_and_fills_by_itself(store: Store, browser: Any) -> None:
    rows = sighted(ask(store, texts_of(12)))
    with serving(store) as url:
        context = browser.new_context()
        context.clock.install()
        ann = opened(context, url, "ann")
        ann.says("Nothing to label now.")
        ann.press("Enter", "1", "s", "u", "n")
        assert not ann.page.is_visible("dialog")
        pick(store, rows[:1])
        context.clock.fast_forward(21_000)
        ann.shows(rows[0].text)
        ann.press("Enter")
        ann.says("Done: 1 text today.")
        assert ann.complaints == []
        context.close()


@pytest.mark.slow
def test_a_server_with_keys_asks_for_one(store: Store, browser: Any) -> None:
    rows = waiting(store, 2)
    token = store.add_key("ann-key", ["label"], NOW)
    with serving(store) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{url}/label")
        for given in ("everloop_wrong", token):
            page.wait_for_selector("#key-dialog[open]")
            page.fill("#key-token", given)
            page.keyboard.press("Enter")
        ann = Reader(page)
        ann.shows(rows[0].text)
        assert page.text_content("#open-who") == "ann-key"
        ann.press("Enter")
        ann.saved()
        assert said(store)[rows[0].prediction_id] == ("ann-key", rows[0].label)
        context.close()


@pytest.mark.slow
def test_guideline_and_help(store: Store, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "guideline.md"
    path.write_text("# How to label\n\n- <script>window.hacked = 1</script>\n- **pay_card**: a card\n")
    rows = waiting(store, 2)
    with serving(store, Labelling(guideline=path)) as url, reading(browser, url) as ann:
        ann.press("g")
        assert ann.page.text_content("#guideline h1") == "How to label"
        assert "<script>" in ann.page.inner_text("#guideline")
        ann.press("1", "Escape", "?")
        ann.says("the label with this number")
        ann.press("Enter")  # the dialog's own button
        ann.shows(rows[0].text)
        ann.press("1")
        ann.shows(rows[1].text)
        assert ann.page.evaluate("window.hacked") is None
        assert ann.complaints == []


CONTRAST = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walk.nextNode()); ) {
    const node = text.parentElement;
    if (!text.textContent.trim() || !node.checkVisibility() || node.closest(":disabled, script, noscript")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(node).color)), luminance(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${text.textContent.trim()}`);
  }
  return bad;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_can_be_read(store: Store, browser: Any, scheme: str) -> None:
    rows = ask(store, texts_of(20))
    pick(store, sighted(rows)[:3])
    store.annotate([Annotation(p.prediction_id, p.label, "bob", ASKED) for p in rows[-3:]])
    with serving(store) as url, reading(browser, url, color_scheme=scheme) as ann:
        ann.says("Similar texts, labelled")
        assert ann.page.evaluate(CONTRAST) == []
        ann.press("/")
        ann.type("pay")
        assert ann.page.evaluate(CONTRAST) == []
        ann.press("Escape", "n")
        ann.type("pay_crad")
        ann.press("Enter")
        assert ann.page.evaluate(CONTRAST) == []
        ann.press("Escape", "?")
        assert ann.page.evaluate(CONTRAST) == []


@pytest.mark.slow
def test_a_screen_reader_finds_everything_by_name(store: Store, browser: Any) -> None:
    rows = waiting(store, 3)
    with serving(store) as url, reading(browser, url) as ann:
        page = ann.page
        ann.shows(rows[0].text)
        assert page.get_by_role("region", name="Text to label").is_visible()
        assert page.get_by_role("button", name=f"{rows[0].label} model's guess").is_visible()
        field = page.get_by_role("combobox", name="Search all 20 labels")
        field.fill("pay")
        assert field.get_attribute("aria-expanded") == "true"
        ann.press("ArrowDown")
        active = field.get_attribute("aria-activedescendant")
        chosen = page.get_by_role("option", selected=True)
        assert (chosen.get_attribute("id"), chosen.count()) == (active, 1)
        ann.press("Escape")
        unnamed = page.evaluate(
            """[...document.querySelectorAll("button, input, dialog, progress, [role]")].filter((x) =>
                 x.checkVisibility() && !x.textContent.trim() && !x.labels?.length &&
                 !x.getAttribute("aria-label") && !x.getAttribute("aria-labelledby") &&
                 !["status", "alert", "listbox"].includes(x.getAttribute("role"))).map((x) => x.outerHTML)"""
        )
        assert unnamed == []
        assert page.evaluate("document.documentElement.lang") == "en"
        ann.press("Enter")
        assert page.evaluate("document.activeElement.id") == "text"  # what is new is read aloud
        assert page.text_content("#told") == f"Labelled {rows[0].label}"
        seen = []
        for _ in range(30):  # every control is reached by Tab
            ann.press("Tab")
            seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        assert {"find", "undo", "skip", "fresh", "open-help", "open-who"} <= set(seen)
        assert any("chip" in name for name in seen)


SEARCHES = [
    ("pay_card", ["pay_card"]),
    ("pay", ["pay_bill", "pay_card"]),
    ("card", ["card", "pay_card", "report_card"]),
    ("car pa", ["pay_card"]),
    ("PAY-card", ["pay_card"]),
    ("pycd", ["pay_card"]),
    ("ueber", ["ueberweisung"]),
    ("über", ["überweisung"]),
    ("uber", ["überweisung"]),
    ("reprot", ["report_card"]),
    ("zz", []),
    ("  ", []),
]


@pytest.mark.slow
def test_a_few_letters_find_a_label(store: Store, browser: Any) -> None:
    labels = ["pay_card", "pay_bill", "report_card", "card", "ueberweisung", "überweisung"]
    with serving(store) as url:
        page = browser.new_page()
        page.goto(f"{url}/label")
        call = "async ([typed, labels]) => (await import('/label/search.js')).search(typed, labels)"
        found = {typed: page.evaluate(call, [typed, labels]) for typed, _ in SEARCHES}
        assert {t: found[t][: len(best)] for t, best in SEARCHES} == dict(SEARCHES)
        likely = "async () => (await import('/label/search.js')).search('pay', ['pay_bill', 'pay_card'], new Map([['pay_card', 0.6]]))"
        assert page.evaluate(likely) == ["pay_card", "pay_bill"]
        page.close()
