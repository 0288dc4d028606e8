"""Coding of magnitudes with one static table per class of expected magnitude.

The expected magnitude of an entry, a multiple of 1/1024, falls into one of 32 classes with limits
in geometric progression. Each class has a table for the symbols 0 to 17 and "18 or more", trained
on photographs. The entries of a class are coded together, so the decoder needs no loop over
symbols. The excess over 18 follows in an Elias gamma code.

``MagnitudeReader`` decodes magnitudes, excesses and signs; the functions ``put_*`` write them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrfjax.codec.entropy.ans import (
    SymbolDecoder,
    SymbolEncoder,
    Table,
    uniform,
)
from lrfjax.errors import FormatError

NUM_CLASSES = 32
ESCAPE = 18
"""The symbol for magnitudes of this value and above."""
MAX_ENTRY = 2**15 - 1
"""The largest magnitude of an entry."""
MAX_ERROR = 2 * MAX_ENTRY
"""The largest magnitude of a prediction error."""

_LIMITS = np.rint(1024 * np.geomspace(0.004, 20, NUM_CLASSES - 1)).astype(np.int64)


def class_centers() -> np.ndarray:
    """Return the midpoint of the limits of each class, float64."""
    limits = np.concatenate([[0.0], _LIMITS, [1.5 * _LIMITS[-1]]]) / 1024
    return (limits[:-1] + limits[1:]) / 2


@functools.lru_cache(maxsize=1)
def _class_lookup() -> np.ndarray:
    return np.searchsorted(_LIMITS, np.arange(_LIMITS[-1] + 1), side="right").astype(np.uint8)


def classes_of(expected: np.ndarray) -> np.ndarray:
    """Return the class of each expected magnitude.

    Args:
        expected: any shape, float32 array of integers: 1024 times the magnitude, from 0 to 2^24.

    Returns:
        Same shape, uint8, 0 to 31: the number of limits that are reached.
    """
    # Clipped indices take a third of the time of a minimum and checked ones.
    return np.take(_class_lookup(), expected.astype(np.int32), mode="clip")


@dataclass(frozen=True, eq=False)
class ClassTables:
    """The tables of all classes.

    Attributes:
        tables: one table per class.
        bits: shape (classes, ESCAPE + 1), float32, the cost of each symbol.
    """

    tables: tuple[Table, ...]
    bits: np.ndarray

    @classmethod
    def of(cls, tables: Sequence[Table]) -> ClassTables:
        """Return the tables together with the costs of their symbols."""
        return cls(tuple(tables), np.stack([table.bits for table in tables]))


class MagnitudeReader:
    """Decodes magnitudes, excesses and signs.

    Args:
        decoder: decoder of the symbols.
    """

    def __init__(self, decoder: SymbolDecoder) -> None:
        self.decoder = decoder

    def by_class(
        self, classes: np.ndarray, tables: ClassTables, skip: int = 0, largest: int = MAX_ENTRY
    ) -> np.ndarray:
        """Return magnitudes, int32, in the shape of ``classes``; 0 below class ``skip``."""
        order, counts = group(classes, skip)
        grouped = np.empty(len(order), np.int32)
        position = 0
        for c in np.flatnonzero(counts).tolist():
            count = int(counts[c])
            grouped[position : position + count] = self.decoder.take(count, tables.tables[c])
            position += count
        escaped = np.flatnonzero(grouped == ESCAPE)
        if len(escaped):
            grouped[escaped] += self.excesses(len(escaped), largest - ESCAPE)
        values = np.zeros(classes.size, np.int32)
        values[order] = grouped
        return values.reshape(classes.shape)

    def excesses(self, count: int, largest: int) -> np.ndarray:
        """Return ``count`` excesses, int32: the inverse of ``put_excesses``."""
        lengths = self.decoder.take(count, uniform(16))
        out = (1 << lengths) - 1
        # Lengths that do not occur have no bits.
        for length in np.flatnonzero(np.bincount(lengths)).tolist():
            where = np.flatnonzero(lengths == length)
            for low, bits in _parts(length):
                out[where] += self.decoder.take(len(where), uniform(1 << bits)) << low
        if np.any(out > largest):
            raise FormatError(f"an entry is more than {largest} above what its class holds")
        return out

    def signs(self, magnitudes: np.ndarray) -> np.ndarray:
        """Return the signed entries of given magnitudes, int32, any shape; see ``put_signs``."""
        # The comparison is several times faster than a search for nonzero integers.
        where = np.flatnonzero(magnitudes != 0)
        packed = self.decoder.take(-(-len(where) // 8), uniform(256))
        signs = np.unpackbits(packed.astype(np.uint8), count=len(where))
        out = magnitudes.ravel().astype(np.int32)
        out[where] *= 1 - 2 * signs.astype(np.int32)
        return out.reshape(magnitudes.shape)


def group(classes: np.ndarray, skip: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of entries of class ``skip`` and above by class, and the class sizes."""
    flat = classes.ravel()
    live = np.flatnonzero(flat >= skip) if skip else None
    if live is not None:
        flat = flat[live]
    order = np.argsort(flat, kind="stable")
    counts = np.bincount(flat, minlength=NUM_CLASSES)
    return (order if live is None else live[order]), counts


