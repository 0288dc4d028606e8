"""Joint moves of two entries of an integer factor that no single move improves.

Column updates stop where every single entry is best given all others. Two entries of the same row
of U may still lower the objective together, since the columns of V are not orthogonal. The best row
solves a closest-point problem in the lattice that V spans; single moves find only a local minimum.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.methods.columns import Subproblem, rounding_error
from lrfjax.solvers.numerics import contract


def move_pairs(products: Array, gram: Array, factor: Array, sub: Subproblem) -> Array:
    """Visit the columns r once, and move entry r of each row together with its best partner.

    A move is a step of one unit, up or down. Let g = G u - b be the gradient of half the squared
    error of a row u. A step of p in entry r and q in entry s (p, q = 1 or -1) changes the squared
    error by c_r(p) + c_s(q) + 2 p q G_rs, with c_r(p) = G_rr + 2 p g_r. The penalties add to c_r,
    which stays convex, so c_r(1) + c_r(-1) >= 2 G_rr. If neither entry moves in the direction that
    it prefers alone, the change is therefore at least G_rr + G_ss - 2 |G_rs| >= 0. It is enough to
    move entry r in its preferred direction, and s against the sign of p G_rs. This gives one
    candidate for each ordered pair, and misses no gain. A move is made only if the objective falls
    by more than rounding can account for, so the objective never rises.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L).
        gram: V^T V or U^T U, shape (R, R).
        factor: transposed factor of feasible integers, shape (R, L).
        sub: what else the updates need; the constraint of its model is an ``IntegerBox``.

    Returns:
        The moved factor, shape (R, L).
    """
    index = jnp.arange(factor.shape[0], dtype=jnp.int32)[:, None]
    curvature = jnp.diagonal(gram)[:, None]
    model = sub.model
    can_move = index < sub.rank
    if model.frozen is not None:
        can_move = can_move & ~model.frozen[:, None]
    # The cost of a move is a difference of numbers of the size |x| |v|, one for each entry.
    noise = 4 * rounding_error(sub.norm, factor.dtype) * jnp.sqrt(curvature)

    def cost(factor: Array, gradient: Array, step: float) -> Array:
        """Return the change of the objective when one entry makes a step, for every entry."""
        moved = factor + step
        l1, l2 = (sub.weight * part for part in model.bounds(factor))
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
        partner = jnp.argmin(change, axis=0).astype(jnp.int32)
        is_gain = jnp.min(change, axis=0) < 0
        steps = jnp.where(index == r, own_step, jnp.where(index == partner, other_step, 0))
        return factor + jnp.where(is_gain, steps, 0)

    return lax.fori_loop(0, sub.num_columns, update, factor)
