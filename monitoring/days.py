"""Days of traffic, and every question about them as one contrast.

A contrast c gives each day a weight; those of one side sum to 1, those of the other to -1. The unbiased
squared MMD between the two mixtures of days (Gretton et al. 2012, eq. 3) is

    sum_ij c_i c_j U_ij,    U_ij = z_i . z_j,    U_ii = (n_i |z_i|^2 - 1) / (n_i - 1)

with z_i the mean feature and n_i the rows of day i: a row is never paired with itself, so traffic
that is the same gives zero on average from 50 rows as from 100,000. The standard deviation of
sampling is `noise` times sum_i c_i^2 / n_i.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.records import Array
from monitoring.rule import Ordinary, ordinary_days

STEPS = 50
WEEK = 7.0
NEAR = 0.45  # of a day: two windows at the same time of the week


class Days:
    """k days: their mean features (k, features), rows (k,) of two or more each, and ages (k,) in
    days."""

    def __init__(self, means: Array, rows: Array, ages: Array, noise: float) -> None:
        self.rows, self.ages, self.noise = rows.astype(float), ages, noise
        self.products = means @ means.T
        self.unbiased = self.products.copy()
        own = (self.rows * np.diag(self.products) - 1) / (self.rows - 1)
        self.unbiased[np.diag_indices_from(self.unbiased)] = own

    def __len__(self) -> int:
        return len(self.rows)

    def pooled(self, chosen: Array) -> Array:
        """(k,) weights of all rows of some days; `chosen` (k,) is True where a day is one of them."""
        weights = np.where(chosen, self.rows, 0.0)
        return np.asarray(weights / weights.sum())

    def like(self, chosen: Array, others: Array) -> Array:
        """(k,) weights of some days: their rows, but each weekday as much as it is of the rows of others.
        One week may have a busier weekend than another, which makes it no other week."""
        rows, weekday = np.where(chosen, self.rows, 0.0), np.round(self.ages).astype(int) % 7
        ours = np.bincount(weekday, rows, minlength=7)
        theirs = np.bincount(weekday, np.where(others, self.rows, 0.0), minlength=7)
        found = rows * (theirs / ours.clip(1))[weekday]
        return np.asarray(found / found.sum())

    def between(self, some: Array, others: Array) -> tuple[float, float]:
        """MMD^2 between two (k,) mixtures of days, and its standard deviation were they the same."""
        contrast = some - others
        value = contrast @ self.unbiased @ contrast
        return float(value), float(self.noise * (contrast**2 / self.rows).sum())

    def nearest(self, day: int, mixtures: Array) -> Array:
        """(q,) shares of (q, k) mixtures whose own mixture is nearest to a day (Frank & Wolfe 1956).

        The biased products are used: they count the sampling noise of each mixture, so that many
        rows are preferred to few.
        """
        cross = mixtures @ self.products[day]
        inner = mixtures @ self.products @ mixtures.T
        shares = np.full(len(mixtures), 1 / len(mixtures))
        for _ in range(STEPS if len(mixtures) > 1 else 0):
            gradient = inner @ shares - cross
            towards = np.eye(len(shares))[gradient.argmin()] - shares
            curve = towards @ inner @ towards
            if curve <= 1e-12:
                break
            shares = shares + np.clip(-(gradient @ towards) / curve, 0, 1) * towards
        return np.asarray(shares)

    def held(self, day: int, groups: Sequence[Array]) -> list[tuple[Array, float, float]]:
        """A day against groups (k,) of days: their nearest mixture, and each of them by itself; of
        each the weights (k,), and value and standard deviation of the distance."""
        mixtures, one = np.array([self.pooled(chosen) for chosen in groups]), np.eye(len(self))[day]
        sides = [self.nearest(day, mixtures) @ mixtures, *mixtures]
        return [(side, *self.between(one, side)) for side in sides]

    def same_weekday(self, day: int) -> Array:
        """(k,) True for the days a whole number of weeks from a day, but for itself."""
        away = np.abs(self.ages - self.ages[day])
        return np.asarray((np.abs(away - WEEK * np.round(away / WEEK)) < NEAR) & (away > NEAR))

    def ordinary(self, some: Array) -> Ordinary:
        """What days differ by themselves: each of some days (k,) against the others of them,
        and those of the same weekday."""
        found = []
        for day in np.flatnonzero(some).tolist():
            others = some & (np.arange(len(self)) != day)
            groups = [g for g in (others, others & self.same_weekday(day)) if g.any()]
            if groups:
                _, value, sd = self.held(day, groups)[0]
                found.append((value, sd))
        return ordinary_days(*np.array(found).reshape(-1, 2).T)
