"""Jitted solves over rank buckets and batches: the layer between the front doors and the loop.

This layer pads factors to a bucket of ranks, so that one compilation serves them all. It scales X
if the constraints allow that, makes the start, and runs a batch in the way that suits the backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax import checks
from lrfjax.solvers import bcd
from lrfjax.solvers.affine import round_mean
from lrfjax.solvers.diagnostics import relative_error
from lrfjax.solvers.initialize import (
    fill_missing,
    restart_settings,
)
from lrfjax.solvers.numerics import (
    contract,
    power_of_two_near,
    refuse_gradient,
    safe_sqrt,
    sum_of_squares,
)
from lrfjax.solvers.problem import Models, prepare, split_weights
from lrfjax.solvers.sharded_svd import sharded_svd
from lrfjax.solvers.sharding import Layout, over_devices
from lrfjax.solvers.starts import Plan, given_start, named_start
from lrfjax.solvers.stopping import Tolerances
from lrfjax.solvers.truncated_svd import truncated_svd
from lrfjax.solvers.units import Units
from lrfjax.types import Factors, History, Result, Status

_SMALLEST_BUCKET = 8


def rank_bucket(rank: int, limit: int | None = None) -> int:
    """Return the number of columns to which a solver pads factors of a rank.

    The number is a power of two, at least 8, capped at ``limit``: min(M, N) for starts that have no
    more columns. All ranks of a 64-column matrix thus share four compilations.

    Example:
        >>> [rank_bucket(r, 64) for r in (1, 8, 9, 33, 64)]
        [8, 8, 16, 64, 64]
    """
    bucket = max(_SMALLEST_BUCKET, 1 << (rank - 1).bit_length())
    return bucket if limit is None else min(bucket, limit)


@partial(jax.jit, static_argnames=("plan", "layout"))
def solve(
    x: Array,
    weights: Array | None,
    given: Factors | Array | None,
    rank: Array,
    tolerances: Tolerances,
    models: Models,
    *,
    plan: Plan,
    layout: Layout | None = None,
) -> Result:
    """Solve one problem (``x`` has two axes) or a batch of problems (three axes).

    Args:
        x: shape (M, N) or (B, M, N), floating point; any number of batch axes with a layout.
        weights: shape of ``x``, non-negative, or None; ``x`` is zero where they are zero.
        given: input of the start: factors of ``plan.bucket`` columns, a PRNG key, or None.
        rank: number of live columns.
        tolerances: see ``bcd.solve``.
        models: models of U and of V.
        plan: static settings.
        layout: placement of ``x``, ``weights`` and the factors on several devices; None for one.
    """
    if layout is None:
        return _solve(x, weights, given, rank, tolerances, models, plan)
    factors, key = (given, None) if isinstance(given, Factors) else (None, given)

    def program(batched: Any, shared: Any) -> Result:
        x, weights, factors = batched
        key, rank, tolerances, models = shared
        given = key if factors is None else factors
        return _solve(x, weights, given, rank, tolerances, models, plan)

    return over_devices(program, layout, (x, weights, factors), (key, rank, tolerances, models))


def _solve(
    x: Array,
    weights: Array | None,
    given: Factors | Array | None,
    rank: Array,
    tolerances: Tolerances,
    models: Models,
    plan: Plan,
) -> Result:
    """Do the work of ``solve`` on one device."""
    is_cone = all(m.constraint.is_cone for m in models)
    is_discrete = any(m.constraint.is_discrete for m in models)
    key = given if isinstance(given, Array) else None

    def single(x: Array, weights: Array | None, factors: Factors | None) -> Result:
        x = refuse_gradient(x) if is_discrete else x
        # Cones and a fitted scale admit any scaling: a power of two brings X near 1, so that no
        # square of an entry overflows or vanishes.
        one = jnp.ones((), x.dtype)
        is_scalable = is_cone or plan.fit_scale
        unit = power_of_two_near(lax.stop_gradient(x)) if is_scalable else one
        units = Units(unit, jnp.sqrt(unit) if is_cone else one)
        x = x / unit
        split = None
        if weights is not None:
            split = split_weights(weights)
            weights = weights / split.unit
            units = replace(units, weight=split.unit)
        if plan.fit_offset:
            shift = round_mean(x, weights)
            x = x - shift if weights is None else jnp.where(weights > 0, x - shift, 0)
            units = replace(units, shift=shift)
        scaled = tuple(units.scaled(m) for m in models)
        problem = prepare(x, split, units.shift, is_near_one=is_cone)
        near_one = problem.xt.T if weights is None else fill_missing(x / problem.unit, weights)
        offset = problem.total / problem.count if plan.fit_offset else None

        def begin(index: Array, lean: Array, share: Array) -> bcd.State:
            if factors is not None:
                return given_start(problem, units.inward(factors), models, rank, plan)
            chosen = key
            if key is not None and plan.num_restarts > 1:
                chosen = jax.random.fold_in(key, index)
            return named_start(
                near_one, problem.unit, offset, chosen, rank, models, plan, lean, share
            )

        def run(state: bcd.State) -> Result:
            return bcd.solve(
                problem, state, rank, tolerances, (scaled[0], scaled[1]), plan.schedule
            )

        settings = [restart_settings(k, plan.fit_scale) for k in range(plan.num_restarts)]
        leans, shares = jnp.asarray(settings, x.dtype).T
        if plan.num_restarts == 1:
            state = begin(jnp.zeros((), jnp.int32), leans[0], shares[0])
            return units.outward(run(state))
        # vmap batches only what differs between the starts, so all share one decomposition.
        states = jax.vmap(begin)(jnp.arange(plan.num_restarts), leans, shares)
        results = _over_batch(run, states)
        # Compared before rescaling: in the unit of X, squares may leave the range of the dtype.
        final = results.history.objective[:, -1]
        best = jnp.argmin(jnp.where(jnp.isfinite(final), final, jnp.inf))
        results = units.outward(results)
        return replace(jax.tree.map(lambda a: a[best], results), restarts=results.history)

    factors = given if isinstance(given, Factors) else None
    if x.ndim == 2:
        return single(x, weights, factors)
    return _over_batch(lambda problem: single(*problem), (x, weights, factors))


@partial(jax.jit, static_argnames="layout")
def solve_svd(x: Array, rank: Array, *, layout: Layout | None = None) -> Result:
    """Return the SVD of one matrix or a batch, as a ``Result`` with min(M, N) columns."""
    if layout is None:
        return _solve_svd(x, rank, truncated_svd)
    decompose: Callable[[Array], tuple[Array, Array, Array]] = truncated_svd
    if layout.rows is not None and not layout.cuts_batch:
        decompose = partial(sharded_svd, layout=layout)
    return over_devices(partial(_solve_svd, decompose=decompose), layout, x, rank)


def _solve_svd(
    x: Array, rank: Array, decompose: Callable[[Array], tuple[Array, Array, Array]]
) -> Result:
    """Do the work of ``solve_svd``; ``decompose`` returns the SVD of one matrix."""

    def single(x: Array) -> Result:
        # Scaling by a power of two keeps the squares in the error from overflowing.
        scale = lax.stop_gradient(power_of_two_near(x))
        x = x / scale
        u, s, v = decompose(x)
        live = jnp.arange(s.shape[0]) < rank
        root = safe_sqrt(jnp.where(live, s, 0))
        factors = Factors(u * root, v * root)
        value = sum_of_squares(x.T - contract(factors.v, factors.u, 1, 1))
        error = relative_error(value, safe_sqrt(sum_of_squares(x.T)))
        num_iters = jnp.zeros((), jnp.int32)
        history = History(num_iters[None], value[None], error[None])
        status = jnp.where(jnp.isfinite(value), Status.CONVERGED, Status.FAILED)
        result = Result(factors, history, num_iters, status.astype(jnp.int32))
        return Units(scale, safe_sqrt(scale)).outward(result)

    return single(x) if x.ndim == 2 else _over_batch(single, x)


def _over_batch(single: Callable[[Any], Result], batch: Any) -> Result:
    """Apply a solver to each problem of a batch, a pytree with a leading batch axis.

    On a CPU the problems run one after the other, since batched small products are slower there
    than single ones. Elsewhere they run at once.
    """
    return lax.platform_dependent(batch, cpu=lambda b: lax.map(single, b), default=jax.vmap(single))


def trim(result: Result, width: int) -> Result:
    """Cut off the padded columns.

    Concrete arrays on one CPU device are cut on the host, since a slice on the device would compile
    once for each rank.
    """
    if result.factors.u.shape[-1] == width:
        return result

    def cut(a: Array) -> Array:
        on_host = checks.is_concrete(a) and {d.platform for d in a.devices()} == {"cpu"}
        if not on_host or len(a.devices()) > 1:
            return a[..., :width]
        return jax.device_put(np.ascontiguousarray(np.asarray(a)[..., :width]))

    def narrowed(factors: Factors) -> Factors:
        return replace(factors, u=cut(factors.u), v=cut(factors.v))

    def narrowed_history(history: History) -> History:
        kept = history.factors
        return history if kept is None else replace(history, factors=narrowed(kept))

    return replace(
        result,
        factors=narrowed(result.factors),
        history=narrowed_history(result.history),
        restarts=None if result.restarts is None else narrowed_history(result.restarts),
    )
