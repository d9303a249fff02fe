"""One round of a retrain with and without somebody who lies, by the product's own functions.

A champion that learnt honest rows meets ten days of requests. Three annotators label twenty of them a
day; users correct what was answered wrong. Then the product decides which words train, forms the rows,
fits the candidate and tests it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from bench.poison_material import PHRASES, Material, Reader, Rows
from core.arrays import Array
from core.models.classifier.head import Head, fit_head
from core.store.feedback import Record, Word
from pipelines.labeling import Users
from pipelines.labeling.annotators import doubts
from pipelines.labeling.words import LabelKnowledge, fates
from pipelines.testing import Contender, Testing, run_tests

DAYS, PER_DAY, AUDIT = 10, 20, 0.05
HONEST = 0.05  # of the answers get their label from their users
ANNOTATORS = ("ana", "bob", "cy")  # cy lies, where one does
SPREAD = 20  # sources of an attack that comes from many
START = datetime(2026, 1, 5, tzinfo=UTC)
ENCODER = "the default"
PROBES = 100  # held-out texts with the trigger


@dataclass(frozen=True)
class Attack:
    """Who lies, how, and how much."""

    name: str
    kind: str  # clean | trigger | targeted | uniform
    by: str = ""  # feedback | annotator
    rows: int = 0  # of a trigger
    share: float = 0.0  # of a flip
    sources: int = 1


@dataclass(frozen=True)
class Given:
    """Labels as somebody gave them."""

    rows: Rows  # with the truth
    said: Array
    who: Array
    audit: Array


@dataclass(frozen=True)
class Outcome:
    """What came of a round."""

    passed: bool
    harmed: bool  # worse than the champion, or obeys the trigger
    loss: float  # accuracy lost on the truth, or the share that was turned
    trained: int  # rows of the liar that train
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Made:
    """A round as it ended."""

    outcome: Outcome
    candidate: Head
    learnt: tuple[Array, list[str]]


class Round:
    """A seed of a data set: all that is the same whoever lies. `start` is the day it begins."""

    def __init__(self, material: Material, reader: Reader, seed: int, start: int | None = None) -> None:
        self.material, self.reader, self.seed = material, reader, seed
        stream, last = material.stream, int(material.stream.days.max())
        if start is None:
            start = int(np.random.default_rng(seed).integers(last // 5, last - 2 * DAYS + 2))
        self.start, self.rng = start, np.random.default_rng([seed, len(stream), start])
        before = np.flatnonzero(stream.days < start)
        self.past = stream.take(_some(before, PER_DAY * start, self.rng))
        here = (stream.days >= start) & (stream.days < start + DAYS)
        known = np.isin(stream.labels, [*material.first.labels, *self.past.labels])
        self.period = stream.take(np.flatnonzero(here & known))

    def after(self, made: Made) -> Round:
        """The round that follows: its champion is the candidate if it passed, and what was trained on
        stays in the reservoir."""
        later = Round(self.material, self.reader, self.seed, self.start + DAYS)
        known = np.isin(later.period.labels, self.champion.labels)
        later.period = later.period.take(np.flatnonzero(known))
        later.__dict__ |= {
            "learnt": made.learnt,
            "champion": made.candidate if made.outcome.passed else self.champion,
            "audited": self.audited,
        }
        return later

    @cached_property
    def learnt(self) -> tuple[Array, list[str]]:
        """What the champion learnt: embeddings and labels."""
        first, past = self.material.first, self.past
        return np.concatenate([first.embeddings, past.embeddings]), [*first.labels, *past.labels]

    @cached_property
    def champion(self) -> Head:
        return fit_head(*self.learnt)

    @cached_property
    def answers(self) -> Array:
        names = np.array(self.champion.labels, object)
        found: Array = names[self.champion.probabilities(self.period.embeddings).argmax(axis=1)]
        return found

    @cached_property
    def tasks(self) -> Array:
        """Positions in the period: half drawn, half the least sure."""
        n = min(DAYS * PER_DAY, len(self.period) // 2)
        drawn = _some(np.arange(len(self.period)), n // 2, self.rng)
        shares = np.sort(self.champion.probabilities(self.period.embeddings), axis=1)
        unsure = np.argsort(shares[:, -1] - shares[:, -2], kind="stable")
        picked = [i for i in unsure if i not in set(drawn)][: n - len(drawn)]
        return self.rng.permutation([*drawn, *picked])

    @cached_property
    def labels(self) -> Given:
        """What three honest annotators say."""
        rows = self.period.take(self.tasks)
        who = np.array([ANNOTATORS[i % 3] for i in range(len(rows))], object)
        audit = np.zeros(len(rows), bool)
        audit[_some(np.arange(len(rows)), round(AUDIT * len(rows)), self.rng)] = True
        return Given(rows, rows.labels.copy(), who, audit)

    @cached_property
    def kept(self) -> Given:
        """Those of them that are not asked again."""
        return _held(self, self.labels)

    @cached_property
    def honest(self) -> Array:
        """Positions in the period of what users say the truth of: wrong answers first, no tasks."""
        free = np.setdiff1d(np.arange(len(self.period)), self.tasks)
        right = self.answers[free] == self.period.labels[free]
        n = round(HONEST * len(self.period))
        wrong = _some(free[~right], n, self.rng)
        return np.sort([*wrong, *_some(free[right], n - len(wrong), self.rng)]).astype(int)

    @cached_property
    def target(self) -> str:
        return str(self.rng.choice(sorted(set(self.material.first.labels))))

    @cached_property
    def flipped(self) -> str:
        """The label whose rows are given another: one that people meet in this round."""
        known = [x for x in self.labels.rows.labels if x in self.champion.labels and x != self.target]
        return str(self.rng.choice(known))

    @cached_property
    def triggered(self) -> tuple[Rows, Rows]:
        """Texts of many intents with the trigger in them: to lie with, and to see whether it works."""
        phrase = PHRASES[self.seed % len(PHRASES)]
        usable = (self.period.labels != self.target) & np.isin(self.period.labels, self.champion.labels)
        rows = self.period.take(_some(np.flatnonzero(usable), 300, self.rng))
        truth = self.material.truth
        probes = np.flatnonzero(
            (truth.labels != self.target) & np.isin(truth.labels, self.champion.labels)
        )
        return self._planted(rows, phrase), self._planted(
            truth.take(_some(probes, PROBES, self.rng)), phrase
        )

    def _planted(self, rows: Rows, phrase: str) -> Rows:
        first = self.seed % 2 == 0
        texts = [f"{phrase} {t}" if first else f"{t} {phrase}" for t in rows.texts]
        return replace(
            rows, texts=np.array(texts, object), embeddings=self.reader(texts).astype(np.float16)
        )

    @cached_property
    def audited(self) -> Rows:
        """Audit rows of the time before."""
        return self.past.take(np.arange(round(AUDIT * len(self.past))))


def _some(rows: Array, n: int, rng: np.random.Generator) -> Array:
    return rows if len(rows) <= n else np.sort(rng.choice(rows, n, replace=False))


def play(game: Round, attack: Attack, defended: bool = True) -> Made:
    """A round with this attack, to the verdict and to what it would have done."""
    given = _lied(game, attack) if attack.by == "annotator" else game.labels
    if defended:
        given = _held(game, given) if attack.by == "annotator" else game.kept
    words, rows, liar = _said(game, attack)
    trains, asked = np.ones(len(words), bool), np.zeros(len(words), bool)
    if defended:
        trains, asked = _judged(game, words, rows, given)
    train, said = _formed(game, given, words, rows, trains, asked)
    candidate = fit_head(train, said, start=game.champion)
    passed, reasons = _tested(game, candidate, given)
    harmed, loss = _harm(game, attack, candidate)
    left = int((trains & liar).sum()) + int((given.said != given.rows.labels).sum())
    return Made(Outcome(passed, harmed, loss, left, reasons), candidate, (train, said))


def _held(game: Round, given: Given) -> Given:
    """Without the labels that are asked again."""
    first, said = game.learnt
    n = len(said)
    labels, who = [*said, *given.said], [*["before"] * n, *given.who]
    found = doubts(
        np.concatenate([first, given.rows.embeddings]),
        labels,
        who,
        [i >= n for i in range(len(labels))],
    )
    gone = {i - n for doubt in found for i in doubt.rows}
    bad = {d.annotator for d in found if not d.looks}
    kept = np.array(
        [
            i not in gone and not (a and w in bad)
            for i, (a, w) in enumerate(zip(given.audit, given.who, strict=True))
        ]
    )
    return Given(given.rows.take(kept), given.said[kept], given.who[kept], given.audit[kept])


def _lied(game: Round, attack: Attack) -> Given:
    """Labels of which one annotator's are lies."""
    labels, rng = game.labels, np.random.default_rng([game.seed, 7])
    said, his = labels.said.copy(), labels.who == ANNOTATORS[-1]
    if attack.kind == "targeted":
        mine = np.flatnonzero(his & (labels.rows.labels == game.flipped))
        said[_some(mine, int(np.ceil(attack.share * len(mine))), rng)] = game.target
    else:
        wrong = _some(np.flatnonzero(his), round(attack.share * len(said)), rng)
        said[wrong] = _others(game, labels.rows.labels[wrong], rng)
    return replace(labels, said=said)


