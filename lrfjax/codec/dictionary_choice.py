"""The choice of a dictionary for each patch by what it costs: the slow way.

Every patch is coded with every dictionary, as if all patches took the same, and keeps the one with
the least distortion plus rate. ``dictionaries.choose`` guesses instead.
"""

from __future__ import annotations

import numpy as np

from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.dictionary_coder import DecidingSource, Stack, walk
from lrfjax.codec.entropy.frequency_contexts import BANDS
from lrfjax.codec.entropy.magnitudes import ESCAPE, ClassTables

_BIAS = 3.0
"""In bits, what the dictionaries other than the first have to gain."""


class _ScoringSource(DecidingSource):
    """Decides, and adds up for each cell the distortion and rate of its entries."""

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
        stack: with all bands.
        lagrangian: what a bit is worth, in squared steps.
    """
    scores = []
    for index, one in enumerate(ratios):
        source = _ScoringSource(one, stack, lagrangian)
        walk(source, stack)
        scores.append(source.scores + (lagrangian * _BIAS if index else 0))
    return np.argmin(scores, axis=0).astype(np.int32)
