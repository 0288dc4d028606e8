"""Coding of U for the dictionaries: plane by plane, bands of columns, two colours of cells.

``walk`` goes through a factor in the order of the file and works out the class of every entry from
those before it. Its source either decodes the entries or, in the encoder, decides them on the way:
the class gives what each choice costs, so the encoder takes the one with the least distortion plus
rate (``DecidingSource``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrfjax.codec.entropy import interlaced, magnitudes
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder
from lrfjax.codec.entropy.checkerboard import Checkerboard, add_neighbors, checkerboard
from lrfjax.codec.entropy.frequency_contexts import BANDS, MAX_MAGNITUDE
from lrfjax.codec.entropy.magnitudes import MAX_ENTRY, ClassTables, classes_of
from lrfjax.codec.entropy.trained import band_contexts, band_tables, mean_tables


@dataclass(frozen=True)
class Stack:
    """What both sides know of U before its entries.

    Attributes:
        grid: (rows, columns) of the cells, one patch each.
        bands: for each plane, how many bands of columns are coded; the rest are 0. The first band
            is the column of means.
        steps: for each plane, of its entries, in 1/16 gray levels.
        skip: entries of lower classes are 0 and not coded.
    """

    grid: tuple[int, int]
    bands: tuple[int, ...]
    steps: tuple[int, ...]
    skip: int

    @property
    def num_columns(self) -> int:
        """How many columns of U are coded, for the plane with the most."""
        return max(BANDS[n - 1][1] for n in self.bands)


class Source(interlaced.ResidualSource, Protocol):
    """What ``walk`` asks for the entries."""

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """Return the magnitudes of a band in the cells of a colour, integers, shape (n, k)."""

    def end_of_plane(self, plane: int, by_color: list[np.ndarray]) -> list[np.ndarray]:
        """Return the entries whose magnitudes are given, two arrays of shape (n, k), integers.

        Fewer columns may come back: then those left out are 0, for all that follows as well.
        """


def walk(source: Source, stack: Stack) -> np.ndarray:
    """Return U.

    Args:
        source: of its entries.
        stack: what is known of it.

    Returns:
        Shape (planes, cells, columns), int16, cells in row-major order. Columns that are not coded
        for a plane are 0.
    """
    height, width = stack.grid
    board = checkerboard(height, width)
    planes = len(stack.bands)
    out = np.zeros((planes, height * width, stack.num_columns), np.int16)
    means = interlaced.code(source, (planes, height, width), mean_tables()[: interlaced.NUM_KINDS])
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
                entries = source.band(
                    plane, color, band, classes_of(expected), band_tables()[plane][band]
                )
                by_color[color].append(entries)
                known.set_color(color, columns, entries)
            known.sum_neighbors(0, columns)
        if bands > 1:
            signed = source.end_of_plane(plane, [np.concatenate(c, axis=1) for c in by_color])
            last = 1 + signed[0].shape[1]
            for color in (0, 1):
                out[plane][board.cells[color], 1:last] = signed[color]
            known.forget(last)
        before.append(known)
    return out


class _Magnitudes:
    """What is decoded of a plane, as contexts take it: magnitudes, and sums over neighbours.

    For both colours: ``own`` has shape (n + 1, columns) with a last row of zeros for what is
    outside, ``vertical`` and ``horizontal`` (n, columns). All float32 holding small integers.
    """

    def __init__(self, board: Checkerboard, columns: int) -> None:
        self.board = board
        sizes = [len(c) for c in board.cells]
        self.own = [np.zeros((n + 1, columns), np.float32) for n in sizes]
        self.vertical = [np.zeros((n, columns), np.float32) for n in sizes]
        self.horizontal = [np.zeros((n, columns), np.float32) for n in sizes]

    def set_color(self, color: int, columns: slice, entries: np.ndarray) -> None:
        """Store the magnitudes of one colour, and sum them up for the other."""
        self.own[color][:-1, columns] = np.minimum(entries, MAX_MAGNITUDE)
        if color == 0:
            self.sum_neighbors(1, columns)

    def sum_neighbors(self, color: int, columns: slice) -> None:
        """Sum up the neighbours of the cells of a colour."""
        other = self.own[1 - color][:, columns]
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
        # Weights reach into the next band, which may have no columns here.
        own = other.own[color][:-1, window]
        expected += product(own, weights[: own.shape[1]])
        beside = other.vertical[color][:, columns] + other.horizontal[color][:, columns]
        expected += context.beside * beside
    expected += context.offset(step)
    return expected


_ONE_THREAD = 1 << 18


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``a @ b``, in parts that BLAS does not share out among threads.

    They are too small to gain from that, and threads that wait for more keep others from working.
    """
    rows = max(_ONE_THREAD // max(b.size, 1), 1)
    if rows >= len(a):
        return a @ b
    out = np.empty((len(a), b.shape[1]), np.float32)
    for first in range(0, len(a), rows):
        np.matmul(a[first : first + rows], b, out=out[first : first + rows])
    return out


class DecodingSource(interlaced.ResidualReader):
    """Reads the entries from a file."""

    def __init__(self, decoder: SymbolDecoder, stack: Stack) -> None:
        super().__init__(decoder)
        self.stack = stack

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``Source``."""
        return self.reader.by_class(classes, tables, self.stack.skip)

    def end_of_plane(self, plane: int, by_color: list[np.ndarray]) -> list[np.ndarray]:
        """See ``Source``."""
        return [self.reader.signs(m) for m in by_color]


@dataclass
class _Record:
    """A band of a plane and colour, as the encoder decided it: its symbols, and what they cost.

    Attributes:
        values: magnitudes, shape (n, k).
        classes: the same shape.
        tables: of the classes.
        bits: with signs.
        gain: by how much the squared error is less than that of zeros, in squared steps.
    """

    values: np.ndarray
    classes: np.ndarray
    tables: ClassTables
    bits: float
    gain: float


class DecidingSource:
    """Decides the entries: rounds the means, and for the rest minimises distortion plus rate.

    Args:
        ratios: shape (planes, cells, columns), float32: what U would be if it were not rounded.
        stack: what is known of U.
        lagrangian: what a bit is worth, in squared steps.
        price: for both colours what a unit of magnitude costs other entries, in bits, shape
            (planes, n, columns); see ``context_gradient``.

    Attributes:
        targets: for both colours the ratios of its cells.
        records: for each plane, band from the second on, and colour, what was decided.
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
        price = None if self._price is None else self._price[color][plane, :, span]
        values, bits, gain = magnitudes.decide(
            targets, classes, tables.bits, self.lagrangian, self.stack.skip, price
        )
        if color == 0:
            self.records[plane].append([])
        self.records[plane][-1].append(_Record(values, classes, tables, bits, gain))
        return values

    def end_of_plane(self, plane: int, by_color: list[np.ndarray]) -> list[np.ndarray]:
        """See ``Source``; leaves out the last bands where they cost more than they gain."""
        bands = self.records[plane]
        worth = [sum(r.gain - self.lagrangian * r.bits for r in colors) for colors in bands]
        # The best number of bands to keep is where the sum of what they are worth peaks.
        del bands[int(np.argmax(np.cumsum([0.0, *worth]))) :]
        last = BANDS[len(bands)][1]
        self._signed[plane] = [
            np.where(self.targets[c][plane, :, 1:last] < 0, -m, m)
            for c, m in enumerate(m[:, : last - 1] for m in by_color)
        ]
        return self._signed[plane]

    def used_bands(self) -> tuple[int, ...]:
        """Return for each plane how many bands are kept."""
        return tuple(1 + len(bands) for bands in self.records)

    def write(self, out: SymbolEncoder) -> None:
        """Write the entries in the order in which ``DecodingSource`` reads them."""
        first = self._rounded[:, 0]
        magnitudes.put_excesses(out, np.abs(first))
        magnitudes.put_signs(out, first)
        for values, classes, tables in self._means:
            for v, c, t in zip(np.abs(values), classes, tables, strict=False):
                magnitudes.put_by_class(out, v, c, t)
            magnitudes.put_signs(out, values)
        for bands, signed in zip(self.records, self._signed, strict=True):
            for colors in bands:
                for r in colors:
                    magnitudes.put_by_class(out, r.values, r.classes, r.tables, self.stack.skip)
            if bands:
                for part in signed:
                    magnitudes.put_signs(out, part)
