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
from core.page import write_page
from core.records.windows import Window
from monitoring import DataExpectation
from monitoring.quality.expectations import suite_of

EXAMPLES = 10  # values that a failed check shows
FOREIGN = re.compile(r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<footer\b.*?</footer>", re.S)
DEAD_LINK = re.compile(r'\shref="(?:\.\./|#)[^"]*"')  # to a site that is not made, or for a script
TEMPLATE = Path(__file__).with_name("data_docs.html")


def data_docs(
    window: Window,
    known_labels: Set[str],
    max_length: int,
    folder: Path,
    own: Sequence[DataExpectation] = (),
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
    span = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}"
    return write_page(
        folder / f"quality-{window.end:%Y-%m-%dT%H}.html",
        TEMPLATE,
        title="Everloop: data quality",
        span=span,
        rows=len(window),
        sections=_offline(made),
    )


def _offline(html: str) -> str:
    """The sections of the page, without what comes from elsewhere. Its values are escaped already."""
    sections = html[html.index('<div id="section-1"') : html.rindex("</body>")]
    return DEAD_LINK.sub("", FOREIGN.sub("", sections)).replace("Data asset: None<br>", "")