def put_by_class(
    out: SymbolEncoder, values: np.ndarray, classes: np.ndarray, tables: ClassTables, skip: int = 0
) -> None:
    """Write magnitudes; those below class ``skip`` must be 0.

    Args:
        out: encoder of the symbols.
        values: magnitudes, any shape.
        classes: classes of the magnitudes, same shape, uint8.
        tables: tables of the classes.
        skip: the lowest class that is written.
    """
    order, counts = group(classes, skip)
    grouped = values.ravel()[order]
    symbols = np.minimum(grouped, ESCAPE)
    position = 0
    for c in np.flatnonzero(counts).tolist():
        count = int(counts[c])
        out.put(symbols[position : position + count], tables.tables[c])
        position += count
    escaped = grouped[symbols == ESCAPE]
    if len(escaped):
        put_excesses(out, escaped - ESCAPE)


def put_excesses(out: SymbolEncoder, values: np.ndarray) -> None:
    """Write integers v from 0 to 2^16 - 2: the lengths of v + 1 in bits, then the lower bits."""
    lengths = np.frexp(values + 1.0)[1] - 1
    out.put(lengths, uniform(16))
    for length in range(1, 16):
        rest = values[lengths == length] + 1 - (1 << length)
        for low, bits in _parts(length):
            out.put(rest >> low & ((1 << bits) - 1), uniform(1 << bits))


def put_signs(out: SymbolEncoder, values: np.ndarray) -> None:
    """Write the signs of the nonzero entries, eight per symbol."""
    flat = values.ravel()
    out.put(np.packbits(flat[flat != 0] < 0), uniform(256))


def decide(
    targets: np.ndarray,
    classes: np.ndarray,
    bits: np.ndarray,
    lagrangian: float,
    skip: int = 0,
    price: np.ndarray | None = None,
) -> tuple[np.ndarray, float, float]:
    """Return the magnitudes with the least (target - magnitude)^2 + lagrangian * bits.

    Args:
        targets: any shape, non-negative, real-valued magnitudes.
        classes: same shape, uint8, classes of the magnitudes.
        bits: shape (classes, ESCAPE + 1), the cost of each symbol; a sign costs one bit more.
        lagrangian: Lagrange multiplier of the rate, in squared units of the targets per bit.
        skip: the lowest coded class; entries of lower classes are 0.
        price: same shape, bits that a unit of magnitude adds to the cost of other entries.

    Returns:
        The magnitudes, int32; their cost in bits; and the reduction of the squared error relative
        to zeros.
    """
    flat, which = targets.ravel(), classes.ravel()
    values = np.zeros(flat.size, np.int32)
    counts = np.bincount(which, minlength=len(bits))
    counts[:skip] = 0
    total, gain = float(counts @ bits[:, 0]), 0.0
    live = np.flatnonzero(flat > 0.5)
    if skip:
        live = live[which[live] >= skip]
    if len(live):
        x = np.minimum(flat[live], MAX_ENTRY)
        # The start of each class's row in the flat array of costs.
        costs, row = bits.ravel(), which[live].astype(np.int64) * bits.shape[1]
        best = np.zeros(len(live), np.int32)
        spent = zero = costs[row]
        least = x * x + lagrangian * zero
        upper = np.rint(x).astype(np.int32)
        unit = 0.0 if price is None else lagrangian * price.ravel()[live]
        for candidate in (upper, upper - 1):
            cost = costs[row + np.minimum(candidate, ESCAPE)] + 1
            large = np.flatnonzero(candidate >= ESCAPE)
            if len(large):
                cost[large] += excess_bits(candidate[large] - ESCAPE)
            value = np.square(x - candidate) + lagrangian * cost + unit * candidate
            is_better = (value < least) & (candidate > 0)
            best = np.where(is_better, candidate, best)
            least = np.where(is_better, value, least)
            spent = np.where(is_better, cost, spent)
        values[live] = best
        total += float(np.sum(spent - zero))
        gain = float(np.sum(best * (2 * x - best)))
    return values.reshape(targets.shape), total, gain


def forgone(
    targets: np.ndarray, classes: np.ndarray, bits: np.ndarray, lagrangian: float, skip: int
) -> np.ndarray:
    """Return what coding each class below ``skip`` would gain: distortion less rate.

    The estimate rounds each target, and a zero where that is cheaper. It is low: nonzero entries
    would raise the classes of their neighbours.

    Args:
        targets: any shape, non-negative, real-valued magnitudes.
        classes: same shape, uint8, classes of the magnitudes.
        bits: shape (classes, ESCAPE + 1), the cost of each symbol.
        lagrangian: Lagrange multiplier of the rate, in squared units of the targets per bit.
        skip: the lowest coded class.

    Returns:
        Shape (skip,), in squared units of the targets. Negative where zeros alone cost more.
    """
    flat, which = targets.ravel(), classes.ravel()
    counts = np.array([np.count_nonzero(which == c) for c in range(skip)])
    live = np.flatnonzero(flat > 0.5)
    live = live[which[live] < skip]
    x, c = flat[live], which[live]
    value = np.minimum(np.rint(x), MAX_ENTRY).astype(np.int32)
    cost = bits[c, np.minimum(value, ESCAPE)] + 1 - bits[c, 0]
    cost += np.where(value >= ESCAPE, excess_bits(np.maximum(value - ESCAPE, 0)), 0)
    gain = np.maximum(value * (2 * x - value) - lagrangian * cost, 0.0)
    return np.bincount(c, gain, minlength=skip) - lagrangian * counts * bits[:skip, 0]


def excess_bits(values: np.ndarray) -> np.ndarray:
    """Return the bits that ``put_excesses`` spends on each value."""
    return 4 + np.frexp(values + 1.0)[1] - 1


def _parts(length: int) -> list[tuple[int, int]]:
    """Return the (position, number) of each group of bits that is written together."""
    return [(low, min(8, length - low)) for low in range(0, length, 8)]
