"""Coding of a learned factor: U or V whose columns have no fixed meaning.

A column is a small image, over the patches for U and over the pixels of a patch for V. The first
column is smooth and coded by ``interlaced``. The others follow one by one, the first colour of the
checkerboard before the second. The expected magnitude of an entry is the mean magnitude of its
column, which the file holds, times the local activity. Activity is a weighted sum of magnitudes
relative to their column's mean: in the same and neighbouring cells of earlier columns and, for the
second colour, in the neighbouring cells of the same column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from lrfjax.codec.entropy import interlaced, magnitudes
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder, uniform
from lrfjax.codec.entropy.checkerboard import Checkerboard, add_neighbors, checkerboard
from lrfjax.codec.entropy.magnitudes import ClassTables, classes_of
from lrfjax.codec.entropy.trained import factor_tables, factor_weights, mean_tables

MEAN_UNIT = 16
"""The inverse of the unit of column means, 1/16."""

RECENT = 4
"""The number of recent columns with features of their own; other features sum over all columns."""

_ONE = 256
_MOST = 24


class Source(interlaced.ResidualSource, Protocol):
    """The source of the columns after the first for ``walk``."""

    def mean(self, column: int) -> int:
        """Return the mean magnitude of a column, in 1/16; 0 if the column is zero."""

    def magnitudes(
        self, column: int, color: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """Return the magnitudes of a column in the cells of a colour, integers, shape (n,)."""

    def entries(self, column: int, magnitudes: np.ndarray) -> np.ndarray:
        """Return the signed entries of a column of given magnitudes, shape (cells,)."""


@dataclass
class Activity:
    """The activity of each cell: magnitudes of the columns so far, in 1/256 of the column's mean.

    Attributes:
        board: the checkerboard of the grid.
        recent: for each colour, the last few columns, each of shape (n + 1,) with a last 0.
        total: for each colour, the sum over all columns, shape (n + 1,).
        count: number of columns so far.
    """

    board: Checkerboard
    recent: tuple[list[np.ndarray], list[np.ndarray]] = field(default_factory=lambda: ([], []))
    total: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self.total = [np.zeros(len(c) + 1, np.int64) for c in self.board.cells]

    def relative(self, magnitudes: np.ndarray, mean: int) -> np.ndarray:
        """Return magnitudes relative to the mean of their column, with a 0 appended."""
        bounded = np.minimum(magnitudes.astype(np.int64) * (MEAN_UNIT * _ONE), _MOST * _ONE * mean)
        return np.append(bounded // mean, 0)

    def add(self, by_color: list[np.ndarray], mean: int) -> None:
        """Add a column."""
        for color in (0, 1):
            part = self.relative(by_color[color], mean)
            self.recent[color].append(part)
            del self.recent[color][:-RECENT]
            self.total[color] += part
        self.count += 1

    def features(self, color: int, own: np.ndarray | None) -> np.ndarray:
        """Return the features of the expected magnitudes, shape (features, n), int64.

        Args:
            color: colour of the cells.
            own: the same column in the other colour, relative to its mean; None for the first
                colour.
        """
        board = self.board
        n = len(board.cells[color])
        rows = [np.full(n, _ONE)]

        def four(x: np.ndarray) -> np.ndarray:
            column = x[:, None]
            total = add_neighbors(column, board.vertical[color])
            total += add_neighbors(column, board.horizontal[color])
            return total[:, 0] // 4

        nothing = np.zeros(n, np.int64)
        if not self.count:
            rows += [nothing] * 5
        else:
            here, beside = np.stack(self.recent[color]), np.stack(self.recent[1 - color])
            recent = len(here)
            rows += [
                here[-1, :-1],
                here[:, :-1].sum(axis=0) // recent,
                four(beside.sum(axis=0)) // recent,
                self.total[color][:-1] // self.count,
                four(self.total[1 - color]) // self.count,
            ]
        rows.append(nothing if own is None else four(own))
        return np.stack(rows)


NUM_FEATURES = 7


def situation(column: int, color: int) -> int:
    """Return the index of the set of weights for a column and a colour."""
    return 2 * min(column - 1, 3) + color


NUM_SITUATIONS = 8


def walk(source: Source, rank: int, grid: tuple[int, int], kind: int) -> np.ndarray:
    """Return a factor.

    Args:
        source: source of the entries.
        rank: number of columns.
        grid: (rows, columns) of the cells.
        kind: 0 for U, 1 for V.

    Returns:
        Shape (cells, rank), int32.
    """
    board = checkerboard(*grid)
    out = np.zeros((rank, grid[0] * grid[1]), np.int32)
    tables = [[planes[0]] for planes in mean_tables()]
    out[0] = interlaced.code(source, (1, *grid), tables).ravel()
    activity = Activity(board)
    weights, class_tables = factor_weights()[kind], factor_tables()[kind]
    for column in range(1, rank):
        mean = source.mean(column)
        if mean == 0:
            continue
        by_color: list[np.ndarray] = []
        for color in (0, 1):
            own = activity.relative(by_color[0], mean) if color else None
            features = activity.features(color, own)
            lively = weights[situation(column, color)] @ features
            expected = (lively * mean // (MEAN_UNIT * _ONE)).astype(np.float32)
            by_color.append(source.magnitudes(column, color, classes_of(expected), class_tables))
        values = np.zeros(out.shape[1], np.int32)
        for color in (0, 1):
            values[board.cells[color]] = by_color[color]
        out[column] = source.entries(column, values)
        activity.add(by_color, mean)
    return out.T


class DecodingSource(interlaced.ResidualReader):
    """Decodes a factor.

    Args:
        decoder: decoder of the symbols.
        has_signs: whether entries may be negative.
    """

    def __init__(self, decoder: SymbolDecoder, has_signs: bool) -> None:
        super().__init__(decoder)
        self.has_signs = has_signs

    def mean(self, column: int) -> int:
        """See ``Source``."""
        high, low = self.reader.decoder.take(2, uniform(256))
        return int(high) << 8 | int(low)

    def magnitudes(
        self, column: int, color: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``Source``."""
        return self.reader.by_class(classes, tables)

    def entries(self, column: int, magnitudes: np.ndarray) -> np.ndarray:
        """See ``Source``."""
        return self.reader.signs(magnitudes) if self.has_signs else magnitudes


