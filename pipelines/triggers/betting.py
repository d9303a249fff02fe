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

import numpy as np

from core.arrays import Array
from pipelines.triggers.trigger import Round

# of a label's even share of the wealth: for small, middling, large losses
STAKES = (0.03, 0.1, 0.3, 0.9)


def evidence(rounds: Sequence[Round], bound: float, alarms: Sequence[datetime] = ()) -> float:
    """The wealth after these rounds: the e-value against "the error rate is at most `bound`".

    Half the money bets from the first round on. A loss that comes late finds little of it left, so
    the other half waits for alarms: each puts half of what is still there on the rounds from its time
    on. Players with small to large stakes share each sum evenly; nobody has to know beforehand when
    a loss comes or how large it will be.
    """
    wealth, reserve = _wealth(rounds, bound) / 2, 0.5
    for alarm in alarms:
        wealth += reserve / 2 * _wealth([r for r in rounds if r.timestamp >= alarm], bound)
        reserve /= 2
    return wealth + reserve


def _wealth(rounds: Sequence[Round], bound: float) -> float:
    """What 1 becomes, shared evenly among the stakes."""
    growth = sum((_won(r, bound) for r in rounds), np.zeros(len(STAKES)))
    return float(np.exp(np.minimum(growth, 700)).mean())


def _won(r: Round, bound: float) -> Array:
    """Log growth of each player's wealth in a round."""
    stakes = np.minimum(np.array(STAKES) * r.share, 0.5)
    unseen = max(r.answers - len(r.wrong), 0.0)
    seen = 1 / (np.array(r.wrong, dtype=float) * bound)
    return np.asarray(unseen * np.log1p(-stakes) + np.log1p(np.outer(stakes, seen - 1)).sum(axis=1))
