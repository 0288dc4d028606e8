"""A grid of cells in two colours, each of which is decoded at once.

Cells (i, j) with i + j even have the first colour, the others the second. Cells of a colour are in
row-major order. All neighbours of a cell have the other colour.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Checkerboard:
    """The cells of each colour and the positions of their neighbours.

    Attributes:
        cells: row-major indices of the cells of each colour, int64.
        vertical: for each colour, shape (2, n): positions of the cells above and below among the m
            cells of the other colour. A neighbour outside the grid has position m.
        horizontal: the same for the cells to the left and to the right.
    """

    cells: tuple[np.ndarray, np.ndarray]
    vertical: tuple[np.ndarray, np.ndarray]
    horizontal: tuple[np.ndarray, np.ndarray]


@functools.lru_cache(maxsize=4)
def checkerboard(height: int, width: int) -> Checkerboard:
    """Return the checkerboard of a grid."""
    color = np.add.outer(np.arange(height), np.arange(width)) % 2
    cells = (np.flatnonzero(color == 0), np.flatnonzero(color == 1))
    vertical, horizontal = [], []
    for c in (0, 1):
        # Positions among the cells of the other colour; the frame stands for the outside.
        other = cells[1 - c]
        place = np.full((height + 2, width + 2), len(other))
        place[1:-1, 1:-1].flat[other] = np.arange(len(other))
        row, column = np.divmod(cells[c], width)
        vertical.append(np.stack([place[row, column + 1], place[row + 2, column + 1]]))
        horizontal.append(np.stack([place[row + 1, column], place[row + 1, column + 2]]))
    return Checkerboard(cells, (vertical[0], vertical[1]), (horizontal[0], horizontal[1]))


def add_neighbors(other: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """Return the sum over a pair of neighbours of each cell.

    Args:
        other: shape (m + 1, k), values in the m cells of the other colour, with a last row of 0.
        pair: shape (2, n), positions of the neighbours from ``Checkerboard``.

    Returns:
        Shape (n, k).
    """
    total = np.take(other, pair[0], axis=0)
    total += np.take(other, pair[1], axis=0)
    return total
