"""An order of rows in which those that are alike are neighbours."""

from __future__ import annotations

from math import ceil, log2

import numpy as np

from core.arrays import Array

CELL = 0.25  # summed chance of a cell: that two rows of one are both drawn is out of the question
POINTS = 8  # rows that place the walls of a cell
MOST = 16  # levels


def apart(space: Array, chance: Array) -> Array:
    """(n,) positions of rows at (n, k), alike rows side by side: the leaves of a k-d tree.

    Every wall halves the summed chance, across the direction in which the rows of its cell differ most
    (Friedman, Bentley and Finkel 1977). The walls are set by rows drawn by chance, so a million
    rows are read once a level: O(n log size) time.
    """
    mass = float(chance.sum())
    order: Array = np.arange(len(chance))
    if mass <= CELL or space.shape[1] == 0:
        return order
    levels = min(MOST, ceil(log2(mass / CELL)))
    steps = np.cumsum(chance)
    points = (np.arange(POINTS * 2**levels) + 0.5) / (POINTS * 2**levels) * steps[-1]
    sample = space[np.searchsorted(steps, points)]
    cell = np.zeros(len(chance), dtype=np.uint16)  # few bits: sorted in linear time
    for direction, wall in _walls(sample, levels):
        cell <<= 1
        cell += space[order, direction[cell >> 1]] > wall[cell >> 1]
    return np.argsort(cell, kind="stable")


def _walls(sample: Array, levels: int) -> list[tuple[Array, Array]]:
    """Of each level, for each of its cells: the direction of its wall and where it stands."""
    found = []
    cells = sample[None]  # (cells, rows, k)
    for _ in range(levels):
        direction = cells.var(axis=1).argmax(axis=1)
        values = np.take_along_axis(cells, direction[:, None, None], axis=2)[..., 0]
        turn = values.argsort(axis=1)
        half = turn.shape[1] // 2
        below, above = turn[:, half - 1 : half], turn[:, half : half + 1]
        middle = (np.take_along_axis(values, below, 1) + np.take_along_axis(values, above, 1)) / 2
        found.append((direction, middle[:, 0]))
        cells = np.take_along_axis(cells, turn[..., None], axis=1)
        cells = cells.reshape(-1, half, cells.shape[2])
    return found
