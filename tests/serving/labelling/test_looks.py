"""The labelling page for every eye, ear and thumb, and whatever the texts are."""

from __future__ import annotations

from typing import Any

import pytest

from core.records.labels import Annotation
from core.store import Store
from tests.serving.labelling.label_queue import ASKED, ask, pick, sighted, texts_of
from tests.serving.labelling.label_reader import PHONE, in_a_browser, reading, said, serving, waiting

pytestmark = in_a_browser


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
    store.labels.annotate([Annotation(p.prediction_id, evil, "bob", ASKED) for p in others])
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
        assert labels[0] == rows[0].output
        assert labels[2:] == [None, "lost luggage"]
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
    store.labels.annotate([Annotation(p.prediction_id, p.output, "bob", ASKED) for p in rows[-3:]])
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
        assert page.get_by_role("button", name=f"{rows[0].output} model's guess").is_visible()
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
        assert page.text_content("#told") == f"Labelled {rows[0].output}"
        seen = []
        for _ in range(30):  # every control is reached by Tab
            ann.press("Tab")
            seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        assert {"find", "undo", "skip", "fresh", "open-help", "open-who"} <= set(seen)
        assert any("chip" in name for name in seen)
