"""Coding of C, the learned V in the coordinates of the atoms, by its deviations from the identity.

V = D C / n, where the columns of D are the atoms of a dictionary, so C = n I is the dictionary
itself and every other V costs what it deviates. Rows and columns of C belong to a plane and an
atom. The entries of E = C - n I are coded in groups: by the planes of row and column, by how far
the two atoms lie apart, and by the frequency of the column. The file names a class for each group,
one of the classes of ``magnitudes``, or none for a group of zeros. A column of a plane never
reaches an earlier plane: such entries are 0.
"""

from __future__ import annotations

import functools

import numpy as np

from lrfjax.codec.dictionary.atoms import ATOMS, BANDS
from lrfjax.codec.entropy import magnitudes
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder, Table, table_from_counts
from lrfjax.codec.entropy.magnitudes import ESCAPE, NUM_CLASSES, ClassTables, MagnitudeReader
from lrfjax.codec.entropy.trained import band_tables
from lrfjax.codec.learned.quarters import places
from lrfjax.errors import FormatError

NONE = -1
"""The group of the entries that are always 0."""

LARGEST = 8
"""The largest magnitude of an entry of E, as a multiple of n."""

# Columns of these bands share a zone.
_FIRST_BANDS = (0, 6, 10)
_NUM_SAME, _NUM_CROSS = 4, 3


@functools.lru_cache(maxsize=1)
def _relations() -> tuple[np.ndarray, np.ndarray]:
    """Return how far the atoms of row and column lie apart, within a plane and across planes.

    Both have shape (256, 256). Within a plane: 0 for one atom, 1 for atoms an even number of
    frequencies apart in one direction only, 2 for others at most 4 apart in sum, 3 for the rest.
    Across planes: 0 for one atom, 1 for atoms at most 3 apart in sum, 2 for the rest.
    """
    atoms = np.array(ATOMS)
    apart = np.abs(atoms[:, None] - atoms[None, :])
    total = apart.sum(axis=2)
    is_harmonic = (apart.min(axis=2) == 0) & (total % 2 == 0)
    same = np.select([total == 0, is_harmonic, total <= 4], [0, 1, 2], 3)
    cross = np.select([total == 0, total <= 3], [0, 1], 2)
    return same, cross


@functools.lru_cache(maxsize=4)
def groups_of(planes: int, quarters: bool = False) -> np.ndarray:
    """Return the group of each entry of E, shape (256 planes, 256 planes), int16.

    If the quarters of a patch share V, the shape is (64 planes, 64 planes), and an entry has the
    group of its atoms in the first quarter.

    Groups are numbered by the plane of the column, then by the plane of the row, then by the
    distance of the atoms, then by the zone of the column.
    """
    count = len(ATOMS)
    out = np.full((planes * count, planes * count), NONE, np.int16)
    starts = [BANDS[band][0] for band in _FIRST_BANDS]
    zones = np.searchsorted(starts, np.arange(count), side="right") - 1
    first = 0
    for column in range(planes):
        for row in range(column, planes):
            relation = _relations()[int(row != column)]
            part = first + len(_FIRST_BANDS) * relation + zones[None, :]
            out[row * count : (row + 1) * count, column * count : (column + 1) * count] = part
            first += len(_FIRST_BANDS) * (_NUM_SAME if row == column else _NUM_CROSS)
    if quarters:
        kept = (np.arange(planes)[:, None] * count + places()[0, 0]).ravel()
        return out[np.ix_(kept, kept)]
    return out


def num_groups(planes: int) -> int:
    """Return the number of groups."""
    return int(groups_of(planes).max()) + 1


def class_tables() -> ClassTables:
    """Return the tables of the classes: those of luma's highest frequencies."""
    return band_tables()[0][0][-1]


@functools.lru_cache(maxsize=1)
def _choice_table() -> Table:
    """Return the table of the choices: 0 for a group of zeros, c + 1 for class c."""
    return table_from_counts(np.array([256, *range(NUM_CLASSES, 0, -1)]))


