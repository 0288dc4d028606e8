"""The search for the dictionary of each patch by its actual rate and distortion (effort 3).

All patches are coded with each dictionary in turn. Each patch keeps the dictionary with the least
distortion plus rate. ``choice`` is the fast estimate.
"""

from __future__ import annotations

import numpy as np

from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.dictionary_coder import DecidingSource, Stack, walk
from lrfjax.codec.entropy.magnitudes import ESCAPE, ClassTables

_BIAS = 3.0
"""Bits that a dictionary other than the first has to save."""


class _ScoringSource(DecidingSource):
    """Decides the entries, and sums their distortion and rate for each cell."""

    def __init__(self, ratios: np.ndarray, stack: Stack, lagrangian: float) -> None:
        super().__init__(ratios, stack, lagrangian)
        self.board = checkerboard(*stack.grid)
        self.scores = np.zeros(ratios.shape[1], np.float32)

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        values = super().band(plane, color, band, classes, tables)
        targets = np.abs(self.targets[color][plane, :, slice(*BANDS[band])])
        bits = tables.bits[classes, np.minimum(values, ESCAPE)] + (values > 0)
        costs = np.square(targets - values) + self.lagrangian * bits
        self.scores[self.board.cells[color]] += costs.sum(axis=1)
        return values


def choose_by_cost(ratios: np.ndarray, stack: Stack, lagrangian: float) -> np.ndarray:
    """Return the dictionary of each patch, shape (M,), int32.

    Args:
        ratios: shape (4, planes, M, 256), float32, real-valued U in each dictionary.
        stack: description of U, with all bands.
        lagrangian: Lagrange multiplier of the rate, in squared steps per bit.
    """
    scores = []
    for index, one in enumerate(ratios):
        source = _ScoringSource(one, stack, lagrangian)
        walk(source, stack)
        scores.append(source.scores + (lagrangian * _BIAS if index else 0))
    return np.argmin(scores, axis=0).astype(np.int32)
