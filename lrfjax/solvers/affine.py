"""The closed-form fit of the scale and the offset in X ~ scale * U V^T + offset."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.numerics import compensated_sum, contract
from lrfjax.solvers.problem import Problem, Products, State


def fit_affine(
    problem: Problem, state: State, products: Products | None
) -> tuple[Array | None, Array | None]:
    """Return the scale and offset that minimise ||X - scale * Z - offset||_F, for Z = U V^T.

    The solution of the normal equations of a line through (Z, X), weighted if X has weights. The
    scale is kept if there is no unique positive solution.

    Args:
        problem: from ``prepare``.
        state: the new factors, with the old scale and offset.
        products: products of the sweep, from which the sums are computed; None with weights.
    """
    if problem.wt is None:
        assert products is not None
        zx, zz, z_total = _sums_from_products(state, products)
    else:
        zx, zz, z_total = _weighted_sums(problem.xt * problem.unit, problem.wt, state)
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


def _weighted_sums(xt: Array, wt: Array, state: State) -> tuple[Array, Array, Array]:
    """Return the weighted sums, from Z itself."""
    z = contract(state.vt, state.ut, 0, 0)
    zx, zz, z_total = (compensated_sum(jnp.sum(wt * z * a, axis=0)) for a in (xt, z, 1.0))
    return zx, zz, z_total
