"""Coding of U with a dictionary: plane by plane, band by band, one colour of cells at a time.

``walk`` visits the entries of U in file order and derives the class of each from earlier entries.
Its source either decodes the entries (``DecodingSource``) or decides them (``DecidingSource``). The
class gives the cost of every choice, so the encoder takes the one with the least distortion plus
rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.entropy import interlaced, magnitudes
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder
from lrfjax.codec.entropy.checkerboard import Checkerboard, add_neighbors, checkerboard
from lrfjax.codec.entropy.frequency_contexts import MAX_MAGNITUDE
from lrfjax.codec.entropy.magnitudes import MAX_ENTRY, ClassTables, classes_of
from lrfjax.codec.entropy.products import product
from lrfjax.codec.entropy.sign_prediction import (
    NUM_COLUMNS,
    Borders,
    put_signs,
    stages,
    take_signs,
)
from lrfjax.codec.entropy.trained import (
    band_contexts,
    band_tables,
    mean_tables,
    sign_matrices,
    sign_tables,
)


@dataclass(frozen=True)
class Stack:
    """The description of U that encoder and decoder share before its entries.

    Attributes:
        grid: (rows, columns) of the cells, one per patch.
        bands: number of coded bands of each plane; columns of other bands are 0. The first band is
            the column of means.
        steps: quantization step of each plane, in 1/16 gray levels.
        skip: the lowest coded class; entries of lower classes are 0.
        has_signs: whether entries may be negative, those of the column of means apart.
    """

    grid: tuple[int, int]
    bands: tuple[int, ...]
    steps: tuple[int, ...]
    skip: int
    has_signs: bool = True

    @property
    def num_columns(self) -> int:
        """The largest number of coded columns of U over the planes."""
        return max(BANDS[n - 1][1] for n in self.bands)


class Source(interlaced.ResidualSource, Protocol):
    """The source of the entries for ``walk``."""

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """Return the magnitudes of a band in the cells of a colour, integers, shape (n, k)."""

    def end_of_plane(
        self, plane: int, by_color: list[np.ndarray], means: np.ndarray
    ) -> list[np.ndarray]:
        """Return the signed entries of given magnitudes, integers, shape (n, k) for each colour.

        ``means`` is the column of means, shape (cells,), cells in row-major order. The source may
        return fewer columns. The others are then 0, also in later contexts.
        """


def walk(source: Source, stack: Stack) -> np.ndarray:
    """Return U.

    Args:
        source: source of the entries.
        stack: description of U.

    Returns:
        Shape (planes, cells, columns), int16, cells in row-major order. Columns that a plane does
        not code are 0.
    """
    height, width = stack.grid
    board = checkerboard(height, width)
    planes = len(stack.bands)
    out = np.zeros((planes, height * width, stack.num_columns), np.int16)
    means = interlaced.code(source, (planes, height, width), mean_tables())
    out[:, :, 0] = means.reshape(planes, -1)
    before: list[_Magnitudes] = []
    for plane, bands in enumerate(stack.bands):
        known = _Magnitudes(board, stack.num_columns)
        for color, cells in enumerate(board.cells):
            known.set_color(color, slice(0, 1), np.abs(out[plane][cells, :1]))
        known.sum_neighbors(0, slice(0, 1))
        by_color: list[list[np.ndarray]] = [[], []]
        for band in range(1, bands):
            columns = slice(*BANDS[band])
            for color in (0, 1):
                expected = _expect(known, before, plane, color, band, stack.steps[plane])
                tables = band_tables()[plane][color][band]
                entries = source.band(plane, color, band, classes_of(expected), tables)
                by_color[color].append(entries)
                known.set_color(color, columns, entries)
            known.sum_neighbors(0, columns)
        if bands > 1:
            whole = [np.concatenate(c, axis=1) for c in by_color]
            signed = source.end_of_plane(plane, whole, out[plane, :, 0])
            last = 1 + signed[0].shape[1]
            for color in (0, 1):
                out[plane][board.cells[color], 1:last] = signed[color]
            if last < BANDS[bands - 1][1]:
                known.forget(last)
        before.append(known)
    return out


class _Magnitudes:
    """The decoded magnitudes of a plane, and their sums over neighbours, as inputs of contexts.

    For each colour, ``own`` has shape (n + 1, columns), with a last row of zeros for cells outside
    the grid. ``vertical`` and ``horizontal`` have shape (n, columns). All are float32 arrays of
    small integers.
    """

    def __init__(self, board: Checkerboard, columns: int) -> None:
        self.board = board
        sizes = [len(c) for c in board.cells]
        self.own = [np.zeros((n + 1, columns), np.float32) for n in sizes]
        self.vertical = [np.zeros((n, columns), np.float32) for n in sizes]
        self.horizontal = [np.zeros((n, columns), np.float32) for n in sizes]

    def set_color(self, color: int, columns: slice, entries: np.ndarray) -> None:
        """Store the magnitudes of a colour; for the first, sum them over neighbours."""
        self.own[color][:-1, columns] = np.minimum(entries, MAX_MAGNITUDE)
        if color == 0:
            self.sum_neighbors(1, columns)

    def sum_neighbors(self, color: int, columns: slice) -> None:
        """Update the sums over the neighbours of the cells of a colour."""
        # One copy here saves one in every ``take``.
        other = np.ascontiguousarray(self.own[1 - color][:, columns])
        self.vertical[color][:, columns] = add_neighbors(other, self.board.vertical[color])
        self.horizontal[color][:, columns] = add_neighbors(other, self.board.horizontal[color])

    def forget(self, first: int) -> None:
        """Set the columns from ``first`` on to 0."""
        for color in (0, 1):
            for part in (self.own, self.vertical, self.horizontal):
                part[color][:, first:] = 0


def _expect(
    known: _Magnitudes, before: list[_Magnitudes], plane: int, color: int, band: int, step: int
) -> np.ndarray:
    """Return 1024 times the expected magnitudes of a band, shape (n, k), float32 integers."""
    context = band_contexts()[plane][color][band]
    columns = slice(*BANDS[band])
    window, weights = context.same_cell
    expected = product(known.own[color][:-1, window], weights)
    for (window, weights), sums in (
        (context.vertical, known.vertical[color]),
        (context.horizontal, known.horizontal[color]),
    ):
        expected += product(sums[:, window], weights)
    if color == 1:
        expected += context.own_vertical * known.vertical[color][:, columns]
        expected += context.own_horizontal * known.horizontal[color][:, columns]
    for (window, weights), other in zip(context.planes, before, strict=True):
        # Weights may extend beyond the coded columns.
        own = other.own[color][:-1, window]
        expected += product(own, weights[: own.shape[1]])
        beside = other.vertical[color][:, columns] + other.horizontal[color][:, columns]
        expected += context.beside * beside
    expected += context.offset(step)
    return expected


# The share of the rate that coding more classes has to gain.
_WORTHWHILE = 0.005


class DecodingSource(interlaced.ResidualReader):
    """Decodes the entries from a file.

    Args:
        decoder: decoder of the symbols.
        stack: description of U.
        kinds: shape (cells,), dictionary of each cell.
    """

    def __init__(self, decoder: SymbolDecoder, stack: Stack, kinds: np.ndarray) -> None:
        super().__init__(decoder)
        self.stack = stack
        self.kinds = kinds

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``Source``."""
        return self.reader.by_class(classes, tables, self.stack.skip)

    def end_of_plane(
        self, plane: int, by_color: list[np.ndarray], means: np.ndarray
    ) -> list[np.ndarray]:
        """See ``Source``."""
        if not self.stack.has_signs:
            return by_color
        first = self.reader.signs(by_color[0])
        borders = Borders(self.stack.grid, self.kinds, means, first)
        known, parts = by_color[1][borders.order], []
        for columns in stages(1 + first.shape[1]):
            part = known[:, columns.start - 1 : columns.stop - 1]
            predictions = borders.predict(sign_matrices()[plane], columns)
            parts.append(take_signs(self.reader.decoder, part, predictions, sign_tables()))
            borders.subtract(parts[-1], columns)
        parts.append(self.reader.signs(known[:, NUM_COLUMNS - 1 :]))
        second = np.empty(known.shape, np.int32)
        second[borders.order] = np.concatenate(parts, axis=1)
        return [first, second]


