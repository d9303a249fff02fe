"""The test report as a page that somebody who never saw the model can sign or refuse."""

from __future__ import annotations

from pathlib import Path

from core.page import write_page
from core.records.versions import Judgement, TestReport
from pipelines.testing.verdict import set_name

TEMPLATE = Path(__file__).with_name("report.html")
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
    "fail": ("Fail", "no", "the champion stays"),
    "cannot judge": ("Cannot judge", "no", "there is too little to judge by; the champion stays"),
}


def write_report(report: TestReport, path: Path, title: str = "") -> Path:
    """One self-contained HTML file at `path`; all texts in it are escaped."""
    return write_page(
        path,
        TEMPLATE,
        title=title or f"Test report of model {report.candidate}",
        headline=title or f"Model {report.candidate}",
        report=report,
        verdict=VERDICTS[report.verdict],
        states=STATES,
        kinds=KINDS,
        set_name=set_name,
        changes=_changes(report),
    )


def _changes(report: TestReport) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """The rows that one model has right and the other wrong, each with its set: what a change of model
    really changes."""
    return {
        key: [(s["set"], row) for s in report.slices for row in s.get(key, [])]
        for key in ("lost", "gained")
    }
