"""The path from the arguments of a front door to a plan, its run, and the trimmed result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.solvers import bcd, bucketed
from lrfjax.solvers.arguments import (
    check_combination,
    check_passes,
    check_record,
    check_start,
    check_tolerances,
    flatten_batch,
    flatten_factors,
    padded_width,
    restore_batch,
)
from lrfjax.solvers.column_kernel import kernel_for
from lrfjax.solvers.constraints import Constraint
from lrfjax.solvers.fit_check import warn_of_scale
from lrfjax.solvers.meshes import refuse_checked_axes
from lrfjax.solvers.model_arguments import Pair, make_models
from lrfjax.solvers.sharding import layout_of
from lrfjax.solvers.starts import Plan
from lrfjax.types import Factors, Result, factors_of


def plan_and_solve(
    x: Array,
    weights: Array | None,
    rank: int | Array,
    *,
    constraints: tuple[Constraint, Constraint],
    num_iters: int,
    tol: float | Array,
    init: Any,
    key: Array | None,
    record_every: int,
    l1: Pair,
    l2: Pair,
    frozen: tuple[Any, Any],
    num_restarts: int,
    num_passes: int | tuple[int, int],
    change_tol: float | Array,
    record: Sequence[str] | None,
    max_rank: int | None = None,
    fit_scale: bool = False,
    fit_offset: bool = False,
    rate: Pair = 0.0,
    joint_moves: bool = False,
    accelerate: bool = False,
    gradient_tol: float | Array = 0.0,
    fixed_length: bool = False,
) -> Result:
    """Check all arguments except the data, plan the solve, run it, and cut off the padding."""
    refuse_checked_axes(x)
    init = factors_of(init)
    # Only the starts from an SVD have no more columns than that.
    has_limit = isinstance(init, str) and init != "random"
    limit = min(x.shape[-2:]) if has_limit else None
    num_iters = checks.integer("num_iters", num_iters, 0)
    record_every = checks.integer("record_every", record_every, 1)
    if num_iters % record_every:
        raise InputError(
            f"record_every must divide num_iters, got {record_every} and num_iters={num_iters}"
        )
    passes = check_passes(num_passes)
    is_traced = not checks.is_concrete(rank)
    width = padded_width(rank, limit, max_rank, min(x.shape[-2:]))
    bucket = bucketed.rank_bucket(width, limit)
    start, given = check_start(init, key, x.shape, width, bucket)
    models = make_models(constraints, l1, l2, rate, frozen, x, width, bucket)
    fields = check_record(record, models)
    tolerances, watch = check_tolerances(tol, change_tol, gradient_tol, models, x.dtype)
    num_restarts = checks.integer("num_restarts", num_restarts, 1)
    check_combination(
        init,
        start,
        models,
        weights,
        num_restarts,
        fit_scale,
        fit_offset,
        joint_moves,
        accelerate,
        fixed_length,
        tolerances,
    )
    layout = layout_of(x)
    # The kernel supports neither weights, nor reverse-mode differentiation, nor arrays that JAX
    # partitions by itself, as it may do inside jit if there are several devices.
    is_whole = layout is None or (layout.rows is None and layout.columns is None)
    is_local = checks.is_concrete(x) or jax.device_count() == 1
    is_plain = weights is None and not fixed_length and is_whole and is_local
    kernel = kernel_for(x.dtype, bucket, models) if is_plain else "xla"
    schedule = bcd.Schedule(
        num_iters,
        record_every,
        fields,
        watch,
        passes,
        bool(joint_moves),
        bool(accelerate),
        bool(fixed_length),
        kernel,
    )
    plan = Plan(start, bucket, num_restarts, bool(fit_scale), bool(fit_offset), schedule)
    # A NumPy scalar of a fixed dtype: a Python int and a jnp.int32 would compile separately.
    live: Any = rank if is_traced else np.int32(rank)
    if layout is not None:
        weights = layout.put(weights, layout.rows, layout.columns)
        given = layout.put_factors(given) if isinstance(given, Factors) else given
        result = bucketed.solve(
            x, weights, given, live, tolerances, models, plan=plan, layout=layout
        )
        return bucketed.trim(result, width)
    result = bucketed.solve(
        flatten_batch(x),
        None if weights is None else flatten_batch(weights),
        flatten_factors(given) if isinstance(given, Factors) else given,
        live,
        tolerances,
        models,
        plan=plan,
    )
    result = bucketed.trim(restore_batch(result, x.shape[:-2]), width)
    if num_iters > 0 and not fit_scale and checks.is_concrete((result, models)):
        warn_of_scale(result, models)
    return result