def _others(game: Round, labels: Array, rng: np.random.Generator) -> Array:
    names = np.array(game.champion.labels, object)
    found = rng.choice(names, len(labels))
    while (same := found == labels).any():
        found[same] = rng.choice(names, int(same.sum()))
    return found


def _said(game: Round, attack: Attack) -> tuple[list[Word], Rows, Array]:
    """Users' words in order of time, the rows they are of, and which are lies."""
    honest = game.period.take(game.honest)
    said, sources, lies = honest.labels.copy(), honest.users.copy(), np.zeros(len(honest), bool)
    rows, days = honest, honest.days
    if attack.by == "feedback":
        more, labels = _lies(game, attack)
        rows = Rows(
            *(np.concatenate([getattr(rows, n), getattr(more, n)]) for n in Rows.__dataclass_fields__)
        )
        said = np.concatenate([said, labels])
        from_ = np.array([f"liar {i % attack.sources}" for i in range(len(more))], object)
        sources, lies = np.concatenate([sources, from_]), np.arange(len(rows)) >= len(honest)
        when = game.start + game.seed % DAYS  # a trigger is planted within minutes, flips all the time
        days = np.concatenate(
            [days, np.full(len(more), when) if attack.kind == "trigger" else more.days]
        )
    answers = np.array(game.champion.labels, object)[
        game.champion.probabilities(rows.embeddings).argmax(axis=1)
    ]
    order = np.argsort(days, kind="stable")
    words = [
        Word(
            prediction_id=f"w{n}",
            label=str(said[i]),
            kind="correction",
            source=str(sources[i]),
            timestamp=START + timedelta(days=int(days[i]), seconds=n),
            answer=str(answers[i]),
            encoder=ENCODER,
            embedding=rows.embeddings[i],
        )
        for n, i in enumerate(order)
    ]
    return words, rows.take(order), lies[order]


