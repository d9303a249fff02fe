"""How strong is the evidence that the champion errs more than a bound allows?

An e-process by betting (Waudby-Smith and Ramdas 2024; Shafer 2021): a player who starts with 1 and bets
on "wrong more often than `bound`" at fair odds. While the error rate is within the bound nobody
expects to win, so wealth ever reaching 1 / alpha has a chance of at most alpha (Ville 1939), however
often one looks and whenever one stops.

Labels are drawn with unequal chances p, so a wrong answer that is seen stands for 1 / p (Horvitz and
Thompson 1952), and one bet is placed on each of the n answers a round was drawn from, seen or not:

    1 + f (z / bound - 1),    z = wrong / p where labelled, else 0,    E[z] = share of wrong answers

so z is never negative and 0 < f < 1 never ruins the player. The product over a round expects at most 1
whenever its error is within the bound (each factor grows with "picked", and draws of a fixed size are
negatively associated: Joag-Dev and Proschan 1983; then the arithmetic-geometric mean). Wealth only
grows with each wrong answer that is seen, so a label that is still missing counts as a right answer,
and late labels cost power, never validity.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import lgamma, log

import numpy as np

from core.records import Array
from pipelines.triggers.policy import Promise, Round

STAKES = (
    0.03,
    0.1,
    0.3,
    0.9,
)  # of a label's even share of the wealth: for small, middling, large losses

BELIEFS = ((1.0, 20.0), (1.0, 1.0))  # Beta: one error in 21 rows; anything


def proof(
    rounds: Sequence[Round], promise: Promise, budget: float, alarms: Sequence[datetime] = ()
) -> float:
    """The e-value against "the error rate is at most what was promised, plus `budget`".

    What was promised is itself known from the evaluation rows only. For every error m that it may have
    been, the wealth against m + budget times the e-value of these rows against m: labels and rows are
    drawn apart, so the product is an e-value too where m is true, and the smallest of them whatever is
    (universal inference, Wasserman, Ramdas and Balakrishnan 2020).
    """
    usual = promise.wrong / promise.rows
    maybe = usual + (1 - budget - usual) * np.linspace(0, 0.999, 200) ** 2
    with np.errstate(over="ignore"):
        return float(
            (evidence(rounds, maybe + budget, alarms) * np.exp(_not_so_wrong(promise, maybe))).min()
        )


def evidence(rounds: Sequence[Round], bounds: Array, alarms: Sequence[datetime] = ()) -> Array:
    """The wealth after these rounds (b,): the e-values against "the error rate is at most this" for
    bounds (b,) in (0, 1).

    Half the money bets from the first round on. A loss that comes late finds little of it left, so
    the other half waits for alarms: each puts half of what is still there on the rounds from its time
    on. Players with small to large stakes share each sum evenly; nobody has to know beforehand when
    a loss comes or how large it will be.
    """
    won = [(r.timestamp, _won(r, bounds)) for r in rounds]
    wealth, reserve = _wealth([w for _, w in won], bounds) / 2, 0.5
    for alarm in alarms:
        wealth = wealth + reserve / 2 * _wealth([w for at, w in won if at >= alarm], bounds)
        reserve /= 2
    return np.asarray(wealth + reserve)


def _wealth(won: list[Array], bounds: Array) -> Array:
    """What 1 becomes (b,), shared evenly among the stakes."""
    growth = sum(won, np.zeros((len(STAKES), len(bounds))))
    return np.asarray(np.exp(np.minimum(growth, 700)).mean(axis=0))


def _won(r: Round, bounds: Array) -> Array:
    """Log growth (stakes, b) of each player's wealth in a round."""
    stakes = np.minimum(np.array(STAKES) * r.share, 0.5)
    unseen = max(r.answers - len(r.wrong), 0.0)
    seen = 1 / np.outer(np.array(r.wrong, dtype=float), bounds) - 1
    wrong = np.log1p(stakes[:, None, None] * seen).sum(axis=1)
    return np.asarray(unseen * np.log1p(-stakes)[:, None] + wrong)


def _not_so_wrong(promise: Promise, errors: Array) -> Array:
    """Log e-values (m,) of the evaluation rows against each error rate: their likelihood at an unknown
    rate over that at this one. Half of the belief is that models which are promoted err seldom."""
    wrong, right = promise.wrong, promise.rows - promise.wrong
    unknown = [_marginal(wrong, right, *belief) - log(len(BELIEFS)) for belief in BELIEFS]
    with np.errstate(divide="ignore"):
        at = (wrong * np.log(errors) if wrong else 0.0) + right * np.log1p(-errors)
    return np.asarray(np.logaddexp.reduce(unknown) - at)


def _marginal(wrong: int, right: int, a: float, b: float) -> float:
    """Log likelihood of so many wrong and right rows, the rate being of a Beta(a, b)."""
    return _beta(wrong + a, right + b) - _beta(a, b)


def _beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
