"""Joint moves of two entries of an integer factor, where no single entry can move any more.

Column updates stop where every single entry is best given all others. Two entries of the same row
of U may still gain together what neither gains alone, since the columns of V are not orthogonal:
it is a closest-point problem in the lattice that V spans, and single moves find but a local answer.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.columns import rounding_error
from lrfjax.solvers.numerics import contract
from lrfjax.solvers.problem import FactorModel


def move_pairs(
    products: Array,
    gram: Array,
    factor: Array,
    rank: Array | int,
    num_columns: Array | int,
    model: FactorModel,
    norm: Array,
    weight: Array | float,
) -> Array:
    """Go once through the columns r, and move entry r of each row together with its best partner.

    Steps of one unit, up or down. With the gradient g = G u - b of half the squared error of a row
    u, a step of p in entry r and q in entry s (p, q = 1 or -1) changes the squared error by
    c_r(p) + c_s(q) + 2 p q G_rs with c_r(p) = G_rr + 2 p g_r, to which the penalties add. As c_r
    is convex, c_r(1) + c_r(-1) >= 2 G_rr; so if neither entry moved the way that it alone would
    prefer, the change would be at least G_rr + G_ss - 2 |G_rs| >= 0. It is enough, then, to move
    entry r the way that it prefers, and s against the sign of p G_rs: one candidate for each
    ordered pair, and none that gains is missed. A move is made only where the objective falls by
    more than rounding can account for, so it never rises.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L).
        gram: V^T V or U^T U, shape (R, R).
        factor: shape (R, L), feasible integers.
        rank: how many rows are live.
        num_columns: how many are gone through, at least ``rank``.
        model: of this factor; its constraint is an ``IntegerBox``.
        norm: bounds the norm of a row of X (for U) or of a column (for V).
        weight: of the penalties.
    """
    index = jnp.arange(factor.shape[0])[:, None]
    curvature = jnp.diagonal(gram)[:, None]
    l1, l2 = model.l1 * weight, model.l2 * weight
    can_move = index < rank
    if model.frozen is not None:
        can_move = can_move & ~model.frozen[:, None]
    # The cost of a move is a difference of numbers of the size of |x| |v|, one for each entry.
    noise = 4 * rounding_error(norm, factor.dtype) * jnp.sqrt(curvature)

    def cost(factor: Array, gradient: Array, step: float) -> Array:
        """Return what a step in one entry adds to the objective, for all entries."""
        moved = factor + step
        penalty = l2 * (1 + 2 * step * factor) + 2 * l1 * (jnp.abs(moved) - jnp.abs(factor))
        is_allowed = can_move & (model.constraint.project(moved) == moved)
        return jnp.where(is_allowed, curvature + 2 * step * gradient + penalty, jnp.inf)

    def update(r: Array, factor: Array) -> Array:
        gradient = contract(gram, factor, 1, 0) - products
        up, down = cost(factor, gradient, 1.0), cost(factor, gradient, -1.0)
        own_step = jnp.where(up[r] < down[r], 1.0, -1.0).astype(factor.dtype)
        coupling = gram[r][:, None]
        other_step = -own_step * jnp.sign(coupling)
        change = jnp.minimum(up[r], down[r]) + jnp.where(other_step > 0, up, down)
        change = change - 2 * jnp.abs(coupling) + noise + noise[r]
        change = jnp.where((index == r) | (coupling == 0), jnp.inf, change)
        partner = jnp.argmin(change, axis=0)
        is_gain = jnp.min(change, axis=0) < 0
        steps = jnp.where(index == r, own_step, jnp.where(index == partner, other_step, 0))
        return factor + jnp.where(is_gain, steps, 0)

    return lax.fori_loop(0, num_columns, update, factor)
