"""The rate of integer factors inside the solver: their empirical entropy as a penalty.

A column of L integers in which value k occurs h_k times takes F(h) = L log2 L - sum_k h_k log2 h_k
bits with an ideal code for its own histogram. F is concave in h, so its tangent bounds it from
above: for new counts g,

    F(g) <= F(h) + sum_k (g_k - h_k) c_k,  c_k = log2(L / h_k), or log2(e L) where h_k = 0.

(For a value that does not occur yet, -g log2 g <= 0; the rest is the tangent, whose constant
-log2 e falls out of the sum for all other values, since the counts sum to L.) The right-hand side
charges each entry c_k bits on its own. A column update that minimises the squared error plus these
charges, entry by entry over all values, therefore never raises the squared error plus the entropy.
The charges come from the column itself, so there are no tables to keep.

The paper names entropy-aware regularisation as future work (arXiv 2408.12691); the idea is that of
entropy-constrained vector quantization (Chou, Lookabaugh and Gray, 1989).
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.types import Factors, Result, factors_of

MAX_VALUES = 4096
"""The most values that a column update tries."""


def factor_bits(result: Result | Factors) -> np.ndarray:
    """Return the empirical entropy of both factors in bits, with an ideal code for each column.

    Args:
        result: factors, or a result with them, of any batch shape; any numbers.

    Returns:
        Bits, float64, with the batch shape.

    Example:
        >>> import numpy as np, lrfjax
        >>> print(factor_bits(lrfjax.Factors(np.array([[0], [1], [1], [0]]), np.ones((3, 1)))))
        4.0
    """

    def of_column(column: np.ndarray) -> float:
        _, counts = np.unique(column, return_counts=True)
        return float(np.sum(counts * np.log2(column.size / counts)))

    factors = factors_of(result)
    parts = [np.asarray(part) for part in (factors.u, factors.v)]
    return np.asarray(sum(np.apply_along_axis(of_column, -2, part).sum(axis=-1) for part in parts))


def histogram(column: Array, lowest: Array, num_values: int) -> Array:
    """Return how often lowest, lowest + 1, ... occur in a column, shape (num_values,)."""
    values = lowest + jnp.arange(num_values, dtype=column.dtype)
    return jnp.sum(column[None, :] == values[:, None], axis=1, dtype=column.dtype)


def charges(counts: Array) -> Array:
    """Return the bits that the bound charges for each value, shape (num_values,)."""
    length = jnp.maximum(jnp.sum(counts), 1)
    unused = jnp.log2(length) + math.log2(math.e)
    bits = jnp.log2(length) - jnp.log2(jnp.where(counts > 0, counts, 1))
    return jnp.where(counts > 0, bits, unused)


def column_bits(factor: Array, lowest: Any, num_values: int) -> Array:
    """Return the empirical entropy of the columns of a factor, in bits, all columns together.

    Args:
        factor: transposed factor of integers, shape (R, L).
        lowest: the lowest value, a scalar or one for each column, shape (R,).
        num_values: number of values, static.
    """

    def of_column(column: Array, lowest: Array) -> Array:
        counts = histogram(column, lowest, num_values)
        return jnp.sum(counts * charges(counts))

    lowest = jnp.broadcast_to(lowest, factor.shape[:1])
    return jnp.sum(jax.vmap(of_column)(factor, lowest))


def cheapest(
    numerator: Array,
    curvature: Array,
    old: Array,
    bounds: tuple[Any, Any],
    num_values: int,
    rate: Array | float,
    l1: Array | float,
    slack: Array,
) -> Array:
    """Return the column that minimises d u^2 - 2 n u + 2 l1 |u| + rate c(u), entry by entry.

    Args:
        numerator: n, shape (L,).
        curvature: d, scalar or of shape (L,); it may be zero.
        old: old column, feasible, from which the charges c come.
        bounds: lowest and highest value, scalars.
        num_values: number of values to try, static, at least highest - lowest + 1.
        rate: weight of a bit.
        l1: weight of the magnitudes.
        slack: bound of the rounding error of n; an entry stays where less than that is gained.

    Returns:
        The new column, shape (L,).
    """
    lowest, highest = bounds
    bits = charges(histogram(old, lowest, num_values))

    def cost(u: Array, bits: Array) -> Array:
        return u * (curvature * u - 2 * numerator) + 2 * l1 * jnp.abs(u) + rate * bits

    def try_value(k: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
        best, least = found
        value = lowest + jnp.asarray(k, old.dtype)
        price = jnp.where(value <= highest, cost(value, bits[k]), jnp.inf)
        is_better = price < least
        return jnp.where(is_better, value, best), jnp.where(is_better, price, least)

    # A loop over the values, for all entries at once: an argmin over both axes takes ten times as
    # long on a CPU.
    begun = old, jnp.full_like(old, jnp.inf)
    best, least = lax.fori_loop(0, num_values, try_value, begun, unroll=min(num_values, 4))
    kept = cost(old, bits[jnp.clip(old - lowest, 0, num_values - 1).astype(jnp.int32)])
    return jnp.where(kept - least > 2 * slack * jnp.abs(best - old), best, old)
