"""The choice of a dictionary for each patch by an estimate of its rate and distortion.

The estimate takes the context model of the first plane (``entropy.frequency_contexts``) over all
entries at once. It takes the magnitudes of the entries themselves from rounding, and those of the
neighbouring cells as if all of them had the first dictionary. The rate of an entry follows from its
expected magnitude by a formula instead of a table. The rate of the other planes is a function of
each coefficient alone.

The sums over planes and entries are products with ones: XLA reduces outer axes slowly.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from lrfjax.codec.buckets import chunks, join
from lrfjax.codec.dictionary.atoms import INDEX, SIDE
from lrfjax.codec.dictionary.dictionaries import by_atom, coefficients
from lrfjax.codec.entropy.frequency_contexts import (
    MAX_MAGNITUDE,
    STEP_UNIT,
    WEIGHT_ONE,
    PlaneWeights,
    plane_weights,
)
from lrfjax.codec.entropy.trained import context_weights
from lrfjax.codec.planes import STEP_BITS

_BIAS = 3.0
"""Bits that a dictionary other than the first has to save."""
_ROUNDING = 0.3
"""Magnitudes in contexts are rounded down after this is added."""
_MOST_BITS = 16.0
"""Large magnitudes are written with an escape; this is about what it takes."""
_LEAST = 1e-4
"""The least expected magnitude."""


def choose(
    patches: np.ndarray, steps: np.ndarray, grid: tuple[int, int], lagrangian: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return real-valued U, with the dictionary of each patch of the least estimated cost.

    Args:
        patches: shape (planes, 16, 16, M), float32, in gray levels around 0.
        steps: shape (planes,), float32, in gray levels.
        grid: (rows, columns) of patches; M is their product.
        lagrangian: Lagrange multiplier of the rate, in squared steps per bit.

    Returns:
        U, shape (planes, M, 256), float32, and the dictionary of each patch, shape (M,), int32.
    """
    count = patches.shape[3]
    parts = [c.cut(patches, 3) for c in chunks(count)]
    magnitudes = join([_first_magnitudes(part[0], steps[0]) for part in parts], count, 1)
    sums = _sum_neighbors(magnitudes.reshape(-1, *grid))
    found = [
        _choose(part, *(c.cut(s, 1) for s in sums), steps, _weights(), np.float32(lagrangian))
        for c, part in zip(chunks(count), parts, strict=True)
    ]
    return join([u for u, _ in found], count, 1), join([kinds for _, kinds in found], count, 0)


@functools.lru_cache(maxsize=1)
def _weights() -> PlaneWeights:
    """Return the weights of the first plane in units of 1, in row-major order of frequencies."""
    order = np.array([INDEX[a, b] for a in range(SIDE) for b in range(SIDE)])

    def arranged(x: np.ndarray) -> np.ndarray:
        return (x[np.ix_(*[order] * x.ndim)] / WEIGHT_ONE).astype(np.float32)

    # The weights of the second colour, whose contexts hold all neighbours.
    return PlaneWeights(*map(arranged, plane_weights(context_weights(), 0, 1)))


@jax.jit
def _first_magnitudes(patches: Array, step: Array) -> Array:
    """Return the magnitudes of the first plane in the first dictionary, shape (256, M)."""
    return _magnitudes(coefficients(patches[None] / step)[0][0])


def _magnitudes(ratios: Array) -> Array:
    """Return magnitudes as contexts take them."""
    return jnp.minimum(jnp.floor(jnp.abs(ratios) + _ROUNDING), MAX_MAGNITUDE)


def _sum_neighbors(magnitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums over the neighbours above and below, and left and right, each (256, M)."""
    framed = np.pad(magnitudes, ((0, 0), (1, 1), (1, 1)))
    vertical = framed[:, :-2, 1:-1] + framed[:, 2:, 1:-1]
    horizontal = framed[:, 1:-1, :-2] + framed[:, 1:-1, 2:]
    return vertical.reshape(len(magnitudes), -1), horizontal.reshape(len(magnitudes), -1)


@jax.jit
def _choose(
    patches: Array,
    vertical: Array,
    horizontal: Array,
    steps: Array,
    weights: PlaneWeights,
    lagrangian: Array,
) -> tuple[Array, Array]:
    """Return U, shape (planes, M, 256), and the dictionary of each patch."""
    unit = STEP_UNIT / 2**STEP_BITS
    around = _product(weights.vertical, vertical) + _product(weights.horizontal, horizontal)
    around += (weights.constant + weights.per_step * unit / steps[0])[:, None] + _LEAST
    scores = []
    found = coefficients(patches / steps[:, None, None, None])
    for one in found:
        expected = _product(weights.same_cell, _magnitudes(one[0])) + around
        costs = jnp.concatenate(
            [_cost(one[0], expected, lagrangian), *_other_costs(one, lagrangian)]
        )
        scores.append(_product(jnp.ones((1, len(costs)), jnp.float32), costs)[0])
    kinds = jnp.argmin(jnp.stack(scores).at[1:].add(lagrangian * _BIAS), axis=0)
    chosen = found[0]
    for kind, one in enumerate(found[1:], 1):
        chosen = jnp.where(kinds == kind, one, chosen)
    return jnp.swapaxes(by_atom(chosen), 1, 2), kinds.astype(jnp.int32)


def _cost(ratios: Array, expected: Array, lagrangian: Array) -> Array:
    """Return the cost of entries of the first plane less that of zeros at no rate."""
    size = jnp.abs(ratios)
    rounded = jnp.round(size)
    # The first step takes one bit for the sign, and later ones cost alike up to an escape.
    bits = 1 + jnp.log2(0.5 + 1.3 / expected)
    bits += jnp.minimum((rounded - 1) * jnp.log2(1 + 1 / (0.5 * expected + 0.3)), _MOST_BITS)
    gain = rounded * (2 * size - rounded) - lagrangian * bits
    worth = jnp.where(rounded > 0, jnp.maximum(gain, 0), 0)
    # The means are coded in another way.
    return (lagrangian * jnp.log2(1 + expected) - worth).at[0].set(0)


def _other_costs(ratios: Array, lagrangian: Array) -> Array:
    """Return the costs of entries of all planes but the first."""
    size = jnp.abs(ratios[1:])
    # The bits of a magnitude that occurs seldom. The square root stands for a logarithm.
    return jnp.minimum(size * size, lagrangian * (4 + 2 * jnp.sqrt(size)))


def _product(a: ArrayLike, b: ArrayLike) -> Array:
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
