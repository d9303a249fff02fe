"""What the texts look like, beside the reference's: their words, their form, and how new they are.

text.oov, text.unknown      words that are new, tokens the encoder cannot spell: is the language known?
text.length, .repetition    characters, and runs of words that repeat
novelty                     cosine distance to the nearest of at most 1,000 rows, labelled ones where
                            there are enough
duplicates                  rows that have a near-duplicate among GROUP - 1 others
"""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from monitoring.limits import MIN_ROWS
from monitoring.quality.neighbours import GROUP
from monitoring.quality.texts import GRAM
from monitoring.signals.means import mean, ratio
from monitoring.view import Spec, View


def _spec(name: str, unit: str, words: str) -> Spec:
    return Spec(name, unit, "proxy", "above", words)


WORDS = _spec(
    "text.oov",
    "share",
    "out of vocabulary: {value:.1%} of words are new, more than {baseline:.1%}",
)
TOKENS = _spec("text.unknown", "share", "unknown tokens: {value:.1%} of all, more than {baseline:.1%}")
LENGTH = _spec(
    "text.length",
    "characters",
    "texts: {value:,.0f} characters on average, more than {baseline:,.0f}",
)
REPETITION = _spec(
    "text.repetition",
    "share",
    "texts repeat themselves: {value:.1%} of their runs of words, more than {baseline:.1%}",
)
NOVELTY = _spec(
    "novelty", "cosine", "novelty: {value:.3f} from the nearest known text, more than {baseline:.3f}"
)
DUPLICATES = _spec(
    "duplicates",
    "share",
    f"near-duplicates: {{value:.1%}} of rows have one among {GROUP - 1} others, "
    "more than {baseline:.1%}",
)
SPECS = (WORDS, TOKENS, LENGTH, REPETITION, NOVELTY, DUPLICATES)


def measure(view: View) -> Iterator[Signal]:
    """Of a reference text, words no other one holds are new: that is what the next text would be."""
    ours, theirs = (s.rows for s in view.sample)

    def of(spec: Spec, column: str, why: str = "") -> Signal:
        return mean(view, spec, ours[column], theirs[column], why)

    def shared(spec: Spec, part: str, whole: str, why: str = "") -> Signal:
        return ratio(view, spec, (ours[part], ours[whole]), (theirs[part], theirs[whole]), why)

    if len(theirs) < MIN_ROWS:
        note = f"not enough reference: {len(theirs)} rows, {MIN_ROWS} needed"
        yield view.signal(WORDS, None, note)
    else:
        yield shared(WORDS, "unseen", "words")
    if view.model.unknown is None:
        yield view.signal(TOKENS, None, "not comparable: no tokenizer is at hand")
    else:
        yield of(TOKENS, "unknown")
    yield of(LENGTH, "characters")
    yield shared(REPETITION, "repeated", "grams", f"of texts of {GRAM} words and more")
    yield of(NOVELTY, "novelty", "with an embedding that can be held against known ones")
    yield of(DUPLICATES, "duplicate", f"of {GROUP} or more together")
