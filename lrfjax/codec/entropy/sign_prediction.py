"""Prediction of signs from the borders of patches.

An image is mostly continuous across the borders between patches. The cells of the second colour
come last, so all of their neighbours are known. The difference between the neighbours' pixels along
a border and those of the cell itself predicts the signs of the cell's entries. The columns come in
stages: what a stage adds to the pixels is taken off before the next one. All sums are products of
small integer matrices, exact in float32.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from lrfjax.codec.dictionary.atoms import ATOMS, SIDE
from lrfjax.codec.dictionary.dictionaries import NUM_KINDS, TRANSFORM_BITS, transforms
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder, Table
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.products import product

STAGES = ((1, 6), (6, 15), (15, 28), (28, 45), (45, 91))
"""The first column of each stage, and the one after its last."""
NUM_COLUMNS = STAGES[-1][1]
NUM_SIDES = 4
"""The borders of a patch: top, bottom, left, right."""
WEIGHT_BITS = 9
"""The weight 2 to this power stands for 1."""
LIMITS = np.array([29, 70, 256, 939, 3444])
"""The least confidence of each class but the first, in 1/1024."""
SIGNS_PER_SYMBOL = 4
SIGN_UNIT = 512
"""The errors of a class are counted out of this many signs."""

_OPPOSITE = [1, 0, 3, 2]
_NUM_SAMPLES = NUM_SIDES * SIDE
_PIXEL_BITS = 6
_MAX_ENTRY, _MAX_DIFFERENCE, _MAX_MAGNITUDE = 127, 2047, 8
_PREDICTION_BITS = 7
_EDGE_OF_MEAN = 16


@functools.lru_cache(maxsize=1)
def _edges() -> list[np.ndarray]:
    """Return what each column adds to the pixels along the four borders, (columns, 64) each."""
    out = []
    for kind in range(NUM_KINDS):
        vertical, horizontal = (transforms()[k] for k in divmod(kind, 2))
        rows = [
            np.stack(
                [
                    vertical[a, 0] * horizontal[b],
                    vertical[a, -1] * horizontal[b],
                    vertical[a] * horizontal[b, 0],
                    vertical[a] * horizontal[b, -1],
                ]
            )
            for a, b in ATOMS[:NUM_COLUMNS]
        ]
        out.append(_rounded(np.stack(rows), _PIXEL_BITS).reshape(NUM_COLUMNS, -1))
    return [edge.astype(np.float32) for edge in out]


@functools.lru_cache(maxsize=1)
def _edges_beyond() -> list[np.ndarray]:
    """Return ``_edges`` as the cells beyond the borders see them: with opposite sides swapped."""
    shape = (NUM_COLUMNS, NUM_SIDES, SIDE)
    return [e.reshape(shape)[:, _OPPOSITE].reshape(NUM_COLUMNS, -1) for e in _edges()]


def prediction_matrices(weights: np.ndarray) -> list[np.ndarray]:
    """Return the matrices from differences along the borders to predictions, for one plane.

    Args:
        weights: shape (kinds, sides, columns), integers.

    Returns:
        For each kind, shape (64, columns), float32 integers.
    """
    out = []
    for kind, by_side in enumerate(weights.astype(np.int64)):
        vertical, horizontal = (transforms()[k] for k in divmod(kind, 2))
        along = np.stack(
            [[horizontal[b], horizontal[b], vertical[a], vertical[a]] for a, b in ATOMS]
        )[:NUM_COLUMNS]
        full = _rounded(by_side[:, None, :] * along.transpose(1, 2, 0), TRANSFORM_BITS)
        out.append(full.reshape(-1, NUM_COLUMNS).astype(np.float32))
    return out


def _rounded(x: np.ndarray, bits: int) -> np.ndarray:
    return (x + (1 << (bits - 1))) >> bits


class Borders:
    """The differences along the borders of the cells of the second colour of a plane.

    Args:
        grid: (rows, columns) of the cells.
        kinds: shape (M,), dictionary of each cell.
        means: shape (M,), the column of means.
        first: shape (n, k), the signed entries of the first colour from column 1 on.

    Attributes:
        order: positions of the cells of the second colour, sorted by dictionary. All arrays of
            entries have this order.
    """

    def __init__(
        self, grid: tuple[int, int], kinds: np.ndarray, means: np.ndarray, first: np.ndarray
    ) -> None:
        board = checkerboard(*grid)
        others, cells = board.cells
        self.order, self._parts = _sorted_by_kind(kinds[cells])
        known = _clipped(first[:, : NUM_COLUMNS - 1])
        # A last row for cells outside the grid.
        edges = np.zeros((len(others) + 1, _NUM_SAMPLES), np.float32)
        order, parts = _sorted_by_kind(kinds[others])
        for kind, span in parts:
            rows = order[span]
            matrix = _edges_beyond()[kind][1 : 1 + known.shape[1]]
            edges[rows] = product(known[rows], matrix)
        own = means[cells[self.order]].astype(np.int32)
        around = np.append(means[others], 0)
        self._differences = np.empty((len(cells), _NUM_SAMPLES), np.float32)
        for side, neighbors in enumerate((*board.vertical[1], *board.horizontal[1])):
            places = neighbors[self.order]
            step = _EDGE_OF_MEAN * _clipped((around[places] - own) * (places < len(others)))
            span = slice(SIDE * side, SIDE * (side + 1))
            np.add(edges[places, span], step[:, None], out=self._differences[:, span])

    def predict(self, matrices: list[np.ndarray], columns: slice) -> np.ndarray:
        """Return the predictions of some columns, shape (n, k), float32 integers."""
        bounded = np.clip(self._differences, -_MAX_DIFFERENCE, _MAX_DIFFERENCE)
        out = np.empty((len(bounded), columns.stop - columns.start), np.float32)
        for kind, rows in self._parts:
            out[rows] = product(bounded[rows], matrices[kind][:, columns])
        return out

    def subtract(self, entries: np.ndarray, columns: slice) -> None:
        """Take signed entries of some columns off, shape (n, k)."""
        bounded = _clipped(entries)
        for kind, rows in self._parts:
            self._differences[rows] -= product(bounded[rows], _edges()[kind][columns])


def _sorted_by_kind(kinds: np.ndarray) -> tuple[np.ndarray, list[tuple[int, slice]]]:
    """Return the order of cells by dictionary, and the span of each dictionary in it."""
    ends = np.cumsum(np.bincount(kinds, minlength=NUM_KINDS)).tolist()
    spans = zip([0, *ends[:-1]], ends, strict=True)
    parts = [(kind, slice(a, b)) for kind, (a, b) in enumerate(spans) if a < b]
    return np.argsort(kinds, kind="stable"), parts


def _clipped(entries: np.ndarray) -> np.ndarray:
    return np.clip(entries, -_MAX_ENTRY, _MAX_ENTRY).astype(np.float32)


def stages(count: int) -> Iterator[slice]:
    """Yield the columns of each stage, of U with ``count`` columns."""
    for first, last in STAGES:
        if first < count:
            yield slice(first, min(last, count))


def put_signs(
    out: SymbolEncoder, entries: np.ndarray, predictions: np.ndarray, tables: list[Table]
) -> None:
    """Write the signs of the nonzero entries, by class of confidence, four per symbol.

    Args:
        out: encoder of the symbols.
        entries: signed entries, any shape.
        predictions: same shape, see ``Borders.predict``.
        tables: table of each class.
    """
    where = np.flatnonzero(entries != 0)
    values, predicted = np.take(entries, where), np.take(predictions, where)
    order, ends = _by_class(np.abs(values), predicted)
    wrong = ((values < 0) != (predicted < 0))[order]
    for table, part in zip(tables, np.split(wrong, ends), strict=True):
        padded = np.pad(part, (0, -len(part) % SIGNS_PER_SYMBOL))
        bits = padded.reshape(-1, SIGNS_PER_SYMBOL)
        out.put(bits @ (1 << np.arange(SIGNS_PER_SYMBOL)[::-1]), table)


def take_signs(
    decoder: SymbolDecoder, magnitudes: np.ndarray, predictions: np.ndarray, tables: list[Table]
) -> np.ndarray:
    """Return the signed entries of given magnitudes, int32; see ``put_signs``."""
    # A copy, since columns of an array are not contiguous.
    out = magnitudes.astype(np.int32, order="C")
    where = np.flatnonzero(out != 0)
    values, predicted = np.take(out, where), np.take(predictions, where)
    order, ends = _by_class(values, predicted)
    wrong = np.empty(len(where), bool)
    bounds = [0, *ends.tolist(), len(where)]
    for table, first, last in zip(tables, bounds[:-1], bounds[1:], strict=True):
        symbols = decoder.take(-(-(last - first) // SIGNS_PER_SYMBOL), table)
        bits = symbols[:, None] >> np.arange(SIGNS_PER_SYMBOL)[::-1] & 1
        wrong[order[first:last]] = bits.ravel()[: last - first]
    out.flat[where] = np.where(wrong != (predicted < 0), -values, values)
    return out


def _by_class(magnitudes: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of the signs by class, and the ends of all classes but the last."""
    classes = confidence_classes(magnitudes, predictions)
    counts = np.bincount(classes, minlength=len(LIMITS) + 1)
    return np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1]


def confidence_classes(magnitudes: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Return the class of each sign, uint8, 0 to 5: the number of limits that are reached."""
    size = np.abs(predictions).astype(np.int32) >> _PREDICTION_BITS
    confidence = size * np.minimum(magnitudes, _MAX_MAGNITUDE)
    return np.searchsorted(LIMITS, confidence, side="right").astype(np.uint8)
