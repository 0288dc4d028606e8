"""A V of 8 x 8 pixels that the four quarters of a patch share.

The atoms of the last dictionary are DCT atoms of 8 x 8 pixels in one quarter of a patch, but for
means along a direction, whose two halves are replaced by their sum and difference. A V for 8 x 8
pixels has a sixteenth of the entries of one for 16 x 16. ``expanded`` turns its deviations from the
atoms into those of the patch.
"""

from __future__ import annotations

import functools

import numpy as np

from lrfjax.codec.dictionary.atoms import INDEX, SIDE
from lrfjax.codec.dictionary.dictionaries import NUM_KINDS

KIND = NUM_KINDS - 1
"""The dictionary whose atoms lie in quarters."""

COUNT = (SIDE // 2) ** 2
"""The number of atoms of a quarter."""

_HALF = SIDE // 2
_BITS = 8
_ONE, _ROOT_HALF, _HALVED = 1 << _BITS, 181, 1 << (_BITS - 1)


def frequencies() -> list[tuple[int, int]]:
    """Return the frequencies (a, b) of the atoms of a quarter, by their order in the patch."""
    pairs = [(a, b) for a in range(_HALF) for b in range(_HALF)]
    return sorted(pairs, key=lambda f: INDEX[2 * f[0], 2 * f[1]])


@functools.lru_cache(maxsize=1)
def places() -> np.ndarray:
    """Return the column of each atom in each quarter, shape (2, 2, 64): half, half, atom."""
    return np.array(
        [[[INDEX[2 * a + i, 2 * b + j] for a, b in frequencies()] for j in (0, 1)] for i in (0, 1)]
    )


def split(x: np.ndarray) -> np.ndarray:
    """Return the coordinates of the quarters of patches, each in its own DCT atoms.

    Args:
        x: shape (M, 256), float, coordinates of patches in the last dictionary.

    Returns:
        Shape (4 M, 64).
    """
    parts = x[:, places()].astype(np.float64)
    for axis, which in ((1, 0), (2, 1)):
        is_mean = np.array([f[which] == 0 for f in frequencies()])
        first, second = np.take(parts, 0, axis), np.take(parts, 1, axis)
        both = np.stack([first + second, first - second], axis) / np.sqrt(2)
        parts = np.where(is_mean, both, parts)
    return parts.reshape(-1, COUNT)


@functools.lru_cache(maxsize=1)
def _factors() -> np.ndarray:
    """Return 256 times the factor of an entry for each pair of quarters, (2, 2, 64, 2, 2, 64)."""
    means = np.array(frequencies()) == 0
    differs = means[:, None] != means[None, :]
    alike, mixed = np.eye(2, dtype=int), np.array([[1, 1], [1, -1]])
    out = np.empty((COUNT, COUNT, 2, 2, 2, 2), np.int64)
    for vertical in (False, True):
        for horizontal in (False, True):
            size = (_ONE, _ROOT_HALF, _HALVED)[vertical + horizontal]
            tall, wide = (mixed if d else alike for d in (vertical, horizontal))
            chosen = (differs[..., 0] == vertical) & (differs[..., 1] == horizontal)
            out[chosen] = size * np.einsum("ab,cd->acbd", tall, wide)
    return out.transpose(2, 3, 0, 4, 5, 1)


def expanded(deviations: np.ndarray, planes: int) -> np.ndarray:
    """Return the deviations of the patch, shape (256 planes, 256 planes), int32.

    Args:
        deviations: shape (64 planes, 64 planes), integers.
        planes: number of planes.
    """
    flat = places().ravel()
    blocks = deviations.reshape(planes, COUNT, planes, COUNT).astype(np.int64)
    out = np.zeros((planes, 4 * COUNT, planes, 4 * COUNT), np.int32)
    for row in range(planes):
        for column in range(row + 1):
            block = blocks[row, :, column]
            if block.any():
                entries = _factors() * block[None, None, :, None, None, :]
                entries = (entries + (_ONE >> 1)) >> _BITS
                part = np.zeros((4 * COUNT, 4 * COUNT), np.int32)
                part[np.ix_(flat, flat)] = entries.reshape(4 * COUNT, 4 * COUNT)
                out[row, :, column] = part
    return out.reshape(4 * COUNT * planes, -1)
