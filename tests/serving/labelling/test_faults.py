"""The labelling page while others label, the server dies or is away: no label is lost, none counts twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.records.labels import Annotation
from core.store import Store
from serving.labelling.annotation_queue import Labelling
from tests.serving.labelling.label_queue import Killable, ask, pick, sighted, texts_of
from tests.serving.labelling.label_reader import in_a_browser, opened, reading, said, serving, waiting
from tests.serving.real_server import now, wait_until

pytestmark = in_a_browser


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
            assert store.labels.count() == len(wanted)
    finally:
        server.kill()


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
            ("ann", rows[0].output),
            ("ann", votes[rows[1].prediction_id][1]),
            ("ann", rows[2].output),
        ]
        assert votes[rows[1].prediction_id][1] != rows[1].output
        again.page.wait_for_load_state("networkidle")
        context.set_offline(True)
        again.press("Enter")
        again.says("1 label kept here")
        context.set_offline(False)
        again.saved()
        wait_until(lambda: len(said(store)) == 4)
        context.close()


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
def test_a_label_that_is_refused_is_said_and_stays_said(store: Store, browser: Any) -> None:
    rows = waiting(store, 5)
    with serving(store) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        store.labels.annotate([Annotation(rows[0].prediction_id, "pay_bill", "file", now())])
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
        store.labels.claim("v0002", now() + timedelta(hours=1))
        ann.press("u")
        ann.says("This could not be taken back")
        ann.shows(rows[1].text)
        assert store.labels.of([rows[0].prediction_id])


@pytest.mark.slow
def test_leases_are_renewed_while_the_page_is_open(store: Store, browser: Any) -> None:
    rows = waiting(store, 3)
    with serving(store, Labelling(lease=timedelta(seconds=1.5))) as url, reading(browser, url) as ann:
        ann.shows(rows[0].text)
        ann.page.wait_for_timeout(3500)
        assert store.queue.lease("bob", now(), now() + timedelta(minutes=1), 3) == []
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
        taken = store.queue.lease("bob", now(), later, 3)
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
