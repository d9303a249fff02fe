"""Whose words train: users' labels are taken, asked of a person first, or wait.

Anybody who may give feedback may lie. What lies can do is bounded here, whoever tells them:

1. A word trains unasked only where people's own labels bear it out: a head that learnt from them alone
   must find the label at least ODDS as likely as its best. Any other word is asked of a person.
   So is one beyond the caps below, unless it only says what that head says anyway. Of an answer that
   a model wrote, the head judges its category (`Task.category`), such as the function that is called.
2. One source gives so many labels a day at most, and all sources together so many.
3. Of a label's training rows only SHARE may rest on users' words. Rows weigh the same in total for
   every label (see `fit_head`), so this bounds what k sources can move, whatever k is: against poison
   the share matters, not the count (Steinhardt, Koh and Liang, Certified Defenses for Data Poisoning
   Attacks, NeurIPS 2017; Levine and Feizi, Deep Partition Aggregation, ICLR 2021).
4. A source that people found wrong more often than right is believed no more.

Nothing is dropped: what waits is judged again with every retrain, by what people labelled since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.arrays import Array
from core.models.classifier.head import Head
from core.store.feedback import Record, Word
from pipelines.labeling import Users

ODDS = 0.25  # at 1 : 4, somebody right in 4 of 5 cases (a correction) tips the scales
CAPPED = ("source", "day", "share")  # fates that may be asked about: people's word needs no cap
SHARE = 0.05  # of a label's training rows, what users may give unasked
FEWEST_WRONG = 2  # words of a source that people found wrong, before they count against it

Fate = Literal["trains", "asked", "unlikely", "source", "day", "share", "distrusted"]
WHY: dict[Fate, str] = {
    "trains": "train",
    "asked": "are asked of a person",
    "unlikely": "will be asked: people's labels do not bear them out",
    "source": "are beyond what one source may say in a day",
    "day": "are beyond what all users may say in a day",
    "share": "are beyond the share of their label's rows that may rest on users' words",
    "distrusted": "come from a source that people found wrong more often than right",
}


@dataclass(frozen=True)
class LabelKnowledge:
    """What is known beside the words."""

    head: Head | None  # that learnt from people's labels alone; None while there are too few
    encoder: str  # of its embeddings
    people: Mapping[str, int]  # training rows of each label (category) that people labelled
    users: Mapping[str, int]  # and those that rest on users' words
    taken: Mapping[tuple[str, str], int]  # words that datasets took, by source and day
    checked: Mapping[str, Record]  # what people found of each source
    category: Callable[[str], str] = str  # what is judged and counted of a word: see Task.category


def fates(words: Sequence[Word], known: LabelKnowledge, settings: Users, room: int) -> list[Fate]:
    """What becomes of each word; `words` are in order of time, `room` is how many may be asked now."""
    odds = odds_of(words, known)
    by_source, users = Counter(known.taken), Counter(known.users)
    by_day: Counter[str] = Counter()
    for (_, day), n in known.taken.items():
        by_day[day] += n
    found: list[Fate] = []
    categories = [known.category(w.label) for w in words]
    for word, category, likely in zip(words, categories, odds, strict=True):
        day = f"{word.timestamp:%Y-%m-%d}"
        if distrusted(known.checked.get(word.source)):
            found.append("distrusted")
        elif likely < ODDS:
            found.append("unlikely")
        elif by_source[word.source, day] >= settings.per_source:
            found.append("source")
        elif by_day[day] >= settings.per_day:
            found.append("day")
        elif not _has_room(users[category], known.people.get(category, 0)):
            found.append("share")
        else:
            found.append("trains")
            by_source[word.source, day] += 1
            by_day[day] += 1
            users[category] += 1
    new = [likely < 1 or c != w.label for w, c, likely in zip(words, categories, odds, strict=True)]
    news = [i for i, fate in enumerate(found) if (fate in CAPPED and new[i]) or fate == "unlikely"]
    for i in _fairly(words, categories, news)[: max(0, room)]:
        found[i] = "asked"
    return found


def odds_of(words: Sequence[Word], known: LabelKnowledge) -> Array:
    """(n,) how likely the head finds each word's label, beside its own best: 0..1."""
    found = np.zeros(len(words))
    if known.head is None:
        return found
    place = {label: i for i, label in enumerate(known.head.labels)}
    width = known.head.weight.shape[1]
    said_of = [known.category(w.label) for w in words]
    judged = [
        i
        for i, w in enumerate(words)
        if w.encoder == known.encoder and said_of[i] in place and w.embedding.shape == (width,)
    ]
    if judged:
        shares = known.head.probabilities(np.stack([words[i].embedding for i in judged]))
        said = shares[np.arange(len(judged)), [place[said_of[i]] for i in judged]]
        found[judged] = said / shares.max(axis=1)
    return found


def distrusted(record: Record | None) -> bool:
    return record is not None and record.wrong >= FEWEST_WRONG and record.wrong > record.right


def _has_room(users: int, people: int) -> bool:
    """Whether one more row that rests on users' words keeps their share of a label's rows."""
    return users + 1 <= SHARE * (users + 1 + people)


def _fairly(words: Sequence[Word], categories: Sequence[str], rows: Sequence[int]) -> list[int]:
    """In turn by source and label, so that many words of one do not keep the others waiting."""
    seen: Counter[tuple[str, str]] = Counter()
    turns = []
    for i in rows:
        mine, same = ("source", words[i].source), ("label", categories[i])
        turns.append((max(seen[mine], seen[same]), i))
        seen.update((mine, same))
    return [i for _, i in sorted(turns)]
