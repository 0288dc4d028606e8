"""Jitted solves over rank buckets and batches: what stands between a front door and the loop.

Factors are padded to a bucket of ranks, so that one compilation serves them all, X is scaled where
that is free, the start is made, and a batch is run in the way that suits the backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax import checks
from lrfjax.solvers import bcd
from lrfjax.solvers.constraints import Constraint
from lrfjax.solvers.diagnostics import relative_error
from lrfjax.solvers.initialize import nndsvd_start, random_start, svd_start
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


@partial(jax.jit, static_argnames=("start", "num_iters", "record_every", "bucket"))
def solve(
    x: Array,
    given: Factors | Array | None,
    rank: Array,
    tol: Array,
    constraints: tuple[Constraint, Constraint],
    *,
    start: str,
    num_iters: int,
    record_every: int,
    bucket: int,
) -> Result:
    """Solve one problem (x of two axes) or a batch of them (three)."""

    def single(x: Array, factors: Factors | None) -> Result:
        # Cones admit any scaling, so X is brought near 1 by a power of two and no square of an
        # entry overflows or vanishes.
        is_cone = all(c.is_cone for c in constraints)
        scale = lax.stop_gradient(power_of_two_near(x)) if is_cone else jnp.ones((), x.dtype)
        x = x / scale
        if factors is not None:
            root = jnp.sqrt(scale)
            ut, vt = factors.u.T.astype(x.dtype) / root, factors.v.T.astype(x.dtype) / root
        elif start == "svd":
            ut, vt = svd_start(x, bucket, constraints[1].wider_side())
        elif start == "nndsvd":
            ut, vt = nndsvd_start(x, bucket)
        else:
            assert isinstance(given, Array)
            ut, vt = random_start(given, x, bucket, rank, constraints)
        live = jnp.arange(bucket)[:, None] < rank
        ut, vt = jnp.where(live, ut, 0), jnp.where(live, vt, 0)
        result = bcd.solve(x, ut, vt, rank, tol, constraints, num_iters, record_every)
        return _rescale(result, scale)

    return _over_batch(single, x, given if isinstance(given, Factors) else None)


@jax.jit
def solve_svd(x: Array, rank: Array) -> Result:
    """Return the SVD of one matrix or a batch as a ``Result`` of min(M, N) columns."""

    def single(x: Array, _: Factors | None) -> Result:
        # The powers of two keep the squares in the error from overflowing.
        scale = power_of_two_near(x)
        x = x / scale
        u, s, v = truncated_svd(x)
        live = jnp.arange(s.shape[0]) < rank
        root = jnp.sqrt(jnp.where(live, s, 0))
        factors = Factors(u * root, v * root)
        value = sum_of_squares(x.T - contract(factors.v, factors.u, 1, 1))
        error = relative_error(value, jnp.sqrt(sum_of_squares(x.T)))
        history = History(value[None], error[None], None, None, None)
        status = jnp.where(jnp.isfinite(value), Status.CONVERGED, Status.FAILED)
        num_iters = jnp.zeros((), jnp.int32)
        return _rescale(Result(factors, history, num_iters, status.astype(jnp.int32)), scale)

    return _over_batch(single, x, None)


def _rescale(result: Result, scale: Array) -> Result:
    """Turn the result for X / scale into that for X."""
    root = jnp.sqrt(scale)
    history = result.history
    gradient = history.projected_gradient
    return replace(
        result,
        factors=Factors(result.factors.u * root, result.factors.v * root),
        history=replace(
            history,
            objective=history.objective * scale * scale,
            projected_gradient=None if gradient is None else gradient * scale * root,
        ),
    )


def _over_batch(
    single: Callable[[Array, Factors | None], Result], x: Array, factors: Factors | None
) -> Result:
    """Apply a solver to a matrix, or to each of a batch.

    On a CPU one problem after the other: batched small products are slower there than single
    ones. Elsewhere all at once.
    """
    if x.ndim == 2:
        return single(x, factors)
    return lax.platform_dependent(
        x,
        factors,
        cpu=lambda x, f: lax.map(lambda pair: single(*pair), (x, f)),
        default=jax.vmap(single),
    )


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

    return replace(result, factors=Factors(cut(factors.u), cut(factors.v)))
