"""The labelling page in a real browser, on a real server and a real store: what keys and buttons do."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.label_set import LabelSet, Operation
from core.records.labels import Annotation, AnnotationTask
from core.store import Store
from flows.session import open_session
from serving.labelling.annotation_queue import Labelling
from serving.service import Service
from tests import ROOT
from tests.fake_models import NOW
from tests.serving.labelling.label_queue import ASKED, MANY, ask, pick, shelf, sighted, texts_of
from tests.serving.labelling.label_reader import Reader, in_a_browser, reading, said, serving, waiting
from tests.serving.real_server import now, running, wait_until

pytestmark = in_a_browser


def test_a_label_is_a_keystroke_or_two(store: Store, browser: Any) -> None:
    rows = waiting(store, 7)
    with serving(store) as url, reading(browser, url) as ann:
        page, [a, b, c, d, e, f, g] = ann.page, rows
        ann.shows(a.text)
        guess = ann.labels()[0]
        assert guess == a.output
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
        assert votes[f.prediction_id][1] not in (None, f.output)
        assert [v.note for v in store.queue.votes([e.prediction_id])] == ["two things at once"]
        assert store.labels.count() == 5
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
        assert fourth not in (None, rows[0].output)
        assert store.labels.of([rows[0].prediction_id]) == {rows[0].prediction_id: fourth}
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
def test_labels_that_change_while_the_page_is_open(store: Store, browser: Any) -> None:
    """The text on the screen still has the old names, and may be answered with them; the next one has
    the new. A label that is gone is refused with what can be said instead."""
    rows = waiting(store, 6)
    changes: list[Operation] = []
    store.label_set_at = lambda _: LabelSet(tuple(changes))
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        guess, second = ann.labels()[:2]
        changes.append(Operation("merge", (guess, second), ("all of it",)))
        ann.press("1")
        ann.shows(rows[1].text)
        ann.saved()
        assert said(store)[rows[0].prediction_id] == ("ann", "all of it")
        ann.says(f"Search all {len(MANY) - 1} labels")
        ann.press("/")
        ann.type("all of it")
        ann.until("document.querySelector('#found [aria-selected=\"true\"]') !== null")
        ann.press("Enter")
        ann.shows(rows[2].text)
        ann.saved()
        assert said(store)[rows[1].prediction_id] == ("ann", "all of it")
        gone = ann.labels()[0]
        changes.append(Operation("split", (gone,), ("this", "that")))
        ann.press("1")
        ann.until("document.querySelector('#refused').textContent.includes('say which of this, that')")
        ann.says(f"Search all {len(MANY)} labels")
        ann.press("/")
        ann.type("tha")
        ann.until("document.querySelector('#found').textContent.includes('that')")


@pytest.mark.slow
def test_where_the_guess_is_hidden_nothing_tells_it(store: Store, browser: Any) -> None:
    rows = ask(store, texts_of(6))
    pick(store, rows[:2], audit=True)
    store.labels.annotate([Annotation(p.prediction_id, p.output, "bob", ASKED) for p in rows[2:]])
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        ann.page.wait_for_load_state("networkidle")
        assert ann.labels() == []
        shown = ann.page.inner_text("body")
        assert not any(word in shown for word in ("%", "unsure", "Similar", "audit", rows[0].output))
        ann.press("Enter", "1", "5")
        ann.shows(rows[0].text)
        ann.press("Space")
        ann.says(rows[0].output)
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
    service.switch.turn(NOW)
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


@pytest.mark.slow
def test_a_server_with_keys_asks_for_one(store: Store, browser: Any) -> None:
    rows = waiting(store, 2)
    token = store.keys.add("ann-key", ["label"], NOW)
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
        assert said(store)[rows[0].prediction_id] == ("ann-key", rows[0].output)
        context.close()


@pytest.mark.slow
def test_a_real_workspace_served_and_labelled(own: Path, browser: Any) -> None:
    store = open_session(own).store
    before = store.labels.count()
    command = [sys.executable, "-m", "everloop", "serve", "-w", str(own), "--port", "0"]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = server.stdout.readline().split()[2].rstrip(",")  # type: ignore[union-attr]
        ids = list(store.answers.window(ASKED - timedelta(days=30), now()).rows["prediction_id"])
        unasked = [i for i in ids if not store.queue.ids([i])][:3]
        store.queue.add([AnnotationTask(i, ASKED, "r", "margin", 0.5, audit=False) for i in unasked])
        with reading(browser, url) as ann:
            ann.press("Space", "Enter")
            ann.saved()
            ann.says("1 done today")
            assert ann.complaints == []
    finally:
        server.terminate()
        server.communicate()
    assert store.labels.count() == before + 1
    assert [v.annotator for v in store.queue.all_votes()] == ["ann"]
    store.close()


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