@dataclass
class _Record:
    """The decided entries of a band, for one plane and colour, and their cost.

    Attributes:
        values: magnitudes, shape (n, k).
        classes: classes of the magnitudes, same shape.
        tables: tables of the classes.
        bits: cost in bits, signs included.
        gain: reduction of the squared error relative to zeros, in squared steps.
    """

    values: np.ndarray
    classes: np.ndarray
    tables: ClassTables
    bits: float
    gain: float


class DecidingSource:
    """Decides the entries: rounds the means, and minimises distortion plus rate for the rest.

    Args:
        ratios: shape (planes, cells, columns), float32, real-valued U.
        stack: description of U.
        lagrangian: Lagrange multiplier of the rate, in squared steps per bit.
        price: for each colour, shape (planes, n, columns), bits that a unit of magnitude adds to
            the cost of other entries; see ``context_gradient``.

    Attributes:
        targets: real-valued U in the cells of each colour.
        records: decided entries, by plane, band (from the second on) and colour.
    """

    def __init__(
        self,
        ratios: np.ndarray,
        stack: Stack,
        lagrangian: float,
        price: list[np.ndarray] | None = None,
    ) -> None:
        board = checkerboard(*stack.grid)
        self.stack = stack
        self.lagrangian = lagrangian
        self.targets = [np.take(ratios, cells, axis=1) for cells in board.cells]
        self._price = price
        means = np.rint(ratios[:, :, 0])
        self._rounded = np.clip(means, -MAX_ENTRY, MAX_ENTRY).astype(np.int32)
        self._means: list[tuple[np.ndarray, np.ndarray, list[ClassTables]]] = []
        self.records: list[list[list[_Record]]] = [[] for _ in stack.bands]
        self._signed: list[list[np.ndarray]] = [[] for _ in stack.bands]
        self._forgone = np.zeros(stack.skip)

    def first(self, planes: int) -> np.ndarray:
        """See ``interlaced.ResidualSource``."""
        return self._rounded[:planes, 0]

    def residuals(
        self,
        step: interlaced.Pass,
        predictions: np.ndarray,
        classes: np.ndarray,
        tables: list[ClassTables],
    ) -> np.ndarray:
        """See ``interlaced.ResidualSource``."""
        values = self._rounded[:, step.cells] - predictions
        self._means.append((values, classes, tables))
        return values

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``Source``."""
        span = slice(*BANDS[band])
        targets = np.abs(self.targets[color][plane, :, span])
        self._forgone += magnitudes.forgone(
            targets, classes, tables.bits, self.lagrangian, self.stack.skip
        )
        price = None if self._price is None else self._price[color][plane, :, span]
        values, bits, gain = magnitudes.decide(
            targets, classes, tables.bits, self.lagrangian, self.stack.skip, price
        )
        if color == 0:
            self.records[plane].append([])
        self.records[plane][-1].append(_Record(values, classes, tables, bits, gain))
        return values

    def end_of_plane(
        self, plane: int, by_color: list[np.ndarray], means: np.ndarray
    ) -> list[np.ndarray]:
        """See ``Source``; drops the last bands if they cost more than they gain."""
        bands = self.records[plane]
        worth = [sum(r.gain - self.lagrangian * r.bits for r in colors) for colors in bands]
        # Keep the bands up to the peak of their cumulative worth.
        del bands[int(np.argmax(np.cumsum([0.0, *worth]))) :]
        last = BANDS[len(bands)][1]
        self._signed[plane] = [
            np.where(self.targets[c][plane, :, 1:last] < 0, -m, m)
            for c, m in enumerate(m[:, : last - 1] for m in by_color)
        ]
        return self._signed[plane]

    def cheapest_skip(self) -> int:
        """Return the lowest class that is worth coding, at most the skip of the stack.

        Regular patterns have large entries where photographs have none, in the lowest classes. A
        gain that is small beside the rate of all entries is not worth a second decision.
        """
        # Each total is that of the classes from one up to the present skip.
        totals = np.append(np.cumsum(self._forgone[::-1])[::-1], 0.0)
        bits = sum(r.bits for bands in self.records for colors in bands for r in colors)
        is_worth_it = totals.max() > _WORTHWHILE * self.lagrangian * bits
        return int(np.argmax(totals)) if is_worth_it else self.stack.skip

    def used_bands(self) -> tuple[int, ...]:
        """Return the number of bands that each plane keeps."""
        return tuple(1 + len(bands) for bands in self.records)

    def write(self, out: SymbolEncoder, kinds: np.ndarray) -> None:
        """Write the entries in the order in which ``DecodingSource`` reads them.

        Args:
            out: encoder of the symbols.
            kinds: shape (cells,), dictionary of each cell.
        """
        first = self._rounded[:, 0]
        magnitudes.put_excesses(out, np.abs(first))
        magnitudes.put_signs(out, first)
        for values, classes, tables in self._means:
            for v, c, t in zip(np.abs(values), classes, tables, strict=False):
                magnitudes.put_by_class(out, v, c, t)
            magnitudes.put_signs(out, values)
        for plane, bands in enumerate(self.records):
            for colors in bands:
                for r in colors:
                    magnitudes.put_by_class(out, r.values, r.classes, r.tables, self.stack.skip)
            if bands and self.stack.has_signs:
                self._write_signs(out, plane, kinds)

    def _write_signs(self, out: SymbolEncoder, plane: int, kinds: np.ndarray) -> None:
        first, second = self._signed[plane]
        magnitudes.put_signs(out, first)
        borders = Borders(self.stack.grid, kinds, self._rounded[plane], first)
        second = second[borders.order]
        for columns in stages(1 + first.shape[1]):
            part = second[:, columns.start - 1 : columns.stop - 1]
            predictions = borders.predict(sign_matrices()[plane], columns)
            put_signs(out, part, predictions, sign_tables())
            borders.subtract(part, columns)
        magnitudes.put_signs(out, second[:, NUM_COLUMNS - 1 :])
