"""Arithmetic that all solvers share: products at full precision and sums that do not drift."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.errors import InputError


@jax.custom_jvp
def refuse_gradient(x: Array) -> Array:
    """Return ``x``, of which integer factors have no useful gradient: differentiation raises.

    Rounding is constant almost everywhere, so JAX would return zeros, or complain of a loop.

    Raises:
        InputError: when differentiated, in forward or reverse mode.
    """
    return x


@refuse_gradient.defjvp
def _refuse(primals: Any, tangents: Any) -> Any:
    raise InputError(
        "x cannot be differentiated through: integer factors are piecewise constant in x and have "
        "no gradient. Differentiate reconstruct() of fixed factors, or a solver of real factors."
    )


def contract(a: Array, b: Array, axis_a: int, axis_b: int) -> Array:
    """Contract one axis of two matrices at the highest precision of their dtype.

    The default precision is bfloat16 on TPU and TF32 on recent GPUs, in which integers beyond 2^8
    and 2^11 are not exact and the objective of a solver need not fall; so it is never left open.

    Args:
        a: shape (I, J).
        b: shape (K, L).
        axis_a: the axis of ``a`` to sum over, 0 or 1.
        axis_b: the axis of ``b`` to sum over, 0 or 1, of the same length.

    Returns:
        The matrix of the two axes that are left, that of ``a`` first.
    """
    return lax.dot_general(
        a, b, (((axis_a,), (axis_b,)), ((), ())), precision=lax.Precision.HIGHEST
    )


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded sum of two arrays and its rounding error, exactly (Knuth, TAOCP 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def compensated_sum(x: Array) -> Array:
    """Sum a vector in a tree that carries the rounding errors along, and round once at the end.

    Args:
        x: shape (n,), floating point.

    Returns:
        A scalar of the same dtype.
    """
    size = 1 << max(x.shape[0] - 1, 0).bit_length()
    total = jnp.pad(x, (0, size - x.shape[0]))
    error = jnp.zeros_like(total)
    while size > 1:
        size //= 2
        total, lost = _two_sum(total[:size], total[size:])
        error = error[:size] + error[size:] + lost
    return (total + error)[0]


def sum_of_squares(x: Array) -> Array:
    """Sum the squares of a matrix with hardly more than one rounding.

    Columns are summed plainly (integers stay exact as long as a column sum is below 2^24), the
    column sums by ``compensated_sum``. So where columns are exact the value rounds the true sum
    monotonically: a smaller sum never prints as a larger one.

    Args:
        x: shape (N, M), floating point; best with N < M.

    Returns:
        A scalar of the same dtype.
    """
    return compensated_sum(jnp.sum(x * x, axis=0))


def power_of_two_near(x: Array) -> Array:
    """Return a power of four near max |x|, or 1 where that is zero.

    Within a factor of four where max |x| lies in [2^-124, 2^124], and the nearest of these beyond.

    Scaling by it, or by its square root, changes exponents only and so loses nothing.

    Args:
        x: any shape, floating point.

    Returns:
        A scalar of the same dtype.
    """
    largest = jnp.max(jnp.abs(x), initial=0.0)
    _, exponent = jnp.frexp(largest)
    exponent = jnp.clip(2 * (exponent // 2), -124, 124)
    scale = jnp.ldexp(jnp.ones((), x.dtype), exponent)
    return jnp.where((largest > 0) & jnp.isfinite(largest), scale, jnp.ones((), x.dtype))