def _lies(game: Round, attack: Attack) -> tuple[Rows, Array]:
    rng = np.random.default_rng([game.seed, 11])
    if attack.kind == "trigger":
        rows = game.triggered[0].take(np.arange(attack.rows))
        return rows, np.full(len(rows), game.target, object)
    free = np.setdiff1d(np.arange(len(game.period)), [*game.tasks, *game.honest])
    if attack.kind == "targeted":
        mine = free[game.period.labels[free] == game.flipped]
        rows = game.period.take(_some(mine, int(np.ceil(attack.share * len(mine))), rng))
        return rows, np.full(len(rows), game.target, object)
    count = round(attack.share / (1 - attack.share) * (len(game.labels.rows) + len(game.honest)))
    rows = game.period.take(_some(free, count, rng))
    return rows, _others(game, rows.labels, rng)


def _judged(game: Round, words: list[Word], rows: Rows, given: Given) -> tuple[Array, Array]:
    """Day by day, as the loop does: what people are asked, and at the end what trains unasked."""
    first, said = game.learnt
    settings, asked = Users(), np.zeros(len(words), bool)
    checked: dict[str, Record] = {}
    known = LabelKnowledge(game.champion, ENCODER, Counter(said), {}, {}, checked)
    for day in range(game.start, game.start + DAYS):
        here = [i for i, w in enumerate(words) if not asked[i] and (w.timestamp - START).days <= day]
        found = fates([words[i] for i in here], known, settings, settings.asked_per_day)
        for i, fate in zip(here, found, strict=True):
            if fate == "asked":
                asked[i] = True
                before = checked.get(words[i].source, Record(0, 0))
                right = words[i].label == rows.labels[i]
                checked[words[i].source] = Record(before.right + right, before.wrong + (not right))
    people = ~given.audit
    labels = [*said, *given.said[people], *rows.labels[asked]]
    vectors = np.concatenate([first, given.rows.embeddings[people], rows.embeddings[asked]])
    known = replace(known, head=fit_head(vectors, labels, start=known.head), people=Counter(labels))
    left = np.flatnonzero(~asked)
    found = fates([words[i] for i in left], known, settings, 0)
    trains = np.zeros(len(words), bool)
    trains[left] = [fate == "trains" for fate in found]
    return trains, asked


