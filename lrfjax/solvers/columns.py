"""Column updates: replace each column of one factor, in order, by its exact minimiser.

A column minimises a parabola over its constraint. Without weights, the products X V and V^T V give
the parabola, and a column costs one product with the factor itself. With weights, every entry has
its own curvature, so the loop carries the residual along.

Factors are transposed throughout: each column of U or V is a contiguous row.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.constraints import IntegerBox
from lrfjax.solvers.entropy import cheapest
from lrfjax.solvers.numerics import contract, row_at, with_row
from lrfjax.solvers.problem import FactorModel

# Bound of the rounding error in the numerator of a column update, a dot product <x, v>, in units of
# rounding of |x| |v|. Sums over 10^4 terms stayed below 3 in float32.
_ROUNDING_UNITS = 8.0


def rounding_error(norm: Array, dtype: jnp.dtype) -> Array:
    """Return a bound of the rounding error of <x, v> / |v|, from the norm of x."""
    return _ROUNDING_UNITS * jnp.finfo(dtype).eps * norm


def update_by_products(
    products: Array,
    gram: Array,
    factor: Array,
    rank: Array | int,
    num_columns: Array | int,
    model: FactorModel,
    norm: Array,
    weight: Array | float,
    num_passes: int,
) -> Array:
    """Update all columns of a factor from X times its partner and the partner's Gram matrix.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L).
        gram: V^T V or U^T U, shape (R, R).
        factor: transposed factor, shape (R, L).
        rank: number of live columns.
        num_columns: number of columns to visit, at least ``rank``; those from ``rank`` on are kept.
        model: model of this factor.
        norm: upper bound of the norm of a row of X (for U) or of a column (for V).
        weight: multiplier of the penalties.
        num_passes: number of passes over the columns; static.

    Returns:
        The updated factor, shape (R, L).
    """

    def update(index: Array, factor: Array) -> Array:
        r = index % num_columns if num_passes > 1 else index
        row, old = row_at(gram, r), row_at(factor, r)
        others = jnp.matmul(row, factor, precision=lax.Precision.HIGHEST)
        curvature = row_at(row, r)
        numerator = row_at(products, r) - others + curvature * old
        new = minimise(numerator, curvature, old, r, rank, model, norm, weight)
        return with_row(factor, r, new)

    return lax.fori_loop(0, num_passes * num_columns, update, factor)


def update_by_residual(
    target: Array,
    weights: Array,
    partner: Array,
    factor: Array,
    rank: Array | int,
    num_columns: Array | int,
    model: FactorModel,
    norm: Array,
    weight: Array | float,
    unit: Array,
    num_passes: int,
) -> Array:
    """Update all columns of a factor under weights, carrying the residual along.

    Entry i of column r has the curvature sum_j w_ij v_jr^2 and the numerator
    sum_j w_ij d_ij v_jr plus its old value times the curvature, with D = X - U V^T.

    Args:
        target: matrix that U V^T approximates, with the axis of this factor last, shape (K, L).
        weights: weights of its entries, shape (K, L).
        partner: the other factor, transposed, shape (R, K).
        factor: transposed factor, shape (R, L).
        rank: number of live columns.
        num_columns: number of columns to visit, as for ``update_by_products``.
        model: model of this factor.
        norm: weighted norm of each row or column of X, shape (L,).
        weight: multiplier of the penalties.
        unit: unit that the weights of each entry of a column were divided by, shape (L,).
        num_passes: number of passes over the columns; static.

    Returns:
        The updated factor, shape (R, L).
    """
    curvatures = contract(partner * partner, weights, 1, 0)
    weight = jnp.minimum(weight / unit, jnp.finfo(factor.dtype).max)

    def update(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        factor, residual = carry
        r = index % num_columns if num_passes > 1 else index
        old, curvature, other = factor[r], curvatures[r], partner[r]
        slope = jnp.matmul(other, weights * residual, precision=lax.Precision.HIGHEST)
        new = minimise(slope + curvature * old, curvature, old, r, rank, model, norm, weight, unit)
        # For integers the residual stays exact as long as its entries are below 2^24.
        return factor.at[r].set(new), residual - other[:, None] * (new - old)[None, :]

    residual = target - contract(partner, factor, 0, 0)
    return lax.fori_loop(0, num_passes * num_columns, update, (factor, residual))[0]


def minimise(
    numerator: Array,
    curvature: Array,
    old: Array,
    r: Array,
    rank: Array | int,
    model: FactorModel,
    norm: Array,
    weight: Array | float,
    unit: Array | float = 1.0,
) -> Array:
    """Return the column that minimises the objective with all others fixed.

    An entry u of the column adds d u^2 - 2 n u + 2 l1 |u| + l2 u^2 to the objective, with the
    curvature d and the numerator n. That is a convex parabola on either side of zero. Its minimum
    is at t = soft(n, l1) / (d + l2), and it is symmetric about t on the side of t. The projection
    of t (for integers, the rounding) is therefore the minimiser over the constraint, and the
    objective never rises. For integers, l1 is a dead zone before rounding. With a rate, all
    integers within the bounds are tried, see ``entropy``.

    An entry whose curvature d + l2 is zero (its partner column is all zero) has no unique minimiser
    and is kept. Frozen columns are kept as well.

    Args:
        numerator: n, shape (L,).
        curvature: d, scalar or of shape (L,).
        old: old column, shape (L,).
        r: index of the column.
        rank: number of live columns; those from this index on are kept.
        model: model of this factor.
        norm: see ``update_by_products``.
        weight: multiplier of the penalties, a scalar or of shape (L,).
        unit: unit that n, d and ``weight`` were divided by, likewise.

    Returns:
        The new column, shape (L,).
    """
    constraint = model.constraint.for_column(r)
    curvature = curvature + model.l2 * weight
    safe = jnp.where(curvature > 0, curvature, 1)
    # A numerator of exactly 0 has the slope 1 without a penalty, as a row of zeros in X needs.
    threshold = model.l1 * weight
    shrunk = numerator - jnp.sign(numerator) * threshold
    target = jnp.where(jnp.abs(numerator) >= threshold, shrunk, 0) / safe
    slack = rounding_error(norm, old.dtype) * lax.rsqrt(safe)
    if model.num_values is None:
        new = constraint.update(target, old, slack, safe * unit)
        new = jnp.where(curvature > 0, new, constraint.project(old))
    else:
        assert isinstance(constraint, IntegerBox)
        # An entry of curvature zero costs bits, too.
        new = cheapest(
            numerator, curvature, constraint.project(old), (constraint.lower, constraint.upper),
            model.num_values, model.rate * weight, threshold, slack * safe,
        )  # fmt: skip
    if model.frozen is not None:
        new = jnp.where(model.frozen[r], old, new)
    return jnp.where(r < rank, new, old)
