"""The derivative of the rate of later entries with respect to each magnitude.

``magnitudes.decide`` counts the bits of an entry itself. A larger magnitude also raises the
expected magnitude of the entries whose contexts contain it. That saves bits if they are large and
costs bits if they are 0. This module carries the derivative of their bits back through the context
weights, by the transposed products of ``dictionary_coder``. The encoder uses it in its next pass.
"""

from __future__ import annotations

import functools

import numpy as np

from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.entropy.checkerboard import add_neighbors, checkerboard
from lrfjax.codec.entropy.dictionary_coder import DecidingSource
from lrfjax.codec.entropy.frequency_contexts import WEIGHT_ONE
from lrfjax.codec.entropy.magnitudes import ESCAPE, ClassTables, class_centers
from lrfjax.codec.entropy.products import product
from lrfjax.codec.entropy.trained import band_contexts


def slopes(values: np.ndarray, classes: np.ndarray, tables: ClassTables) -> np.ndarray:
    """Return the derivative of each entry's bits by its expected magnitude, float32.

    Args:
        values: magnitudes, any shape.
        classes: same shape, class of each magnitude.
        tables: tables of the classes.
    """
    return _slopes_of(tables)[classes, np.minimum(values, ESCAPE)]


@functools.lru_cache(maxsize=64)
def _slopes_of(tables: ClassTables) -> np.ndarray:
    """Return the derivative of the cost of each symbol, shape (classes, ESCAPE + 1), float32."""
    # Bits are constant within a class, so take differences between neighbouring classes.
    return np.gradient(tables.bits, class_centers(), axis=0).astype(np.float32)


def rate_gradient(source: DecidingSource) -> list[np.ndarray]:
    """Return the derivative of the bits of all other entries with respect to each magnitude.

    Args:
        source: source of the entries after a walk.

    Returns:
        For each colour, shape (planes, n, columns), float32, in bits per unit of magnitude.
    """
    board = checkerboard(*source.stack.grid)
    planes, columns = len(source.stack.bands), source.stack.num_columns
    sizes = [len(c) for c in board.cells]

    def zeros() -> list[list[np.ndarray]]:
        return [[np.zeros((n, columns), np.float32) for n in sizes] for _ in range(planes)]

    own, vertical, horizontal = zeros(), zeros(), zeros()
    for plane, bands in enumerate(source.records):
        for band, colors in enumerate(bands, start=1):
            span = slice(*BANDS[band])
            for color, record in enumerate(colors):
                context = band_contexts()[plane][color][band]
                g = slopes(record.values, record.classes, record.tables)
                g *= record.classes >= source.stack.skip
                window, weights = context.same_cell
                own[plane][color][:, window] += product(g, weights.T)
                window, weights = context.vertical
                vertical[plane][color][:, window] += product(g, weights.T)
                window, weights = context.horizontal
                horizontal[plane][color][:, window] += product(g, weights.T)
                if color == 1:
                    vertical[plane][color][:, span] += g * context.own_vertical
                    horizontal[plane][color][:, span] += g * context.own_horizontal
                beside = g * context.beside
                for earlier, (window, weights) in enumerate(context.planes):
                    # As in the walk, weights may extend beyond the coded columns.
                    part = own[earlier][color][:, window]
                    part += product(g, weights[: part.shape[1]].T)
                    vertical[earlier][color][:, span] += beside
                    horizontal[earlier][color][:, span] += beside
    for plane in range(planes):
        for color in (0, 1):
            # The neighbour relation is symmetric, so sums over neighbours are their own transpose.
            total = own[plane][color]
            for sums, pairs in ((vertical, board.vertical), (horizontal, board.horizontal)):
                other = np.pad(sums[plane][1 - color], ((0, 1), (0, 0)))
                total += add_neighbors(other, pairs[color])
    return [np.stack([plane[color] for plane in own]) / WEIGHT_ONE for color in (0, 1)]