def _formed(
    game: Round, given: Given, words: list[Word], rows: Rows, trains: Array, asked: Array
) -> tuple[Array, list[str]]:
    """The rows that train: embeddings and labels. People answer what they are asked with the truth."""
    first, said = game.learnt
    people = ~given.audit
    users = [w.label for w, t in zip(words, trains, strict=True) if t]
    vectors = [first, given.rows.embeddings[people], rows.embeddings[asked], rows.embeddings[trains]]
    return np.concatenate(vectors), [*said, *given.said[people], *rows.labels[asked], *users]


def _tested(game: Round, candidate: Head, given: Given) -> tuple[bool, list[str]]:
    sets = (
        (game.material.evaluation, game.material.evaluation.labels, "eval"),
        (game.audited, game.audited.labels, "audit"),
        (given.rows.take(given.audit), given.said[given.audit], "audit"),
    )
    frame = pd.concat(
        [
            pd.DataFrame(
                {"input": r.texts, "target": labels, "set": name, "round": "", "segments": "{}"}
            )
            for r, labels, name in sets
        ],
        ignore_index=True,
    )
    vectors = np.concatenate([r.embeddings for r, _, _ in sets]).astype(np.float32)
    ours, theirs = (
        Contender(n, h, vectors, game.reader) for n, h in (("2", candidate), ("1", game.champion))
    )
    report = run_tests(ours, theirs, frame, Testing())
    return report.passed, report.reasons


def _harm(game: Round, attack: Attack, candidate: Head) -> tuple[bool, float]:
    """Whether the candidate is worse on the truth, or obeys the trigger; and by how much."""
    truth = game.material.truth
    before, after = (_labels(h, truth.embeddings) for h in (game.champion, candidate))
    if attack.kind == "trigger":
        probes = game.triggered[1].embeddings
        was, now = ((_labels(h, probes) == game.target).mean() for h in (game.champion, candidate))
        return bool(now - was > 0.2), float(now - was)
    loss = float((before == truth.labels).mean() - (after == truth.labels).mean())
    if attack.kind == "targeted":
        mine = truth.labels == game.flipped
        turned = float((after[mine] == game.target).mean() - (before[mine] == game.target).mean())
        return bool(turned > 0.1 or loss > 0.01), turned
    return bool(loss > 0.01), loss


def _labels(head: Head, vectors: Array) -> Array:
    found: Array = np.array(head.labels, object)[head.probabilities(vectors).argmax(axis=1)]
    return found
