"""A grid of cells in two colours, so that half of it can be decoded at once.

Cells (i, j) with i + j even are the first colour, the others the second; within a colour they are
in row-major order. All neighbours of a cell have the other colour.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Checkerboard:
    """Where the cells of each colour are, and their neighbours.

    Attributes:
        cells: for both colours the row-major indices of the cells, int64.
        vertical: for both colours, shape (2, n): where the cells above and below are among those
            of the other colour. Beyond the edge it is their number, one past the last.
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
        # The place of each cell among the other colour, in a frame that stands for what is outside.
        other = cells[1 - c]
        place = np.full((height + 2, width + 2), len(other))
        place[1:-1, 1:-1].flat[other] = np.arange(len(other))
        row, column = np.divmod(cells[c], width)
        vertical.append(np.stack([place[row, column + 1], place[row + 2, column + 1]]))
        horizontal.append(np.stack([place[row + 1, column], place[row + 1, column + 2]]))
    return Checkerboard(cells, (vertical[0], vertical[1]), (horizontal[0], horizontal[1]))


def add_neighbors(other: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """Sum a pair of neighbours of each cell.

    Args:
        other: shape (m + 1, k), values in the m cells of the other colour, and 0 in the last.
        pair: shape (2, n), from ``Checkerboard``.

    Returns:
        Shape (n, k).
    """
    return np.take(other, pair[0], axis=0) + np.take(other, pair[1], axis=0)
