"""The context model of U with a dictionary: the expected magnitude of each entry.

The columns of U belong to atoms with two frequencies (see ``atoms``). They are coded plane by
plane, in bands, the first colour of the checkerboard before the second. The expected magnitude of
an entry is a weighted sum of decoded magnitudes: in the same cell at lower frequencies, in the
neighbouring cells, and at the same place in earlier planes. The sums are products of integer
matrices. The weights were trained on photographs (``benchmarks/train_contexts.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lrfjax.codec.dictionary.atoms import ATOMS, BANDS, INDEX, SIDE, band_of

MAX_MAGNITUDE = 24
"""Contexts clip magnitudes to this value."""

WEIGHT_ONE = 1024
"""The fixed-point unit of weights and expected magnitudes: the integer that stands for 1."""

# Steps (vertical, horizontal) towards lower frequencies, for each group of atoms in the same cell.
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
"""The number of weights per entry."""

STEP_UNIT = 256
"""The constant term contains weight * STEP_UNIT // step, with the step in 1/16 gray levels."""


def earlier_atom(atom: tuple[int, int], step: tuple[int, int]) -> int | None:
    """Return the first atom of an earlier band that steps from an atom reach.

    After the first step the walk goes on by one frequency at a time, in the directions in which
    the step is positive. The result is None if the walk leaves the dictionary.
    """
    direction = (int(step[0] > 0), int(step[1] > 0))
    a, b = atom[0] - step[0], atom[1] - step[1]
    while 0 <= a < SIDE and 0 <= b < SIDE:
        if band_of((a, b)) < band_of(atom):
            return INDEX[a, b]
        a, b = a - direction[0], b - direction[1]
    return None


def around(atom: tuple[int, int]) -> Iterator[int]:
    """Yield the atoms that differ by 1 in one frequency."""
    for da, db in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        if (atom[0] + da, atom[1] + db) in INDEX:
            yield INDEX[atom[0] + da, atom[1] + db]


@functools.lru_cache(maxsize=1)
def group_masks() -> dict[str, np.ndarray]:
    """Return the masks of the atoms that each group of each atom sums over.

    Returns:
        ``"same_cell"`` of shape (8, 256, 256), ``"vertical"`` and ``"horizontal"`` of shape
        (2, 256, 256), ``"around"`` of shape (256, 256), all 0 or 1. Axes: group (but for
        ``"around"``), atom, atom in the sum.
    """
    n = len(ATOMS)
    same, vertical = np.zeros((len(_SAME_CELL), n, n)), np.zeros((2, n, n))
    horizontal, near = np.zeros((2, n, n)), np.zeros((n, n))
    for i, atom in enumerate(ATOMS):
        for group, steps in enumerate(_SAME_CELL):
            for step in steps:
                if (j := earlier_atom(atom, step)) is not None:
                    same[group, i, j] = 1
        # One frequency lower in the direction of the neighbour, or across it.
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
    """The weights of a band of k columns, for one plane and colour: float32 arrays of integers.

    A matrix has shape (input columns, k); the slice next to it selects the input columns of U.

    Attributes:
        same_cell: weights of magnitudes in the same cell.
        vertical: weights of sums over the cells above and below.
        horizontal: weights of sums over the cells to the left and right.
        planes: for each earlier plane, weights of its magnitudes in the same cell.
        beside: weights of sums over the four neighbours in all earlier planes, shape (k,).
        own_vertical: weights of the same column above and below, shape (k,); unused for the first
            colour.
        own_horizontal: weights of the same column to the left and right, shape (k,); likewise.
        constant: constant terms, shape (k,), int64.
        per_step: weights of ``STEP_UNIT`` over the step, shape (k,), int64.
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
        weights: shape (groups, 3, 2, 256), integers, axes group, plane, colour, atom.
        plane: index of the plane, 0 to 2.
        color: colour of the checkerboard, 0 or 1.
        band: index into ``BANDS``.
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


class PlaneWeights(NamedTuple):
    """The weights of a plane over its own magnitudes, for one colour.

    Attributes:
        same_cell: shape (256, 256), weights of magnitudes in the same cell.
        vertical: shape (256, 256), weights of sums over the cells above and below.
        horizontal: shape (256, 256), weights of sums over the cells to the left and right.
        constant: constant terms, shape (256,).
        per_step: weights of ``STEP_UNIT`` over the step, shape (256,).
    """

    same_cell: np.ndarray
    vertical: np.ndarray
    horizontal: np.ndarray
    constant: np.ndarray
    per_step: np.ndarray


def plane_weights(weights: np.ndarray, plane: int, color: int) -> PlaneWeights:
    """Return the weights of all bands of a plane as matrices, integers; see ``band_context``."""
    masks = group_masks()
    w = weights[:, plane, color].astype(np.int64)

    def combine(first: int, matrices: np.ndarray) -> np.ndarray:
        return np.einsum("gi,gij->ij", w[first : first + len(matrices)], matrices)

    return PlaneWeights(
        combine(0, masks["same_cell"]),
        combine(_ACROSS, masks["vertical"]) + np.diag(w[_VERTICAL] * color),
        combine(_ACROSS, masks["horizontal"]) + np.diag(w[_HORIZONTAL] * color),
        w[_CONSTANT],
        w[_PER_STEP],
    )
