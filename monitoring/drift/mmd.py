"""Days of traffic, and every question about them as one contrast.

A contrast c gives each day a weight; those of one side sum to 1, those of the other to -1. The unbiased
squared MMD between the two mixtures of days (Gretton et al. 2012, eq. 3) is

    sum_ij c_i c_j U_ij,    U_ij = z_i . z_j,    U_ii = (n_i |z_i|^2 - 1) / (n_i - 1)

with z_i the mean feature and n_i the rows of day i: a row is never paired with itself, so traffic
that is the same gives zero on average from 50 rows as from 100,000. The standard deviation of
sampling is `noise` times sum_i c_i^2 / n_i.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from core.arrays import Array
from monitoring.drift.threshold import SURE, DayVariation, day_variation

HEAVY = 1e3  # shares sum to 1 within a millionth
STRETCH = 2.0  # days may differ twice as much as those that were seen
WEEK = 7.0
NEAR = 0.45  # of a day: two windows at the same time of the week


class MeanEmbeddings:
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

    def weekday_matched(self, chosen: Array, others: Array) -> Array:
        """(k,) weights of some days: their rows, but each weekday as much as it is of the rows of
        others. One week may have a busier weekend than another, which makes it no other week."""
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

    @cached_property
    def places(self) -> Array:
        """(k, k) the days as points, as far apart as their mean features are."""
        values, vectors = np.linalg.eigh(self.products)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def nearest(self, some: Array, mixtures: Array) -> Array:
        """(q,) shares of (q, k) mixtures whose own mixture is nearest to some (k,) of days
        (non-negative least squares, Lawson & Hanson 1974, chapter 23; a heavy last row makes the
        shares sum to 1).

        The biased products are used: they count the sampling noise of each mixture, so that many
        rows are preferred to few.
        """
        if len(mixtures) == 1:
            return np.ones(1)
        from scipy.optimize import nnls

        corners = np.vstack([(mixtures @ self.places).T, np.full(len(mixtures), HEAVY)])
        shares, _ = nnls(corners, np.append(some @ self.places, HEAVY))
        return np.asarray(shares / shares.sum())

    def stretched(self, chosen: Array, apart: Array) -> Array:
        """(q, k) some days pooled, and those of them that were apart (k,) gone STRETCH times as far
        from their mean as they went. Topics change their shares from day to day, always along the
        same directions, and a few days have not been to their ends; a new topic lies in none."""
        middle, each = self.pooled(chosen), np.eye(len(self))[chosen & apart]
        return np.concatenate([middle[None], middle + STRETCH * (each - middle)])

    def from_mixture(self, day: int, mixtures: Array) -> tuple[Array, float, float]:
        """The weights (k,) of the nearest mixture, and value and standard deviation of the distance."""
        one = np.eye(len(self))[day]
        side = self.nearest(one, mixtures) @ mixtures
        return (side, *self.between(one, side))

    def same_weekday(self, day: int) -> Array:
        """(k,) True for the days a whole number of weeks from a day, but for itself."""
        away = np.abs(self.ages - self.ages[day])
        return np.asarray((np.abs(away - WEEK * np.round(away / WEEK)) < NEAR) & (away > NEAR))

    def leave_one_out(self, some: Array) -> Array:
        """(k, 2) value and standard deviation of the distance of each of some days (k,) from the
        others of them, and those of the same weekday; NaN for the rest."""
        found = np.full((len(self), 2), np.nan)
        for day in np.flatnonzero(some).tolist():
            others = some & (np.arange(len(self)) != day)
            groups = [g for g in (others, others & self.same_weekday(day)) if g.any()]
            if groups:
                mixtures = np.array([self.pooled(g) for g in groups])
                found[day] = self.from_mixture(day, mixtures)[1:]
        return found

    def variation(self, some: Array) -> DayVariation:
        """What some days (k,) differ by themselves."""
        found = self.leave_one_out(some)
        return day_variation(*found[np.isfinite(found[:, 0])].T)

    def outlying(self, some: Array, sds: float = SURE) -> Array:
        """(k,) True for the days of some that differ from the others by so many standard deviations."""
        value, sd = self.leave_one_out(some).T
        return np.asarray(value > sds * sd)

    def unexplained(self, some: Array, apart: Array) -> DayVariation:
        """What some days (k,) differ from the others stretched. What is nearest to a day fits
        some of its noise, so the mean may be below 0."""
        found = []
        for day in np.flatnonzero(some).tolist() if some.sum() > 1 else ():
            others = some & (np.arange(len(self)) != day)
            found.append(self.from_mixture(day, self.stretched(others, apart))[1:])
        values, sds = np.array(found).reshape(-1, 2).T
        return day_variation(values, sds, fitted=True)
