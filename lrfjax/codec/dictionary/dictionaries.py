"""The four integer dictionaries: V for patches of 16 x 16 pixels.

Encoder and decoder both know the dictionaries; a file names one for each patch. A dictionary is
the product of a vertical and a horizontal 1-D transform. Each is either the DCT-II of length 16, or
two DCT-II of length 8 on the two halves, whose means are replaced by their sum and difference. The
entries of a 1-D transform are integers close to 2^7 times those of an orthonormal one. An atom (a
column of V) is the outer product of a row of each transform, so U V^T is an integer product and
separable.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.codec.dictionary.atoms import ATOMS, SIDE

TRANSFORM_BITS = 7
"""The norm of a row of a transform is about 2 to this power."""

NUM_KINDS = 4
"""Dictionary 2 v + h: v and h are 1 if the transform along that direction is split in halves."""


def _dct(size: int) -> np.ndarray:
    """Return the orthonormal DCT-II, one frequency per row."""
    frequency, sample = np.arange(size)[:, None], np.arange(size)
    rows = np.cos(np.pi * (2 * sample + 1) * frequency / (2 * size)) * np.sqrt(2 / size)
    rows[0] /= np.sqrt(2)
    return rows


@functools.lru_cache(maxsize=1)
def transforms() -> np.ndarray:
    """Return the two 1-D transforms, shape (2, 16, 16), int32, one frequency per row.

    In the split transform, rows 2 k and 2 k + 1 are frequency k of the two halves.
    """
    whole, half = _dct(SIDE), _dct(SIDE // 2)
    split = np.zeros((SIDE, SIDE))
    split[0::2, : SIDE // 2] = split[1::2, SIDE // 2 :] = half
    split[:2] = np.array([[1, 1], [1, -1]]) @ split[:2] / np.sqrt(2)
    # No entry is near a rounding tie, so every machine gives the same integers.
    return np.rint(np.stack([whole, split]) * 2**TRANSFORM_BITS).astype(np.int32)


def dictionary(kind: int) -> np.ndarray:
    """Return V of a dictionary, shape (256, 256), int32.

    Rows are pixels in row-major order, columns are atoms.

    Args:
        kind: number of the dictionary, 0 to 3.

    Example:
        >>> v = dictionary(0).astype(float) / 2**14
        >>> bool(abs(v.T @ v - np.eye(256)).max() < 0.02)
        True
    """
    vertical, horizontal = transforms()[kind // 2], transforms()[kind % 2]
    atoms = [np.outer(vertical[a], horizontal[b]).ravel() for a, b in ATOMS]
    return np.stack(atoms, axis=1)


def _positions() -> np.ndarray:
    return np.array([SIDE * a + b for a, b in ATOMS])


def synthesize(u: Array, kinds: Array, *, is_small: bool) -> Array:
    """Return U V^T exactly (modulo 2^32), each row with the V of its dictionary.

    Args:
        u: shape (planes, R, M), int16, the transposed first R columns of U for each plane.
        kinds: shape (M,), the dictionary of each row.
        is_small: whether the magnitudes of each row of U sum to at most ``SMALL_SUM``. Sums of
            products are then exact in float32, which is several times faster.

    Returns:
        Shape (planes, 16, 16, M), int32: plane, row and column in the patch, patch.
    """
    planes, rank, rows = u.shape
    dtype = jnp.float32 if is_small else jnp.int32
    # Frequencies beyond those of the first columns are 0.
    atoms = np.array(ATOMS[:rank])
    side = int(atoms.max()) + 1
    grid = jnp.zeros((planes, side * side, rows), dtype)
    grid = grid.at[:, atoms @ [side, 1]].set(u.astype(dtype), unique_indices=True)
    both = transforms().astype(dtype).transpose(0, 2, 1).reshape(2 * SIDE, SIDE)[:, :side]

    def product(x: Array, is_split: Array) -> Array:
        """Apply both transforms to the second last axis, and select one for each column."""
        found = jnp.matmul(both, x, precision=lax.Precision.HIGHEST, preferred_element_type=dtype)
        return jnp.where(is_split, found[..., SIDE:, :], found[..., :SIDE, :])

    # Vertical first: its frequencies are the rows of one wide matrix per plane.
    tall = product(grid.reshape(planes, side, side * rows), jnp.tile(kinds // 2 == 1, side))
    grid = product(tall.reshape(planes, SIDE, side, rows), kinds % 2 == 1)
    return grid.astype(jnp.int32)


SMALL_SUM = 2**24 // int(np.abs(transforms()).max()) ** 2
"""The largest sum of magnitudes of a row of U for which ``synthesize`` is exact in float32."""


@functools.lru_cache(maxsize=1)
def _inverses() -> np.ndarray:
    """Return the inverses of the integer transforms over 2^7, shape (2, 16, 16), float32.

    They map samples to coefficients close to those of the orthonormal transforms.
    """
    scaled = transforms().astype(np.float64) / 2**TRANSFORM_BITS
    return np.linalg.inv(scaled).transpose(0, 2, 1).astype(np.float32)


def coefficients(x: Array) -> list[Array]:
    """Return the real-valued coefficients U of patches in all dictionaries: X = U V^T / 2^14.

    Args:
        x: shape (planes, 16, 16, M), float32: plane, row and column in the patch, patch.

    Returns:
        For each dictionary shape (planes, 256, M), float32: plane, frequencies in row-major order,
        patch.
    """
    planes, _, _, count = x.shape
    out = []
    for vertical in _inverses():
        rows = _products(vertical, x.reshape(planes, SIDE, SIDE * count))
        for horizontal in _inverses():
            both = _products(horizontal, rows.reshape(planes * SIDE, SIDE, count))
            out.append(both.reshape(planes, SIDE * SIDE, count))
    return out


def _products(a: np.ndarray, b: Array) -> Array:
    """Return the product of a matrix with each of several, shape (n, 16, k)."""
    # One matrix for each product takes half as long as one for all.
    return lax.batch_matmul(
        jnp.broadcast_to(a, (len(b), *a.shape)), b, precision=lax.Precision.HIGHEST
    )


def by_atom(coefficients: Array) -> Array:
    """Return coefficients in row-major order of frequencies, (..., 256, M), in order of atoms."""
    return coefficients[..., _positions(), :]
