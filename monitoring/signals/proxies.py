"""Is the language the one the model knows? Words that are new, and tokens the encoder cannot spell."""

from __future__ import annotations

from collections.abc import Iterator

from core.records import Signal
from monitoring.limits import MIN_ROWS
from monitoring.signals.means import mean, ratio
from monitoring.view import Spec, View

WORDS = Spec(
    "text.oov",
    "share",
    "proxy",
    bad="above",
    words="out of vocabulary: {value:.1%} of words are new, more than {baseline:.1%}",
)
TOKENS = Spec(
    "text.unknown",
    "share",
    "proxy",
    bad="above",
    words="unknown tokens: {value:.1%} of all, more than {baseline:.1%}",
)
SPECS = (WORDS, TOKENS)


def measure(view: View) -> Iterator[Signal]:
    """Of a reference text, words no other one holds are new: that is what the next text would be."""
    ours, theirs = (s.rows for s in view.sample)
    if len(theirs) < MIN_ROWS:
        note = f"not enough reference: {len(theirs)} rows, {MIN_ROWS} needed"
        yield view.signal(WORDS, None, note)
    else:
        yield ratio(view, WORDS, (ours["unseen"], ours["words"]), (theirs["unseen"], theirs["words"]))
    if view.model.unknown is None:
        yield view.signal(TOKENS, None, "not comparable: no tokenizer is at hand")
    else:
        yield mean(view, TOKENS, ours["unknown"], theirs["unknown"])
