"""Arithmetic that all solvers share: products at full precision and compensated sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lrfjax.errors import InputError


@jax.custom_jvp
def refuse_gradient(x: Array) -> Array:
    """Return ``x``; raise on differentiation, since integer factors have no useful gradient.

    Rounding is constant almost everywhere, so JAX would return zeros, or an error about the loop.

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

    The default precision is bfloat16 on TPU and TF32 on recent GPUs. Integers beyond 2^8 and 2^11
    are not exact there, and the objective of a solver could rise.

    Args:
        a: shape (I, J).
        b: shape (K, L).
        axis_a: the axis of ``a`` to sum over, 0 or 1.
        axis_b: the axis of ``b`` to sum over, 0 or 1, of the same length.

    Returns:
        The matrix of the two other axes, that of ``a`` first.
    """
    return lax.dot_general(
        a, b, (((axis_a,), (axis_b,)), ((), ())), precision=lax.Precision.HIGHEST
    )


def row_at(a: Array, index: Array) -> Array:
    """Return ``a[index]`` for an index known to be in range, without the range check."""
    return lax.dynamic_index_in_dim(a, _unsigned(index), keepdims=False)


def with_row(a: Array, index: Array, row: Array) -> Array:
    """Return ``a.at[index].set(row)`` for an index known to be in range."""
    return lax.dynamic_update_index_in_dim(a, row, _unsigned(index), 0)


def _unsigned(index: Array | int) -> Array:
    """Return an index as an unsigned scalar; without jit, that of a loop is a Python int."""
    return jnp.asarray(index, jnp.uint32)


def stored_transpose(x: Array) -> Array:
    """Return the transpose of a matrix, written to memory once.

    XLA on CPU would otherwise fuse the transpose into every operation that reads it, and each of
    these would go through the matrix along the wrong axis. XLA does not fuse across a conditional.

    Args:
        x: shape (M, N), floating point.

    Returns:
        X^T, shape (N, M); all NaN if the first entry of ``x`` is NaN.
    """

    def on_cpu(x: Array) -> Array:
        first = x[0, 0]
        return lax.cond(first == first, lambda: x.T, lambda: jnp.full(x.shape[::-1], first))

    return lax.platform_dependent(x, cpu=on_cpu, default=jnp.transpose)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded sum of two arrays and its exact rounding error (Knuth, TAOCP 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@dataclass(frozen=True)
class RowShards:
    """The rows of X on several devices, for sums over them; static.

    JAX would copy a vector that is sharded over devices to all of them before a compensated sum.
    With this, each device sums its own part, and one number of each is sent.

    Attributes:
        count: number of parts of a vector over the rows of X; they are equal and in order.
        mesh: the devices; None for the mesh of the context, inside ``jax.shard_map``.
    """

    count: int
    mesh: Mesh | None

    def gather(self, parts: Array) -> Array:
        """Return an array of one entry for each part, copied to all devices."""
        mesh = jax.sharding.get_abstract_mesh() if self.mesh is None else self.mesh
        return lax.with_sharding_constraint(parts, NamedSharding(mesh, PartitionSpec()))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def compensated_sum(x: Array, shards: RowShards | None = None) -> Array:
    """Sum a vector with the rounding errors carried along, and round once at the end.

    The method of Ogita, Rump and Oishi (Accurate sum and dot product, 2005), in any order of
    summation.

    Args:
        x: shape (n,), floating point.
        shards: placement of a vector over the rows of X on several devices; None for one.

    Returns:
        A scalar of the same dtype.
    """
    # Zeros that depend on x as far as JAX can tell: second derivatives go through the reduction
    # itself, whose rule needs a tangent for both of its operands.
    total, error = x, jnp.where(jnp.zeros(x.shape, bool), x, 0)
    if shards is not None and x.shape[0] % shards.count == 0:
        parts = _fold(total.reshape(shards.count, -1), error.reshape(shards.count, -1))
        total, error = shards.gather(jnp.stack(parts, axis=1)).T
    total, error = _fold(total, error)
    return total + error


@compensated_sum.defjvp
def _sum_of_tangents(shards: RowShards | None, primals: Any, tangents: Any) -> Any:
    return compensated_sum(*primals, shards), jnp.sum(*tangents)


def _fold(total: Array, error: Array) -> tuple[Array, Array]:
    """Sum totals and their rounding errors over the last axis; return one of each."""

    def add(a: Any, b: Any) -> tuple[Array, Array]:
        both, lost = _two_sum(a[0], b[0])
        return both, a[1] + b[1] + lost

    # A single reduction of a few instructions; a tree of sums would compile longer than it runs.
    zero = jnp.zeros((), total.dtype)
    return lax.reduce((total, error), (zero, zero), add, (total.ndim - 1,))


def sum_of_squares(x: Array, shards: RowShards | None = None) -> Array:
    """Sum the squares of a matrix with hardly more than one rounding.

    Columns are summed plainly (integers stay exact as long as a column sum is below 2^24), the
    column sums by ``compensated_sum``. If the columns are exact, the value rounds the true sum
    monotonically: a smaller sum never gives a larger value.

    Args:
        x: shape (N, M), floating point; best with N < M.
        shards: see ``compensated_sum``.

    Returns:
        A scalar of the same dtype.
    """
    return compensated_sum(jnp.sum(x * x, axis=0), shards)


def safe_sqrt(x: Array) -> Array:
    """Return sqrt(x), with the slope 0 at 0 instead of infinity."""
    is_zero = x == 0
    return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, x)))


def power_of_two_near(x: Array, axis: int | None = None) -> Array:
    """Return a power of four near max |x|, or 1 if that is zero or not finite.

    It is within a factor of four if max |x| lies in [2^-124, 2^124]; beyond, it is the nearer of
    these limits. Scaling by it, or by its square root, changes only exponents and loses nothing.

    Args:
        x: any shape, floating point.
        axis: axis of the maximum; all by default.

    Returns:
        Shape of ``x`` without the axis; a scalar by default. Same dtype.
    """
    largest = jnp.max(jnp.abs(x), axis=axis, initial=0.0)
    _, exponent = jnp.frexp(largest)
    exponent = jnp.clip(2 * (exponent // 2), -124, 124)
    scale = jnp.ldexp(jnp.ones_like(largest), exponent)
    return jnp.where((largest > 0) & jnp.isfinite(largest), scale, jnp.ones_like(largest))
