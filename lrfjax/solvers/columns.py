"""Column updates: each column of one factor, in order, replaced by its exact minimiser.

Two ways lead to the parabola that a column minimises over its constraint. Without weights the
products X V and V^T V hold all of it, and a column costs one product with the factor itself.
With weights every entry has a curvature of its own, so the residual is carried along.

Factors are transposed throughout, one column of U or V in a contiguous row.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.numerics import contract, row_at, with_row
from lrfjax.solvers.problem import FactorModel

# How many units of rounding, relative to |x| |v| for a dot product <x, v>, the numerator of a
# column update is trusted to. Sums over 10^4 terms stayed below 3 in float32.
_ROUNDING_UNITS = 8.0


def rounding_error(norm: Array, dtype: jnp.dtype) -> Array:
    """Return what <x, v> / |v| may be off by, for a row or column x of X of this norm."""
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
    """Update all columns from the products of X and of the partner with the partner.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L).
        gram: V^T V or U^T U, shape (R, R).
        factor: shape (R, L).
        rank: how many rows are live.
        num_columns: how many are gone through, at least ``rank``; those beyond are kept.
        model: of this factor.
        norm: bounds the norm of a row of X (for U) or of a column (for V).
        weight: of the penalties.
        num_passes: how often all columns are gone through; static.
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
    num_passes: int,
) -> Array:
    """Update all columns under weights, carrying the residual along.

    Entry i of column r has the curvature sum_j w_ij v_jr^2 and the numerator
    sum_j w_ij d_ij v_jr plus its old value times the curvature, with D = X - U V^T.

    Args:
        target: what U V^T is to approximate, with the axis of this factor last: (K, L).
        weights: of its entries, shape (K, L).
        partner: the other factor, shape (R, K).
        factor: shape (R, L).
        rank: as for ``update_by_products``, like the rest.
        num_columns: how many are gone through.
        model: of this factor.
        norm: shape (L,), the weighted norm of each row or column of X.
        weight: of the penalties.
        num_passes: how often all columns are gone through; static.
    """
    curvatures = contract(partner * partner, weights, 1, 0)

    def update(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        factor, residual = carry
        r = index % num_columns if num_passes > 1 else index
        old, curvature, other = factor[r], curvatures[r], partner[r]
        slope = jnp.matmul(other, weights * residual, precision=lax.Precision.HIGHEST)
        new = minimise(slope + curvature * old, curvature, old, r, rank, model, norm, weight)
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
) -> Array:
    """Return the column that minimises the objective with all others fixed.

    An entry u of it adds d u^2 - 2 n u + 2 l1 |u| + l2 u^2 to the objective, with the curvature d
    and the numerator n. That is a convex parabola on either side of zero, least at
    t = soft(n, l1) / (d + l2), and symmetric about t on the side of t; so the projection of t, for
    integers the rounding, is the minimiser over the constraint, and the objective never rises. For
    integers l1 is a dead zone before rounding.

    An entry whose curvature d + l2 is zero (its partner column is all zero) has no unique minimiser
    and is kept, as are frozen columns.

    Args:
        numerator: shape (L,).
        curvature: scalar, or shape (L,).
        old: shape (L,), the column before.
        r: its index.
        rank: columns from this index on are kept.
        model: of this factor.
        norm: see ``update_by_products``.
        weight: of the penalties.
    """
    constraint = model.constraint.for_column(r)
    curvature = curvature + model.l2 * weight
    safe = jnp.where(curvature > 0, curvature, 1)
    shrunk = jnp.maximum(jnp.abs(numerator) - model.l1 * weight, 0)
    target = jnp.sign(numerator) * shrunk / safe
    slack = rounding_error(norm, old.dtype) * lax.rsqrt(safe)
    new = constraint.update(target, old, slack)
    new = jnp.where(curvature > 0, new, constraint.project(old))
    if model.frozen is not None:
        new = jnp.where(model.frozen[r], old, new)
    return jnp.where(r < rank, new, old)
