"""Coding of smooth planes from coarse to fine: each cell is predicted from its neighbours.

The first cell is coded alone. Each stride, halved down to 1, has two passes: first the cells with
four known diagonal neighbours, then those with known vertical and horizontal neighbours. The
prediction is the mean of the neighbours. Their spread gives the class of its error.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrfjax.codec.entropy.ans import SymbolDecoder
from lrfjax.codec.entropy.magnitudes import (
    MAX_ENTRY,
    MAX_ERROR,
    ClassTables,
    MagnitudeReader,
    classes_of,
)


@dataclass(frozen=True, eq=False)
class Pass:
    """The cells that are coded together.

    Attributes:
        cells: row-major indices of the cells, shape (n,).
        known: indices of their neighbours, shape (4, n); the number of cells of the grid stands
            for a missing neighbour.
        count: number of neighbours of each cell, shape (n,).
        kind: index of the tables, 0 to 5: 2 min(log2 stride, 2), plus 1 for the second pass.
    """

    cells: np.ndarray
    known: np.ndarray
    count: np.ndarray
    kind: int


NUM_PASS_KINDS = 6


def passes(height: int, width: int) -> Iterable[Pass]:
    """Return the passes over a grid after its first cell; the results of small grids are cached."""
    return (_kept_passes if height * width <= _KEPT_CELLS else _passes)(height, width)


def _passes(height: int, width: int) -> Iterator[Pass]:
    stride = 1 << (max(height, width) - 1).bit_length() >> 1
    while stride:
        # Rows and columns at even and at odd multiples of the stride.
        rows, columns = (
            [np.arange(first, n, 2 * stride) for first in (0, stride)] for n in (height, width)
        )
        cross = [np.add.outer(width * rows[i], columns[1 - i]).ravel() for i in (0, 1)]
        for is_cross, cells, steps in (
            (0, np.add.outer(width * rows[1], columns[1]).ravel(), _DIAGONAL),
            (1, np.sort(np.concatenate(cross)), _BESIDE),
        ):
            if not len(cells):
                continue
            row, column = np.divmod(cells, width)
            neighbors = np.full((4, len(cells)), height * width)
            for known, (dr, dc) in zip(neighbors, steps, strict=True):
                i, j = row + dr * stride, column + dc * stride
                np.copyto(
                    known, i * width + j, where=(i >= 0) & (i < height) & (j >= 0) & (j < width)
                )
            count = (neighbors < height * width).sum(axis=0)
            yield Pass(cells, neighbors, count, 2 * min(stride.bit_length() - 1, 2) + is_cross)
        stride //= 2


_DIAGONAL = (-1, -1), (-1, 1), (1, -1), (1, 1)
_BESIDE = (-1, 0), (1, 0), (0, -1), (0, 1)
_KEPT_CELLS = 1 << 14


@functools.lru_cache(maxsize=16)
def _kept_passes(height: int, width: int) -> tuple[Pass, ...]:
    return tuple(_passes(height, width))


def predict(values: np.ndarray, step: Pass) -> tuple[np.ndarray, np.ndarray]:
    """Return the predictions of a pass and the classes of their errors.

    Args:
        values: shape (planes, cells + 1), int32, 0 in the last column.
        step: current pass.

    Returns:
        Predictions, int32, and classes, uint8, both of shape (planes, n).
    """
    known = values[:, step.known]
    mean = (2 * known.sum(axis=1) + step.count) // (2 * step.count)
    spread = np.abs(known - mean[:, None]) * (step.known < values.shape[1] - 1)
    return mean, classes_of(128 + 1024 * spread.sum(axis=1) // step.count)


class ResidualSource(Protocol):
    """The source of the residuals for ``code``."""

    def first(self, planes: int) -> np.ndarray:
        """Return the first entry of each plane, int32."""

    def residuals(
        self, step: Pass, predictions: np.ndarray, classes: np.ndarray, tables: list[ClassTables]
    ) -> np.ndarray:
        """Return the residuals of the predictions, int32, same shape."""


class ResidualReader:
    """Decodes the residuals from a file: the base of all decoding sources.

    Args:
        decoder: decoder of the symbols.
    """

    def __init__(self, decoder: SymbolDecoder) -> None:
        self.reader = MagnitudeReader(decoder)

    def first(self, planes: int) -> np.ndarray:
        """See ``ResidualSource``."""
        return self.reader.signs(self.reader.excesses(planes, MAX_ENTRY))

    def residuals(
        self, step: Pass, predictions: np.ndarray, classes: np.ndarray, tables: list[ClassTables]
    ) -> np.ndarray:
        """See ``ResidualSource``."""
        found = [
            self.reader.by_class(c, t, largest=MAX_ERROR)
            for c, t in zip(classes, tables, strict=False)
        ]
        return self.reader.signs(np.stack(found))


def code(
    source: ResidualSource, shape: tuple[int, int, int], tables: list[list[ClassTables]]
) -> np.ndarray:
    """Return the planes of the residuals of a source.

    Args:
        source: source of the residuals.
        shape: (planes, height, width).
        tables: tables of each plane, for each kind of pass.

    Returns:
        Integer planes, int32, of the given shape.
    """
    planes, height, width = shape
    values = np.zeros((planes, height * width + 1), np.int32)
    values[:, 0] = source.first(planes)
    for step in passes(height, width):
        predictions, classes = predict(values, step)
        residuals = source.residuals(step, predictions, classes, tables[step.kind])
        values[:, step.cells] = np.clip(predictions + residuals, -MAX_ENTRY, MAX_ENTRY)
    return values[:, :-1].reshape(shape)
