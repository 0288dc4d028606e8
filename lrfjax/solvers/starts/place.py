"""A start in the place of a problem: in its units, with its scale, without empty columns."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from lrfjax.solvers.methods.affine import fit_affine
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.problem import Problem, State
from lrfjax.solvers.starts.start import Start
from lrfjax.types import Factors

_SHARE = 0.18
"""The ``share`` of a start that does not say; see ``svd_starts`` for where it comes from."""
_LEAST_SHARE = 1e-2
"""Least entry of a start relative to its column's mean, for losses that are steep at zero."""
# Singular values below this many units of rounding of the largest one are noise.
_NOISE_UNITS = 64.0


def placed(
    start: Start,
    x: Array,
    unit: Array,
    offset: Array | None,
    size: int,
    rank: Array | int,
    model: Model,
) -> State:
    """Return a start for ``unit`` times X, with zeros in the dead columns.

    Args:
        start: the start.
        x: shape (M, N), entries near one, gaps filled.
        unit: power of two that X was divided by.
        offset: offset of X in its own unit; None if none is fitted.
        size: number of columns, padding included; static.
        rank: number of live columns.
        model: what is minimised.
    """
    centred = x if offset is None else x - offset / unit
    ut, vt = start(centred, size, rank, model)
    live = jnp.arange(size, dtype=jnp.int32)[:, None] < rank
    ut, vt = (jnp.where(live, factor, 0) for factor in (ut, vt))
    is_empty, substitute = (None, vt) if model.is_cone else _substitutes(ut, vt, live)
    root, scale = jnp.sqrt(unit), None
    if model.fit_scale:
        reach = jnp.maximum(*(jnp.asarray(c.reach(), x.dtype) for c in model.constraints))
        share = _SHARE if start.share is None else start.share
        scale = fitting_scale(root * ut, root * vt, reach, share)
        root = root / jnp.sqrt(scale)
    ut, vt = root * ut, root * vt
    if is_empty is not None:
        ut, vt = jnp.where(is_empty, 0, ut), jnp.where(is_empty, substitute, vt)
    if model.loss.is_positive:
        ut, vt = (
            _raised(side, factor, live) for side, factor in zip(model.sides, (ut, vt), strict=True)
        )
    return State(ut, vt, scale, offset)


def given(problem: Problem, factors: Factors, model: Model, rank: Array | int) -> State:
    """Return the start from given factors, in the units of the problem.

    A scale or an offset that is fitted but not given is fitted to the factors.
    """
    one = jnp.ones((), problem.x.dtype)
    state = State(
        factors.u.T,
        factors.v.T,
        (one if factors.scale is None else factors.scale) if model.fit_scale else None,
        (0 * one if factors.offset is None else factors.offset) if model.fit_offset else None,
    )
    if state.scale is None and state.offset is None:
        return state
    fitted = fit_affine(problem, model.project(state, rank))
    return replace(
        state,
        scale=state.scale if factors.scale is not None else fitted[0],
        offset=state.offset if factors.offset is not None else fitted[1],
    )


def fitting_scale(ut: Array, vt: Array, reach: Array | float, share: Array | float) -> Array:
    """Return a scale s so that U / s^(1/2) and V / s^(1/2) use the range of their constraint.

    At ``share`` = 1 the largest entry of both factors just fits. A smaller share clips the few
    largest entries and gives all others finer steps.

    Args:
        ut: shape (R, M).
        vt: shape (R, N).
        reach: largest magnitude that the constraint admits, positive.
        share: scale relative to the one at which nothing is clipped, in (0, 1].

    Returns:
        A positive scalar.
    """
    largest = jnp.maximum(jnp.max(jnp.abs(ut)), jnp.max(jnp.abs(vt)))
    scale = share * (largest / reach) ** 2
    return jnp.where(scale > 0, scale, 1).astype(ut.dtype)


def _substitutes(ut: Array, vt: Array, live: Array) -> tuple[Array, Array]:
    """Return which columns of a start are empty, and rows of V^T to put there.

    The columns beyond the rank of X take the direction of one of the others. Without bounds they
    have nothing to add. With bounds they do: they continue a column that is clamped, and correct
    what the rounding of it leaves. Both lie in the row space of X, which the empty columns of an
    SVD are orthogonal to, so column updates would never fill them. U is zero there and V has
    entries of at most 1, so the product is that of the other columns.

    Args:
        ut: shape (R, M), from a start with falling singular values, near one.
        vt: shape (R, N).
        live: booleans of shape (R, 1), True for columns in use.

    Returns:
        Booleans of shape (R, 1) and an array of shape (R, N).
    """
    strength = jnp.sum(ut * ut, axis=1) * jnp.sum(vt * vt, axis=1)
    noise = (_NOISE_UNITS * float(jnp.finfo(ut.dtype).eps)) ** 2
    is_full = strength > noise * jnp.max(strength)
    count = jnp.maximum(jnp.sum(is_full.astype(ut.dtype)), 1).astype(jnp.int32)
    source = vt[jnp.arange(ut.shape[0], dtype=jnp.int32) % count]
    largest = jnp.max(jnp.abs(source), axis=1, keepdims=True)
    return live & ~is_full[:, None], source / jnp.where(largest > 0, largest, 1)


def _raised(side: FactorModel, factor: Array, live: Array) -> Array:
    """Return a factor of a start without zeros or negative entries in live columns.

    A loss of positive numbers is steep at zero, and from there many sweeps would only double the
    factors.
    """
    mean = jnp.mean(jnp.abs(factor), axis=1, keepdims=True)
    least = _LEAST_SHARE * jnp.where(mean > 0, mean, 1)
    return side.kept(factor, jnp.where(live, jnp.maximum(factor, least), 0))