class EncodingSource:
    """Writes a factor, column by column.

    Args:
        factor: shape (cells, rank), integers.
        grid: (rows, columns) of the cells.
        out: encoder of the symbols.
        has_signs: whether the range of the factor has negative entries.
    """

    def __init__(
        self, factor: np.ndarray, grid: tuple[int, int], out: SymbolEncoder, *, has_signs: bool
    ) -> None:
        self.columns = np.ascontiguousarray(factor.T)
        self.board = checkerboard(*grid)
        self.out = out
        self.has_signs = has_signs

    def first(self, planes: int) -> np.ndarray:
        """See ``interlaced.ResidualSource``."""
        first = self.columns[:1, 0]
        magnitudes.put_excesses(self.out, np.abs(first))
        magnitudes.put_signs(self.out, first)
        return first

    def residuals(
        self,
        step: interlaced.Pass,
        predictions: np.ndarray,
        classes: np.ndarray,
        tables: list[ClassTables],
    ) -> np.ndarray:
        """See ``interlaced.ResidualSource``."""
        values = self.columns[:1, step.cells] - predictions
        magnitudes.put_by_class(self.out, np.abs(values), classes, tables[0])
        magnitudes.put_signs(self.out, values)
        return values

    def mean(self, column: int) -> int:
        """See ``Source``."""
        sizes = np.abs(self.columns[column])
        mean = min(max(round(MEAN_UNIT * float(sizes.mean())), int(sizes.any())), 0xFFFF)
        self.out.put(np.array([mean >> 8, mean & 0xFF]), uniform(256))
        return mean

    def magnitudes(
        self, column: int, color: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``Source``."""
        values = np.abs(self.columns[column][self.board.cells[color]])
        magnitudes.put_by_class(self.out, values, classes, tables)
        return values

    def entries(self, column: int, values: np.ndarray) -> np.ndarray:
        """See ``Source``."""
        if self.has_signs:
            magnitudes.put_signs(self.out, self.columns[column])
        return self.columns[column]


class DecidingSource(EncodingSource):
    """Quantizes a factor by least distortion plus rate, and writes it column by column.

    Args:
        targets: shape (cells, rank), real-valued factor.
        grid: (rows, columns) of the cells.
        out: encoder of the symbols.
        lagrangian: Lagrange multiplier of the rate, in squared units of the entries per bit.
    """

    def __init__(
        self, targets: np.ndarray, grid: tuple[int, int], out: SymbolEncoder, lagrangian: float
    ) -> None:
        self.targets = np.ascontiguousarray(targets.T)
        self.lagrangian = lagrangian
        sizes = np.floor(np.abs(targets) + 0.36)
        # The first column is rounded. The others get a dead zone, to estimate their means.
        rounded = np.where(targets < 0, -sizes, sizes)
        rounded[:, 0] = np.rint(targets[:, 0])
        bounded = np.clip(rounded, -magnitudes.MAX_ENTRY, magnitudes.MAX_ENTRY)
        super().__init__(bounded.astype(np.int32), grid, out, has_signs=True)

    def magnitudes(
        self, column: int, color: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``Source``."""
        cells = self.board.cells[color]
        targets = np.abs(self.targets[column][cells])
        values, _, _ = magnitudes.decide(targets, classes, tables.bits, self.lagrangian, 0)
        self.columns[column][cells] = np.where(self.targets[column][cells] < 0, -values, values)
        return super().magnitudes(column, color, classes, tables)
