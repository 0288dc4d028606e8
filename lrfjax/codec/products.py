"""The product of integer factors, scaled, in integer arithmetic on every backend."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.codec.quantize import IntegerFactors
from lrfjax.solvers.bucketed import rank_bucket


def scaled_product(factors: IntegerFactors) -> Array:
    """Return round(scale * U V^T), shape (M, N), int32; halves are rounded up.

    Ranks are padded to their bucket with zero columns, which compiles once a bucket.
    """
    u, v, scale = factors.u, factors.v, factors.scale
    padded = _pad_columns(u, v.shape[0]), _pad_columns(v, u.shape[0])
    return multiply(
        *padded,
        np.int32(scale.mantissa),
        np.int32(scale.shift),
        is_small=factors.largest_product <= 2**24,
    )


def _pad_columns(part: np.ndarray, other_length: int) -> np.ndarray:
    length, rank = part.shape
    width = rank_bucket(rank, min(length, other_length))
    return np.pad(part.astype(np.int32), ((0, 0), (0, width - rank)))


@partial(jax.jit, static_argnames="is_small")
def multiply(u: Array, v: Array, mantissa: Array, shift: Array, *, is_small: bool) -> Array:
    """Return (mantissa * U V^T) / 2^shift, rounded, int32.

    Args:
        u: shape (M, R), int32.
        v: shape (N, R), int32.
        mantissa: scalar int32.
        shift: scalar int32.
        is_small: whether all sums of products are within 2^24. Then they are exact in float32 in
            any order, and much faster.
    """
    if is_small:
        product = jnp.matmul(
            u.astype(jnp.float32), v.T.astype(jnp.float32), precision=lax.Precision.HIGHEST
        ).astype(jnp.int32)
    else:
        product = jnp.matmul(u, v.T, preferred_element_type=jnp.int32)
    half = jnp.where(shift > 0, jnp.left_shift(1, jnp.maximum(shift - 1, 0)), 0)
    # Shifts of 31 and more leave the sign, and the products are far below 2^30 there.
    return (product * mantissa + half) >> jnp.minimum(shift, 31)
