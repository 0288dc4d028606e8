"""The scale and the offset in X ~ scale * U V^T + offset: their fit, and a centred X."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.numerics import contract, power_of_two_near
from lrfjax.solvers.problem import Problem, Products, State


def fit_affine(
    problem: Problem, state: State, products: Products | None = None
) -> tuple[Array | None, Array | None]:
    """Return the scale and offset that minimise ||X - scale * Z - offset||_F, for Z = U V^T.

    The solution of the normal equations of a line through (Z, X), weighted if X has weights. The
    scale is kept if there is no unique positive solution.

    Args:
        problem: from ``prepare``.
        state: the new factors, with the old scale and offset.
        products: products of the sweep, from which the sums are computed without weights; made
            here if None.
    """
    if problem.weights is None:
        if products is None:
            products = Products(
                contract(state.ut, problem.x, 1, 0), contract(state.ut, state.ut, 1, 1)
            )
        zx, zz, z_total = _sums_from_products(state, products)
    else:
        z = contract(state.vt, state.ut, 0, 0)
        xt = problem.xt * problem.unit
        zx, zz, z_total = problem.sum(z * xt), problem.sum(z * z), problem.sum(z)
    count = problem.count
    scale, offset = state.scale, state.offset
    if scale is not None:
        mean_z = z_total / count if offset is not None else jnp.zeros_like(z_total)
        spread = zz - mean_z * z_total
        covariance = zx - mean_z * problem.total
        is_safe = (spread > 1e-4 * zz) & (covariance > 0)
        scale = jnp.where(is_safe, covariance / jnp.where(is_safe, spread, 1), scale)
    if offset is not None:
        offset = (problem.total - (1.0 if scale is None else scale) * z_total) / count
    return scale, offset


def _sums_from_products(state: State, products: Products) -> tuple[Array, Array, Array]:
    """Return <Z, X>, <Z, Z> and the sum of Z, from the products of the sweep."""
    z_total = jnp.dot(
        jnp.sum(state.ut, axis=1), jnp.sum(state.vt, axis=1), precision=lax.Precision.HIGHEST
    )
    zz = jnp.sum(products.uu * contract(state.vt, state.vt, 1, 1))
    return jnp.sum(products.xu * state.vt), zz, z_total


def round_mean(x: Array, weights: Array | None) -> Array:
    """Return a constant near the mean of X, to subtract from it before an offset is fitted.

    Next to a large mean, sums over X lose what distinguishes its entries. The constant is a
    multiple of a power of two that is near the standard deviation, so the difference is exact where
    it matters: integers stay integers.

    Args:
        x: shape (M, N), floating point.
        weights: shape (M, N), near one at most, or None.
    """

    def mean(a: Array) -> Array:
        if weights is None:
            return jnp.mean(a)
        return jnp.sum(weights * a) / jnp.sum(weights)

    rough = mean(x)
    middle = rough + mean(x - rough)
    grain = power_of_two_near(jnp.sqrt(mean((x - middle) ** 2)))
    return lax.stop_gradient(jnp.round(middle / grain) * grain)
