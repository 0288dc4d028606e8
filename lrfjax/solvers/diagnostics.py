"""What is recorded after a sweep, on the device, and when to stop."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from lrfjax.solvers.constraints import Constraint
from lrfjax.solvers.numerics import contract, sum_of_squares
from lrfjax.types import History


def squared_error(
    xt: Array,
    ut: Array,
    vt: Array,
    scale: Array | None = None,
    offset: Array | None = None,
    unit: Array | float = 1.0,
) -> Array:
    """Return ||X - scale * U V^T - offset||_F^2 / unit^2 from the residual itself.

    The expanded form ||X||^2 - 2 <X V, U> + <U^T U, V^T V> would reuse products that the sweep
    has, but cancels when the fit is good: in float32 it is off by 1e-6 ||X||^2, more than a late
    sweep gains. The residual costs one more product a sweep and is accurate to rounding.

    Args:
        xt: X transposed, shape (N, M).
        ut: shape (R, M).
        vt: shape (R, N).
        scale: of the product, 1 where None.
        offset: added to every entry, 0 where None.
        unit: a power of two near the size of X keeps the squares from overflowing or vanishing.

    Returns:
        A scalar.
    """
    product = contract(vt, ut, 0, 0)
    if scale is not None:
        product = scale * product
    if offset is not None:
        product = product + offset
    return sum_of_squares((xt - product) / unit)


def relative_error(objective: Array, norm: Array) -> Array:
    """Return sqrt(objective) / norm, with 0 / 0 = 0."""
    safe = jnp.where(norm == 0, 1, norm)
    return jnp.where(norm == 0, jnp.where(objective == 0, 0, jnp.inf), jnp.sqrt(objective) / safe)


def record(
    xt: Array,
    norm: Array,
    ut: Array,
    vt: Array,
    num_changed: Array,
    rank: Array | int,
    constraints: tuple[Constraint, Constraint],
    *,
    scale: Array | None = None,
    offset: Array | None = None,
    penalty: Array | float = 0.0,
    unit: Array | float = 1.0,
    sweep: Array | int = 0,
) -> History:
    """Describe a feasible pair of factors: one entry of a ``History``, every field a scalar.

    Args:
        xt: X transposed, shape (N, M).
        norm: ||X||_F / unit.
        ut: shape (R, M), rows from ``rank`` on zero.
        vt: shape (R, N), likewise.
        num_changed: entries that the sweep changed.
        rank: how many rows are live.
        constraints: of U and of V.
        scale: of the product, 1 where None.
        offset: added to every entry, 0 where None.
        penalty: added to the squared error in the objective.
        unit: see ``squared_error``.
        sweep: how many sweeps were done.
    """
    bounded = any(c.has_bounds for c in constraints)
    integer = any(c.is_integer for c in constraints)
    error = squared_error(xt, ut, vt, scale, offset, unit)
    return History(
        sweeps=jnp.asarray(sweep, jnp.int32),
        objective=error * unit * unit + penalty,
        relative_error=relative_error(error, norm),
        bound_share=_bound_share(ut, vt, rank, constraints) if bounded else None,
        num_changed=num_changed if integer else None,
        projected_gradient=None if integer else _projected_gradient(xt, ut, vt, constraints),
    )


def _bound_share(
    ut: Array, vt: Array, rank: Array | int, constraints: tuple[Constraint, Constraint]
) -> Array:
    live = jnp.arange(ut.shape[0])[:, None] < rank
    hits = sum(jnp.sum(c.at_bound(f) & live) for c, f in zip(constraints, (ut, vt), strict=True))
    count = jnp.asarray(rank) * (ut.shape[1] + vt.shape[1])
    return jnp.asarray(hits).astype(ut.dtype) / count.astype(ut.dtype)


def _projected_gradient(
    xt: Array, ut: Array, vt: Array, constraints: tuple[Constraint, Constraint]
) -> Array:
    gradient_u = 2 * (contract(contract(vt, vt, 1, 1), ut, 1, 0) - contract(vt, xt, 1, 0))
    gradient_v = 2 * (contract(contract(ut, ut, 1, 1), vt, 1, 0) - contract(ut, xt, 1, 1))
    in_u = constraints[0].projected_gradient(ut, gradient_u)
    in_v = constraints[1].projected_gradient(vt, gradient_v)
    return jnp.sqrt(jnp.sum(in_u * in_u) + jnp.sum(in_v * in_v))


def has_converged(before: History, after: History, tol: Array, is_first: Array) -> Array:
    """Return whether a sweep was the last one needed.

    A sweep that changed no integer is a fixed point. Otherwise the objective has to fall by more
    than ``tol`` of itself; ``tol`` = 0 turns this test off. It is not made after the first sweep,
    which sets off from factors that need not be feasible and are not those of entry 0.

    Args:
        before: the entry before the sweep.
        after: the entry after it.
        tol: relative, at least 0.
        is_first: whether it was the first sweep.
    """
    gain = before.objective - after.objective
    stalled = ~is_first & (tol > 0) & (gain <= tol * before.objective)
    if after.num_changed is None:
        return stalled
    return stalled | (after.num_changed == 0)
