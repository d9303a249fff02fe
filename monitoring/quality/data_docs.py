"""The page of what each check found in a window, with values that failed: one file that works offline.

Great Expectations writes the part about the user's own checks. As it makes that page, it asks six
companies for its styles, scripts and logo, and shows nothing where they cannot be reached. Here it
keeps what it says and gets a style of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from core.arrays import Frame
from core.page import write_page
from core.readers import excerpt
from core.records.windows import Window
from monitoring import DataExpectation
from monitoring.columns import as_users_know
from monitoring.quality.checks import missing_columns, rules

EXAMPLES = 10  # values that a failed check shows
FOREIGN = re.compile(r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<footer\b.*?</footer>", re.S)
DEAD_LINK = re.compile(r'\shref="(?:\.\./|#)[^"]*"')  # to a site that is not made, or for a script
TEMPLATE = Path(__file__).with_name("data_docs.html")


@dataclass(frozen=True)
class RuleResult:
    """A line of the page: a check of ours, how many rows fail it, and values of some of them."""

    name: str
    asks: str
    failed: int
    values: Sequence[str]


def data_docs(
    window: Window,
    known_labels: Set[str] | None,
    max_length: int,
    folder: Path,
    own: Sequence[DataExpectation] = (),
) -> Path:
    """Write the page of a window into the folder and return its path. It shows values that failed."""
    rows = as_users_know(window.rows)
    return write_page(
        folder / f"quality-{window.end:%Y-%m-%dT%H}.html",
        TEMPLATE,
        title="Everloop: data quality",
        span=f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}",
        rows=len(window),
        found=list(_found(rows, known_labels, max_length)),
        sections=_own(rows, own) if own else "",
    )


def _found(rows: Frame, known_labels: Set[str] | None, max_length: int) -> Iterator[RuleResult]:
    missing = missing_columns(rows)
    yield RuleResult("schema", "every column is there", len(rows) if missing else 0, missing)
    for rule in rules(known_labels, max_length):
        if rule.column in rows:
            bad = rows[rule.column][rule.broken(rows[rule.column])]
            shown = [excerpt(value) for value in bad.unique()[:EXAMPLES]]
            yield RuleResult(rule.name, f"{rule.column} {rule.asks}", len(bad), shown)


def _own(rows: Frame, own: Sequence[DataExpectation]) -> str:
    """What Great Expectations' page says of the user's checks."""
    from monitoring.quality.expectations import batches, quietly, suite_of

    suite, _ = suite_of(own)
    form = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
    with quietly():
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        batch = batches().get_batch(batch_parameters={"dataframe": rows.reset_index(drop=True)})
        found = batch.validate(suite, result_format=form)
        return _offline(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(found)))


def _offline(html: str) -> str:
    """The sections of the page, without what comes from elsewhere. Its values are escaped already."""
    sections = html[html.index('<div id="section-1"') : html.rindex("</body>")]
    return DEAD_LINK.sub("", FOREIGN.sub("", sections)).replace("Data asset: None<br>", "")
