"""Column updates: replace each column of one factor, in order, by its exact minimiser.

A column minimises a parabola over its constraint. For the squared error without weights, the
products X V and V^T V give the parabola, and a column costs one product with the factor itself.
``majorised`` has the updates of all other problems.

Factors are transposed throughout: each column of U or V is a contiguous row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.pytrees import register
from lrfjax.solvers.model import FactorModel
from lrfjax.solvers.numerics import row_at, with_row
from lrfjax.solvers.penalties.entropy import cheapest
from lrfjax.solvers.sets.boxes import IntegerBox

# Bound of the rounding error in the numerator of a column update, a dot product <x, v>, in units of
# rounding of |x| |v|. Sums over 10^4 terms stayed below 3 in float32.
_ROUNDING_UNITS = 8.0


def rounding_error(norm: Array | float, dtype: jnp.dtype) -> Array | float:
    """Return a bound of the rounding error of <x, v> / |v|, from the norm of x."""
    return _ROUNDING_UNITS * float(jnp.finfo(dtype).eps) * norm


@register
@dataclass(frozen=True)
class Subproblem:
    """What the updates of the columns of one factor need besides products or data.

    Attributes:
        model: model of the factor.
        rank: number of live columns; columns from this index on are kept.
        num_columns: number of columns to visit, at least ``rank``.
        norm: upper bound of the norm of a row of X (for U) or of a column (for V); with weights,
            the norm of each, shape (L,).
        weight: multiplier of the penalties, a scalar or of shape (L,).
        unit: what the data of each entry of a column was divided by, likewise.
    """

    model: FactorModel
    rank: Array | int
    num_columns: Array | int
    norm: Array | float
    weight: Array | float = 1.0
    unit: Array | float = 1.0

    def in_unit(self, unit: Array) -> Subproblem:
        """Return the subproblem for weights that were divided by ``unit``, of shape (L,)."""
        weight = jnp.minimum(self.weight / unit, jnp.finfo(unit.dtype).max)
        return replace(self, weight=weight, unit=unit)


def update_by_products(
    products: Array, gram: Array, factor: Array, sub: Subproblem, num_passes: int
) -> Array:
    """Update all columns of a factor from X times its partner and the partner's Gram matrix.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L).
        gram: V^T V or U^T U, shape (R, R).
        factor: transposed factor, shape (R, L).
        sub: what else the updates need.
        num_passes: number of passes over the columns; static.

    Returns:
        The updated factor, shape (R, L).
    """

    def update(index: Array, factor: Array) -> Array:
        r = index % sub.num_columns if num_passes > 1 else index
        row, old = row_at(gram, r), row_at(factor, r)
        others = jnp.matmul(row, factor, precision=lax.Precision.HIGHEST)
        curvature = row_at(row, r)
        numerator = row_at(products, r) - others + curvature * old
        return with_row(factor, r, minimise(numerator, curvature, old, r, sub))

    return lax.fori_loop(0, num_passes * sub.num_columns, update, factor)


def minimise(numerator: Array, curvature: Array, old: Array, r: Array, sub: Subproblem) -> Array:
    """Return the column that minimises the objective with all others fixed.

    An entry u of the column adds d u^2 - 2 n u + 2 l1 |u| + l2 u^2 to the objective, with the
    curvature d, the numerator n, and the bounds l1 and l2 of the penalties. That is a convex
    parabola on either side of zero. Its minimum is at t = soft(n, l1) / (d + l2), and it is
    symmetric about t on the side of t. The projection of t (for integers, the rounding) is
    therefore the minimiser over the constraint, and the objective never rises. For integers, l1 is
    a dead zone before rounding. With a rate, all integers within the bounds are tried, see
    ``penalties.entropy``.

    An entry whose curvature d + l2 is zero (its partner column is all zero) has no unique minimiser
    and is kept. Frozen columns are kept as well.

    Args:
        numerator: n, shape (L,).
        curvature: d, scalar or of shape (L,).
        old: old column, shape (L,).
        r: index of the column.
        sub: what else the updates need.

    Returns:
        The new column, shape (L,).
    """
    model = sub.model
    constraint = model.constraint.for_column(r)
    threshold: Array | float = 0.0
    # The first sweep of integers starts from factors of any size. Where their products overflow,
    # the numerator is inf - inf, and the entry becomes the one nearest to zero.
    shrunk = jnp.where(jnp.isnan(numerator), 0, numerator)
    if model.penalties:
        l1, l2 = model.bound(old, r)
        curvature = curvature + l2 * sub.weight
        threshold = l1 * sub.weight
        # A numerator of exactly 0 has the slope 1 without a penalty, as a row of zeros in X needs.
        shrunk = numerator - jnp.sign(numerator) * threshold
        shrunk = jnp.where(jnp.abs(numerator) >= threshold, shrunk, 0)
    safe = jnp.where(curvature > 0, curvature, 1)
    slack = rounding_error(sub.norm, old.dtype) * lax.rsqrt(safe)
    if rates := model.rates:
        assert isinstance(constraint, IntegerBox)
        # An entry of curvature zero costs bits, too.
        charges = jnp.zeros((), old.dtype)
        for rate in rates:
            bits = rate.charges(old, r)
            bits = bits[:, None] if jnp.ndim(sub.weight) else bits
            charges = charges + rate.weight * sub.weight * bits
        new = cheapest(
            numerator, curvature, constraint.project(old), (constraint.lower, constraint.upper),
            charges, threshold, slack * safe,
        )  # fmt: skip
    else:
        new = constraint.update(shrunk / safe, old, slack, safe * sub.unit)
        new = jnp.where(curvature > 0, new, constraint.project(old))
    if model.frozen is not None:
        new = jnp.where(model.frozen[r], old, new)
    return jnp.where(r < sub.rank, new, old)
