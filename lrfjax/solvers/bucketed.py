"""Jitted solves over rank buckets and batches: what stands between a front door and the loop.

Factors are padded to a bucket of ranks, so that one compilation serves them all, X is scaled where
that is free, the start is made, and a batch is run in the way that suits the backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax import checks
from lrfjax.solvers import bcd
from lrfjax.solvers.constraints import Box
from lrfjax.solvers.diagnostics import relative_error
from lrfjax.solvers.initialize import (
    balanced_start,
    fitting_scale,
    nndsvd_start,
    random_start,
    restart_settings,
    svd_start,
)
from lrfjax.solvers.numerics import contract, power_of_two_near, sum_of_squares
from lrfjax.solvers.truncated_svd import truncated_svd
from lrfjax.types import Factors, History, Result, Status

_SMALLEST_BUCKET = 8


def rank_bucket(rank: int, limit: int) -> int:
    """Return the number of columns that a rank is padded to inside a solver.

    A power of two from 8 on, at most ``limit`` = min(M, N), so that all ranks of a 64-column
    matrix share four compilations.

    Example:
        >>> [rank_bucket(r, 64) for r in (1, 8, 9, 33, 64)]
        [8, 8, 16, 64, 64]
    """
    return min(max(_SMALLEST_BUCKET, 1 << (rank - 1).bit_length()), limit)


@dataclass(frozen=True)
class Plan:
    """What is static in a solve; each plan compiles once for each shape of X.

    Attributes:
        start: ``"svd"``, ``"balanced"``, ``"nndsvd"``, ``"random"`` or ``"given"``.
        bucket: the number of columns that factors are padded to.
        num_iters: sweeps at most.
        record_every: sweeps from one entry of the history to the next.
        num_restarts: how many starts are tried.
        fit_scale: whether the scale of the product is fitted.
        fit_offset: whether an offset is fitted.
    """

    start: str
    bucket: int
    num_iters: int
    record_every: int
    num_restarts: int
    fit_scale: bool
    fit_offset: bool


@partial(jax.jit, static_argnames="plan")
def solve(
    x: Array,
    given: Factors | Array | None,
    rank: Array,
    tol: Array,
    models: tuple[bcd.FactorModel, bcd.FactorModel],
    *,
    plan: Plan,
) -> Result:
    """Solve one problem (x of two axes) or a batch of them (three).

    Args:
        x: shape (M, N) or (B, M, N), floating point.
        given: factors of ``plan.bucket`` columns, a PRNG key, or None, as the start needs it.
        rank: how many columns are live.
        tol: see ``bcd.solve``.
        models: of U and of V.
        plan: everything static.
    """
    is_cone = all(m.constraint.is_cone for m in models)
    key = given if isinstance(given, Array) else None

    def single(x: Array, factors: Factors | None) -> Result:
        # Cones admit any scaling, so X is brought near 1 by a power of two and no square of an
        # entry overflows or vanishes.
        unit = lax.stop_gradient(power_of_two_near(x)) if is_cone else jnp.ones((), x.dtype)
        x = x / unit
        scaled = tuple(replace(m, l1=m.l1 / unit / jnp.sqrt(unit), l2=m.l2 / unit) for m in models)
        states = [
            _start(x, factors, key, rank, models, plan, unit, k) for k in range(plan.num_restarts)
        ]

        def run(state: bcd.State) -> Result:
            return bcd.solve(
                x, state, rank, tol, (scaled[0], scaled[1]), plan.num_iters, plan.record_every
            )

        if len(states) == 1:
            return _rescale(run(states[0]), unit)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        results = _rescale(_over_batch(run, stacked), unit)
        final = results.history.objective[:, -1]
        best = jnp.argmin(jnp.where(jnp.isfinite(final), final, jnp.inf))
        return replace(jax.tree.map(lambda a: a[best], results), restarts=results.history)

    factors = given if isinstance(given, Factors) else None
    if x.ndim == 2:
        return single(x, factors)
    return _over_batch(lambda pair: single(*pair), (x, factors))


def _start(
    x: Array,
    factors: Factors | None,
    key: Array | None,
    rank: Array,
    models: tuple[bcd.FactorModel, bcd.FactorModel],
    plan: Plan,
    unit: Array,
    index: int,
) -> bcd.State:
    """Return the ``index``-th start of a plan, its dead columns zero."""
    constraints = (models[0].constraint, models[1].constraint)
    side = constraints[1].wider_side()
    scale = jnp.ones((), x.dtype) if plan.fit_scale else None
    offset = jnp.mean(x) if plan.fit_offset else None
    centred = x if offset is None else x - offset
    lean, share = restart_settings(index, plan.fit_scale)
    if factors is not None:
        root = jnp.sqrt(unit)
        ut, vt = factors.u.T.astype(x.dtype) / root, factors.v.T.astype(x.dtype) / root
        if plan.fit_scale and factors.scale is not None:
            scale = factors.scale.astype(x.dtype)
        if plan.fit_offset and factors.offset is not None:
            offset = factors.offset.astype(x.dtype)
    elif plan.start == "random":
        assert key is not None
        chosen = key if plan.num_restarts == 1 else jax.random.fold_in(key, index)
        ut, vt = random_start(chosen, centred, plan.bucket, rank, constraints)
    elif plan.start == "nndsvd":
        ut, vt = nndsvd_start(centred, plan.bucket)
    elif plan.start == "svd":
        ut, vt = svd_start(centred, plan.bucket, side)
    else:
        ut, vt = balanced_start(centred, plan.bucket, side, lean)
    live = jnp.arange(plan.bucket)[:, None] < rank
    ut, vt = jnp.where(live, ut, 0), jnp.where(live, vt, 0)
    if plan.fit_scale and factors is None:
        reach = jnp.maximum(*(c.reach() for c in constraints if isinstance(c, Box)))
        scale = fitting_scale(ut, vt, reach, share)
        ut, vt = ut / jnp.sqrt(scale), vt / jnp.sqrt(scale)
    return bcd.State(ut, vt, scale, offset)


@jax.jit
def solve_svd(x: Array, rank: Array) -> Result:
    """Return the SVD of one matrix or a batch as a ``Result`` of min(M, N) columns."""

    def single(x: Array) -> Result:
        # The powers of two keep the squares in the error from overflowing.
        scale = power_of_two_near(x)
        x = x / scale
        u, s, v = truncated_svd(x)
        live = jnp.arange(s.shape[0]) < rank
        root = jnp.sqrt(jnp.where(live, s, 0))
        factors = Factors(u * root, v * root)
        value = sum_of_squares(x.T - contract(factors.v, factors.u, 1, 1))
        error = relative_error(value, jnp.sqrt(sum_of_squares(x.T)))
        num_iters = jnp.zeros((), jnp.int32)
        history = History(num_iters[None], value[None], error[None], None, None, None)
        status = jnp.where(jnp.isfinite(value), Status.CONVERGED, Status.FAILED)
        return _rescale(Result(factors, history, num_iters, status.astype(jnp.int32)), scale)

    return single(x) if x.ndim == 2 else _over_batch(single, x)


def _rescale(result: Result, scale: Array) -> Result:
    """Turn the result for X / scale into that for X."""
    root = jnp.sqrt(scale)
    history = result.history
    gradient = history.projected_gradient
    return replace(
        result,
        factors=replace(result.factors, u=result.factors.u * root, v=result.factors.v * root),
        history=replace(
            history,
            objective=history.objective * scale * scale,
            projected_gradient=None if gradient is None else gradient * scale * root,
        ),
    )


def _over_batch(single: Callable[[Any], Result], batch: Any) -> Result:
    """Apply a solver to each problem of a batch, a pytree with the batch axis in front.

    On a CPU one problem after the other: batched small products are slower there than single
    ones. Elsewhere all at once.
    """
    return lax.platform_dependent(batch, cpu=lambda b: lax.map(single, b), default=jax.vmap(single))


def trim(result: Result, width: int) -> Result:
    """Cut the padded columns off.

    Eagerly on a CPU this is a view on the host, since a slice on the device would compile once
    for each rank.
    """
    factors = result.factors
    if factors.u.shape[-1] == width:
        return result
    on_host = checks.is_concrete(factors) and all(d.platform == "cpu" for d in factors.u.devices())

    def cut(a: Array) -> Array:
        if not on_host:
            return a[..., :width]
        return jax.device_put(np.ascontiguousarray(np.asarray(a)[..., :width]))

    return replace(result, factors=replace(factors, u=cut(factors.u), v=cut(factors.v)))
