"""Column updates from parabolas above the loss, for all losses, with and without weights.

``Loss`` gives a parabola for every entry of X, above the loss and equal to it at the present
z = U V^T. Their sum over a row of X is a quadratic function of the row of U, and one column enters
it as d u^2 - 2 n u. So the updates are those of ``columns``, with curvatures of each entry's own.
There are two ways to go through the columns.

- ``update_by_parabolas`` keeps the parabolas while it visits all columns, some passes long. The
  Gram matrices V^T diag(curvature) V of all rows come from one matrix product, and a pass costs no
  product with X. The parabolas hold as long as no z falls by more than the share ``_FALL``, and it
  does not if no entry of the factor does. Entries that hold little of every z may go to zero.
- ``update_by_prediction`` makes a new parabola for every column, which holds even if that column
  becomes zero. It suits sets that are not intervals, where a limit of the fall would hide values.
  Such a parabola is steep, so discrete entries also try the value that the loss's own curvature
  suggests, and the two next to the best one, and take them where the objective is lower.

Both lower the sum of parabolas, so neither raises the objective.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.solvers.losses.loss import Loss, floored
from lrfjax.solvers.losses.squared import SquaredError
from lrfjax.solvers.methods.columns import Subproblem, minimise
from lrfjax.solvers.numerics import contract, row_at, with_row
from lrfjax.solvers.sets.sparsity import Sparse

_FALL = 0.4
"""Largest share by which z may fall in an update: more needs steeper parabolas and shorter steps.
Of 0.4 to 0.9, the least took the fewest sweeps on counts, digits and a photograph."""
_FREE_FALL = 0.05
"""Part of ``_FALL`` that is left to entries which may become zero at once."""
_TILE_BYTES = 2**24
"""Size of the Gram matrices of a tile of rows."""


def update_by_parabolas(
    target: Array,
    weights: Array | None,
    partner: Array,
    factor: Array,
    sub: Subproblem,
    loss: Loss,
    unit: Array,
    num_passes: int,
) -> Array:
    """Update all columns of a factor in a convex set, with one parabola for each entry of X.

    Args:
        target: matrix that U V^T approximates, with the axis of this factor last, shape (K, L).
        weights: weights of its entries, shape (K, L), or None.
        partner: the other factor, transposed, shape (R, K).
        factor: transposed factor, feasible, shape (R, L).
        sub: what else the updates need.
        loss: the loss.
        unit: power of two near the largest entry of X.
        num_passes: number of passes over the columns; static.

    Returns:
        The updated factor, shape (R, L).
    """

    def update(entries: tuple[Any, ...]) -> Array:
        target, weights, factor, weight, unit_of_entries = entries
        part = replace(
            sub,
            norm=0.0,  # only sets that are not convex look at rounding errors
            weight=sub.weight if weight is None else weight,
            unit=sub.unit if unit_of_entries is None else unit_of_entries,
        )
        return _update_tile(target, weights, partner, factor, part, loss, unit, num_passes)

    size, length = factor.shape
    by_entry = (
        target,
        weights,
        factor,
        sub.weight if jnp.ndim(sub.weight) else None,
        sub.unit if jnp.ndim(sub.unit) else None,
    )
    # The rows of X are independent, so they go in tiles whose Gram matrices fit in memory.
    return _in_tiles(update, by_entry, length, max(_TILE_BYTES // (4 * size * size), 1))


def _in_tiles(
    update: Callable[[tuple[Any, ...]], Array],
    arrays: tuple[Any, ...],
    length: int,
    tile: int,
) -> Array:
    """Apply an update to tiles of the last axis of some arrays, and join the results."""
    if length <= tile:
        return update(arrays)
    count = -(-length // tile)
    even = -(-length // count)

    def split(a: Array | None) -> Array | None:
        if a is None:
            return None
        # Copies of the last entry, since zeros may be infinitely far from X.
        padding = [(0, 0)] * (a.ndim - 1) + [(0, count * even - length)]
        parts = jnp.pad(a, padding, mode="edge").reshape(*a.shape[:-1], count, even)
        return jnp.moveaxis(parts, -2, 0)

    updated = lax.map(update, tuple(map(split, arrays)))
    return jnp.moveaxis(updated, 0, -2).reshape(updated.shape[1], -1)[:, :length]


def _update_tile(
    target: Array,
    weights: Array | None,
    partner: Array,
    factor: Array,
    sub: Subproblem,
    loss: Loss,
    unit: Array,
    num_passes: int,
) -> Array:
    """Do the work of ``update_by_parabolas``."""
    size, length = factor.shape
    z = floored(loss, contract(partner, factor, 0, 0), unit)
    slope, curvature = loss.slope(target, z) / 2, loss.curvature(target, z, _FALL) / 2
    if weights is not None:
        slope, curvature = weights * slope, weights * curvature
    gradient = contract(partner, slope, 1, 0)
    # A Gram matrix is symmetric, so one product for each pair of columns is enough.
    first, second = np.triu_indices(size)
    pair = np.zeros((size, size), np.int32)
    pair[first, second] = pair[second, first] = np.arange(len(first))
    products = contract(partner[first] * partner[second], curvature, 1, 0)
    if loss.is_positive:
        # Where the loss is a line, no update of another column changes its slope.
        own = np.flatnonzero(first == second)
        products = products.at[own].set(_bent(products[own], gradient, factor))
    grams = products[pair.ravel()].reshape(size, size, length)
    least = _least(partner, factor, z, curvature) if loss.is_positive else None

    def update(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        factor, gradient = carry
        r = index % sub.num_columns if num_passes > 1 else index
        row, old, slope = row_at(grams, r), row_at(factor, r), row_at(gradient, r)
        steepness = row_at(row, r)
        new = minimise(steepness * old - slope, steepness, old, r, sub)
        if least is not None:
            new = jnp.maximum(new, row_at(least, r))
        return with_row(factor, r, new), gradient + row * (new - old)

    return lax.fori_loop(0, num_passes * sub.num_columns, update, (factor, gradient))[0]


def _bent(curvature: Array, slope: Array, old: Array) -> Array:
    """Return curvatures of a column, positive also where the loss is a rising line.

    That happens for rows of zeros. A parabola above the line then has its minimum below zero.
    """
    return jnp.where(curvature > 0, curvature, jnp.maximum(slope, 0) / (old + 1))


def _least(partner: Array, factor: Array, z: Array, curvature: Array) -> Array:
    """Return how low the entries of a factor may go so that no z falls by more than ``_FALL``.

    If no entry falls by more than a share, no z does. An entry u that holds at most a share s of
    every z of its row, u max(v) <= s min(z), may fall to zero: all R of them together take R s.
    Entries of X without curvature do not matter, since any parabola is above a line.
    """
    lowest = jnp.min(jnp.where(curvature > 0, z, jnp.inf), axis=0)
    held = factor * jnp.max(partner, axis=1)[:, None]
    is_free = held <= _FREE_FALL / factor.shape[0] * lowest
    return jnp.where(is_free, 0, (1 - (_FALL - _FREE_FALL)) * factor)


def update_by_prediction(
    target: Array,
    weights: Array | None,
    partner: Array,
    factor: Array,
    sub: Subproblem,
    loss: Loss,
    unit: Array,
    num_passes: int,
) -> Array:
    """Update all columns of a factor in any set, with new parabolas for every column.

    The arguments are those of ``update_by_parabolas``. The squared error has the same parabola for
    ever, so its curvatures are computed at once, and the residual is carried along instead of
    U V^T: for integers it stays exact as long as its entries are below 2^24.
    """
    is_squared = isinstance(loss, SquaredError)
    start = contract(partner, factor, 0, 0)
    squares = partner * partner
    if is_squared:
        weights = jnp.ones_like(target) if weights is None else weights
        start = start - target
        curvatures = contract(squares, weights, 1, 0)

    constraint = sub.model.constraint
    is_separable = constraint.is_discrete and not isinstance(constraint, Sparse)
    tries_more = is_separable and not is_squared and not sub.model.rates

    def weighted(a: Array) -> Array:
        return a if weights is None else weights * a

    apply = partial(jnp.matmul, precision=lax.Precision.HIGHEST)

    def better(fit: Array, r: Array, old: Array, new: Array, other: Array) -> Array:
        """Return, for every entry of a new column, the value with the lower objective."""

        def cost(value: Array) -> Array:
            z = floored(loss, fit + partner[r][:, None] * (value - old)[None, :], unit)
            l1, l2 = sub.model.bound(old, r)
            penalty = sub.weight * (2 * l1 * jnp.abs(value) + l2 * value * value)
            return jnp.sum(weighted(loss.value(target, z)), axis=0) + penalty

        return jnp.where(cost(other) < cost(new), other, new)

    def allowed(value: Array, old: Array, r: Array) -> Array:
        """Return a new column, or the old one if it is frozen or not live."""
        is_kept = r >= sub.rank
        if sub.model.frozen is not None:
            is_kept |= sub.model.frozen[r]
        return jnp.where(is_kept, old, value)

    def update(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        factor, fit = carry
        r = index % sub.num_columns if num_passes > 1 else index
        old, other = factor[r], partner[r]
        if is_squared:
            slope, curvature = fit, curvatures[r]
        else:
            z = floored(loss, fit, unit)
            fall = jnp.clip(other[:, None] * old[None, :] / jnp.where(z == 0, 1, z), 0, 1)
            slope = loss.slope(target, z) / 2
            steepness = weighted(loss.curvature(target, z, fall) / 2)
            curvature = apply(squares[r], steepness)
        slope = apply(other, weighted(slope))
        if loss.is_positive:
            curvature = _bent(curvature, slope, old)
        new = minimise(curvature * old - slope, curvature, old, r, sub)
        if tries_more:
            # What the loss's own curvature suggests, and the values next to the best one.
            steepness = weighted(loss.curvature(target, z, 0.0) / 2)
            curvature = apply(squares[r], steepness)
            local = minimise(curvature * old - slope, curvature, old, r, sub)
            new = better(fit, r, old, new, local)
            for near in constraint.for_column(r).neighbours(new):
                new = better(fit, r, old, new, allowed(near, old, r))
        return factor.at[r].set(new), fit + other[:, None] * (new - old)[None, :]

    return lax.fori_loop(0, num_passes * sub.num_columns, update, (factor, start))[0]
