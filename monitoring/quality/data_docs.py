"""Data Docs of a window: Great Expectations' own page of what it found, in one file that works offline.

As it is made, the page asks six companies for its styles, scripts and logo, and shows nothing where
they cannot be reached. Here it keeps what it says and gets a style of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from pathlib import Path

import pandas as pd

from core.expectations import batches, quietly
from core.files import write_whole
from core.records import Window
from monitoring import Expectation
from monitoring.quality.expectations import suite_of

EXAMPLES = 10  # values that a failed check shows
FOREIGN = re.compile(r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<footer\b.*?</footer>", re.S)
DEAD_LINK = re.compile(r'\shref="(?:\.\./|#)[^"]*"')  # to a site that is not made, or for a script
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: .5em 0 1.5em; }
td, th { border: 1px solid #ddd; padding: .3em .6em; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
th { white-space: nowrap; }
.collapse, [data-toggle=collapse] { display: none; }
h5, h6 { font-size: 1.1em; margin: 1.2em 0 .2em; }
.alert-secondary { border-bottom: 2px solid #888; }
.badge { background: #eee; padding: 0 .4em; border-radius: .3em; }
.fa-check-circle::before { content: "\\2713"; color: #187a2f; }
.fa-times::before { content: "\\2717"; color: #b3261e; }
"""


def data_docs(
    window: Window,
    known_labels: Set[str],
    max_length: int,
    folder: Path,
    own: Sequence[Expectation] = (),
) -> Path:
    """Write the page of a window into the folder and return its path. It shows values that failed."""
    frame = pd.DataFrame(window.rows).reset_index(drop=True)
    suite, _ = suite_of(frame, known_labels, max_length, own)
    form = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
    with quietly():
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        found = (
            batches()
            .get_batch(batch_parameters={"dataframe": frame})
            .validate(suite, result_format=form)
        )
        made = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(found))
    page = folder / f"quality-{window.end:%Y-%m-%dT%H}.html"
    return write_whole(page, _offline(made, window), durable=False)


def _offline(html: str, window: Window) -> str:
    """The sections of the page, in a page of ours."""
    sections = html[html.index('<div id="section-1"') : html.rindex("</body>")]
    sections = DEAD_LINK.sub("", FOREIGN.sub("", sections)).replace("Data asset: None<br>", "")
    span = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Everloop: data quality</title>"
        f"<style>{STYLE}</style><h1>Data quality</h1><p>{span}, {len(window):,} rows</p>"
        f"{sections}</html>"
    )
