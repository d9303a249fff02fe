"""The test report as a page that somebody who never saw the model can sign or refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.page import bars, table, tag, text, write_page
from core.records import Judgement, TestReport
from pipelines.testing.verdict import set_name

KINDS = {
    "MFT": "minimum functionality",
    "INV": "invariance",
    "DIR": "direction",
    "memorization": "training step",
    "runtime": "same labels as torch",
}

STATES = {"held back": "bad", "new": "good", "known": ""}
VERDICTS: dict[Judgement, tuple[str, str, str]] = {  # word, tone, what follows
    "pass": ("Pass", "", "it may go on to live traffic"),
    "fail": ("Fail", " no", "the champion stays"),
    "cannot judge": ("Cannot judge", " no", "there is too little to judge by; the champion stays"),
}


def write_report(report: TestReport, path: Path, title: str = "") -> Path:
    """One self-contained HTML file at `path`; all texts in it are escaped."""
    return write_page(path, title or f"Test report of model {report.candidate}", _body(report, title))


def _body(report: TestReport, title: str) -> Iterator[str]:
    against = (
        f"against champion {report.champion}" if report.champion else "the first model: no champion"
    )
    yield f"<h1>{text(title or f'Model {report.candidate}')}</h1>"
    yield f'<p class="soft">Candidate {text(report.candidate)}, {text(against)}.</p>'
    yield _verdict(report)
    yield from _slices(report)
    yield from _labels(report)
    yield from _expectations(report)
    yield from _changes(report)
    yield "<h2>All numbers</h2>"
    numbers = [(f"<code>{text(k)}</code>", f"{v:.6g}") for k, v in sorted(report.metrics.items())]
    shown = table(("metric", "value"), numbers, (1,))
    yield f"<details><summary>{len(numbers)} metrics</summary>{shown}</details>"


def _verdict(report: TestReport) -> str:
    reasons = "".join(f"<li>{text(r)}</li>" for r in report.reasons)
    word, tone, meaning = VERDICTS[report.verdict]
    return f'<div class="card verdict{tone}"><strong>{word}</strong>: {meaning}<ul>{reasons}</ul></div>'


def _slices(report: TestReport) -> Iterator[str]:
    yield "<h2>Accuracy</h2>"
    yield (
        '<p class="soft"><i class="key"></i> candidate <i class="key before"></i> champion. '
        "Intervals are 95 %, paired: only rows on which the two models differ count.</p>"
    )
    yield table(
        ("set", "segment", "rows", "champion", "candidate", "difference", "interval", ""),
        [_slice_row(s) for s in report.slices],
        (2, 3, 4, 5, 6),
    )


def _slice_row(s: dict[str, Any]) -> list[str]:
    paired = s["champion"] is not None
    return [
        text(set_name(s["set"])),
        text(s["segment"]) if s["segment"] else "<b>all</b>",
        f"{s['rows']:,}",
        f"{s['champion']:.3f}" if paired else "–",
        f"<b>{s['candidate']:.3f}</b>",
        f"{s['difference']:+.3f} {_mark(s)}" if paired else _mark(s) or "–",
        f"{s['low']:+.3f} .. {s['high']:+.3f}" if paired else "–",
        bars(s["candidate"], s["champion"]),
    ]


def _mark(s: dict[str, Any]) -> str:
    if not s["counted"]:
        return tag("too few rows to count")
    return tag("worse", "bad") if s["warning"] else ""


def _labels(report: TestReport) -> Iterator[str]:
    """What stands behind labels that the champion does not know: nothing of it is learnt unseen."""
    if not report.labels:
        return
    yield "<h2>New labels</h2>"
    yield (
        '<p class="soft">Labels that the champion does not know, or that have next to no rows. One '
        "that is held back was not learnt: a slip of the keyboard makes a label of one row, too.</p>"
    )
    rows = [
        [tag(x["label"]), tag(x["state"], STATES[x["state"]]), str(x["train"]), str(x["evaluation"])]
        for x in report.labels
    ]
    yield table(("label", "", "rows to train on", "rows to test"), rows, (2, 3))


def _expectations(report: TestReport) -> Iterator[str]:
    if not report.expectations:
        return
    yield "<h2>Expectations</h2>"
    yield (
        '<p class="soft">What people take for granted. Probes are made from the fixed evaluation set; '
        "the kinds are those of CheckList (Ribeiro et al., 2020).</p>"
    )
    rows = [_expectation_row(e) for e in report.expectations]
    yield table(("", "expectation", "rows", "champion fails", "candidate fails", ""), rows, (2, 3, 4))


def _expectation_row(e: dict[str, Any]) -> list[str]:
    before = e["champion_failed"]
    said = "".join(_example(x) for x in e["examples"])
    count = f"{len(e['examples'])} example{'s' if len(e['examples']) > 1 else ''}"
    shown = f"<details><summary>{count}</summary>{said}</details>" if said else ""
    share = max(e["rows"], 1)
    kind = f"<small>{text(KINDS.get(e['kind'], e['kind']))}: {text(e['claim'])}</small>"
    return [
        _held(e),
        f"<b>{text(e['name'])}</b><br>{kind}{shown}",
        str(e["rows"]),
        "–" if before is None else str(before),
        f"<b>{e['failed']}</b>",
        bars(e["failed"] / share, None if before is None else before / share),
    ]


def _held(e: dict[str, Any]) -> str:
    if not e["counted"]:
        return tag("too few rows to count")
    return tag("holds", "good") if e["passed"] else tag("fails", "bad")


def _example(x: dict[str, str]) -> str:
    quote = f"<q>{text(x['text'])}</q> " if x["text"] else ""
    before = f", before the change {text(x['before'])}" if x["before"] not in ("", x["got"]) else ""
    return (
        f'<p class="said">{quote}read as {tag(x["got"])}, true label {tag(x["expected"])}{before}</p>'
    )


def _changes(report: TestReport) -> Iterator[str]:
    """The rows that one model has right and the other wrong: what a change of model really changes."""
    for key, heading in (("lost", "Right before, wrong now"), ("gained", "Wrong before, right now")):
        rows = [
            [
                text(set_name(s["set"])), f'<q class="said">{text(c["text"])}</q>', tag(c["label"]),
                tag(c["champion"], "bad" if key == "gained" else "good"),
                tag(c["candidate"], "bad" if key == "lost" else "good"),
            ]
            for s in report.slices for c in s.get(key, [])
        ]  # fmt: skip
        if rows:
            yield f"<h2>{heading}</h2>"
            yield table(("set", "text", "true label", "champion", "candidate"), rows)
