"""What is known of an entry of U before it is decoded, for a dictionary with two frequencies.

An atom has a vertical and a horizontal frequency (a, b), 0 to 15, and the atoms are ordered by
a + b, then by a. They are coded in bands of neighbouring a + b, all planes of a cell grid at once,
the first colour of the checkerboard before the second. The expected magnitude of an entry is a
weighted sum of magnitudes that were decoded before it: in the same cell at lower frequencies, in
the neighbouring cells, and at the same place in the planes before. The sums are products of
integer matrices, and the weights were trained on photographs (``benchmarks/train_contexts.py``).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SIDE = 16
"""The number of frequencies in each direction."""

ATOMS = sorted(
    ((a, b) for a in range(SIDE) for b in range(SIDE)), key=lambda f: (f[0] + f[1], f[0])
)
"""The frequencies (a, b) of each column of U."""

INDEX = {frequencies: index for index, frequencies in enumerate(ATOMS)}

_FIRST_SUMS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 20, 31)
BANDS = tuple(
    (
        sum(a + b < low for a, b in ATOMS),
        sum(a + b < high for a, b in ATOMS),
    )
    for low, high in itertools.pairwise(_FIRST_SUMS)
)
"""The first column of each band, and the one after its last."""

MAX_MAGNITUDE = 24
"""Larger magnitudes count as this in a context."""

WEIGHT_ONE = 1024
"""What weights are multiples of: an expected magnitude of 1 is this."""

# Steps towards lower frequencies (vertical, horizontal) of each group of atoms in the same cell.
_SAME_CELL = (
    ((1, 0),),
    ((0, 1),),
    ((1, 1),),
    ((2, 0),),
    ((0, 2),),
    ((2, -1), (-1, 2)),
    ((1, 2), (2, 1)),
    ((3, 0), (0, 3), (3, -1), (-1, 3), (2, 2)),
)
_ACROSS, _ALONG = len(_SAME_CELL), len(_SAME_CELL) + 1
_VERTICAL, _HORIZONTAL = _ALONG + 1, _ALONG + 2
_LUMA, _LUMA_AROUND, _CHROMA, _CHROMA_AROUND, _PLANES_BESIDE = range(
    _HORIZONTAL + 1, _HORIZONTAL + 6
)
_CONSTANT, _PER_STEP = _PLANES_BESIDE + 1, _PLANES_BESIDE + 2
NUM_GROUPS = _PER_STEP + 1
"""The number of weights of an entry."""

STEP_UNIT = 256
"""The constant term holds its second weight times this over the step, in 1/16 gray levels."""


def band_of(atom: tuple[int, int]) -> int:
    """Return the index of the band of an atom."""
    return sum(sum(atom) >= low for low in _FIRST_SUMS[1:])


def earlier_atom(atom: tuple[int, int], step: tuple[int, int]) -> int | None:
    """Return the atom that a step leads to, walking on until it is of an earlier band.

    None where the walk leaves the dictionary.
    """
    direction = (int(step[0] > 0), int(step[1] > 0))
    a, b = atom[0] - step[0], atom[1] - step[1]
    while 0 <= a < SIDE and 0 <= b < SIDE:
        if band_of((a, b)) < band_of(atom):
            return INDEX[a, b]
        a, b = a - direction[0], b - direction[1]
    return None


def around(atom: tuple[int, int]) -> Iterator[int]:
    """Yield the atoms that are one frequency away in one direction."""
    for da, db in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        if (atom[0] + da, atom[1] + db) in INDEX:
            yield INDEX[atom[0] + da, atom[1] + db]


@functools.lru_cache(maxsize=1)
def group_masks() -> dict[str, np.ndarray]:
    """Return which atoms each group of each atom takes in: what the weights multiply.

    Returns:
        ``"same_cell"`` of shape (8, 256, 256), ``"vertical"`` and ``"horizontal"`` of shape
        (2, 256, 256), ``"around"`` of shape (256, 256): group, atom, atom taken in. All 0 or 1.
    """
    n = len(ATOMS)
    same, vertical = np.zeros((len(_SAME_CELL), n, n)), np.zeros((2, n, n))
    horizontal, near = np.zeros((2, n, n)), np.zeros((n, n))
    for i, atom in enumerate(ATOMS):
        for group, steps in enumerate(_SAME_CELL):
            for step in steps:
                if (j := earlier_atom(atom, step)) is not None:
                    same[group, i, j] = 1
        # A frequency less in the direction of the neighbour, or across it.
        for j, pair in (
            (earlier_atom(atom, (1, 0)), (vertical[0], horizontal[1])),
            (earlier_atom(atom, (0, 1)), (vertical[1], horizontal[0])),
        ):
            if j is not None:
                pair[0][i, j] = pair[1][i, j] = 1
        near[i, list(around(atom))] = 1
    return {"same_cell": same, "vertical": vertical, "horizontal": horizontal, "around": near}


@dataclass(frozen=True, eq=False)
class BandContext:
    """The weights of one band of k columns, of one plane and colour: float32 arrays of integers.

    A matrix has shape (columns taken in, k), and a slice says which columns of U these are.

    Attributes:
        same_cell: of magnitudes in the same cell.
        vertical: of the sums over the cells above and below.
        horizontal: of the sums over the cells to the left and right.
        planes: for each earlier plane, of its magnitudes in the same cell.
        beside: of the sums over four cells and the earlier planes, shape (k,).
        own_vertical: of the same column above and below, shape (k,); 0 for the first colour.
        own_horizontal: of the same column to the left and right.
        constant: shape (k,), int64.
        per_step: shape (k,), int64.
    """

    same_cell: tuple[slice, np.ndarray]
    vertical: tuple[slice, np.ndarray]
    horizontal: tuple[slice, np.ndarray]
    planes: tuple[tuple[slice, np.ndarray], ...]
    beside: np.ndarray
    own_vertical: np.ndarray
    own_horizontal: np.ndarray
    constant: np.ndarray
    per_step: np.ndarray

    def offset(self, step: int) -> np.ndarray:
        """Return the constant term for a step in 1/16 gray levels, shape (k,), float32."""
        return (self.constant + self.per_step * STEP_UNIT // step).astype(np.float32)


def band_context(weights: np.ndarray, plane: int, color: int, band: int) -> BandContext:
    """Return the weights of a band as matrices.

    Args:
        weights: shape (groups, 3, 2, 256), integers: group, plane, colour, atom.
        plane: 0 to 2.
        color: of the checkerboard, 0 or 1.
        band: an index of ``BANDS``.
    """
    masks = group_masks()
    first, last = BANDS[band]
    w = weights[:, plane, color, first:last].astype(np.int64)

    def combine(groups: np.ndarray, matrices: np.ndarray) -> tuple[slice, np.ndarray]:
        dense = np.einsum("gi,gij->ij", groups, matrices[:, first:last])
        used = np.flatnonzero(dense.any(axis=0))
        window = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        return window, np.ascontiguousarray(dense[:, window].T, np.float32)

    own = np.eye(len(ATOMS))[None]
    near = np.concatenate([own, masks["around"][None]])
    planes = [combine(w[[_LUMA, _LUMA_AROUND]], near), combine(w[[_CHROMA, _CHROMA_AROUND]], near)]
    column = {
        group: w[group].astype(np.float32) for group in (_PLANES_BESIDE, _VERTICAL, _HORIZONTAL)
    }
    return BandContext(
        combine(w[: len(_SAME_CELL)], masks["same_cell"]),
        combine(w[[_ACROSS, _ALONG]], masks["vertical"]),
        combine(w[[_ACROSS, _ALONG]], masks["horizontal"]),
        tuple(planes[:plane]),
        column[_PLANES_BESIDE],
        column[_VERTICAL],
        column[_HORIZONTAL],
        w[_CONSTANT],
        w[_PER_STEP],
    )