def read(decoder: SymbolDecoder, planes: int, n: int, quarters: bool) -> np.ndarray:
    """Return E, int32, in the shape of ``groups_of``.

    Args:
        decoder: decoder of the symbols.
        planes: number of planes.
        n: the unit of C.
        quarters: whether the quarters of a patch share V.

    Raises:
        FormatError: if an entry exceeds ``LARGEST`` n.
    """
    groups = groups_of(planes, quarters)
    choices = decoder.take(num_groups(planes), _choice_table())
    where, classes = _live(groups, choices)
    reader = MagnitudeReader(decoder)
    values = reader.signs(reader.by_class(classes, class_tables()))
    if np.abs(values).max(initial=0) > LARGEST * n:
        raise FormatError(f"a deviation of V exceeds {LARGEST} atoms")
    out = np.zeros(groups.size, np.int32)
    out[where] = values
    return out.reshape(groups.shape)


def write(out: SymbolEncoder, deviations: np.ndarray, groups: np.ndarray) -> None:
    """Write E: the inverse of ``read``.

    Args:
        out: encoder of the symbols.
        deviations: integers, 0 where the group is ``NONE``.
        groups: group of each entry, same shape.
    """
    choices = choose_classes(deviations, groups)
    where, classes = _live(groups, choices)
    values = deviations.ravel()[where]
    out.put(choices, _choice_table())
    magnitudes.put_by_class(out, np.abs(values), classes, class_tables())
    magnitudes.put_signs(out, values)


def _live(groups: np.ndarray, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat indices of the entries of live groups, in order, and their classes."""
    by_entry = np.append(choices, 0)[groups.ravel()]
    where = np.flatnonzero(by_entry)
    return where, (by_entry[where] - 1).astype(np.uint8)


def choose_classes(deviations: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the choice of each group with the fewest bits, int32: 0, or its class plus 1."""
    costs = _costs_of_choices(deviations, groups)
    return np.argmin(costs, axis=1).astype(np.int32)


def bits(deviations: np.ndarray, groups: np.ndarray) -> float:
    """Return the bits that ``write`` spends."""
    costs = _costs_of_choices(deviations, groups)
    where = np.abs(deviations).ravel()
    excess = where[where >= ESCAPE] - ESCAPE
    more = magnitudes.excess_bits(excess).sum() + np.count_nonzero(where)
    return float(costs.min(axis=1).sum() + more)


def _costs_of_choices(deviations: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the bits of each group with each choice, without signs and excesses."""
    groups, count = groups.ravel(), int(groups.max()) + 1
    symbols = np.minimum(np.abs(deviations).ravel(), ESCAPE)
    valid = groups >= 0
    place = groups[valid].astype(np.int64) * (ESCAPE + 1) + symbols[valid]
    counts = np.bincount(place, minlength=count * (ESCAPE + 1)).reshape(count, ESCAPE + 1)
    costs = np.empty((count, NUM_CLASSES + 1))
    costs[:, 1:] = counts @ class_tables().bits.T.astype(np.float64)
    costs[:, 0] = np.where(counts[:, 1:].any(axis=1), np.inf, 0)
    return costs + _choice_table().bits


def prices(choices: np.ndarray, bound: int) -> np.ndarray:
    """Return the bits of the values -bound to bound in each group, shape (groups, 2 bound + 1).

    A group of zeros takes the lowest class, and a choice of its own, once it has an entry.
    """
    sizes = np.abs(np.arange(-bound, bound + 1))
    table = class_tables().bits[np.maximum(choices, 1) - 1].astype(np.float64)
    out = table[:, np.minimum(sizes, ESCAPE)] + (sizes > 0)
    out += np.where(sizes >= ESCAPE, magnitudes.excess_bits(np.maximum(sizes - ESCAPE, 0)), 0)
    return out
