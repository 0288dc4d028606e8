"""The path from the arguments of a front door to a plan, its run, and the trimmed result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.solvers import drive
from lrfjax.solvers.execute import solve as solving
from lrfjax.solvers.execute.fit_check import warn_of_scale
from lrfjax.solvers.execute.meshes import refuse_checked_axes
from lrfjax.solvers.execute.part_checks import (
    check_method,
    check_model,
    check_record,
    check_stop,
)
from lrfjax.solvers.execute.shapes import (
    check_data,
    flatten_batch,
    flatten_factors,
    padded_width,
    restore_batch,
    trim,
)
from lrfjax.solvers.execute.sharding import layout_of
from lrfjax.solvers.execute.start_checks import check_start, resolve_start
from lrfjax.solvers.methods.column_kernel import kernel_for
from lrfjax.solvers.starts.start import Start
from lrfjax.types import Factors, Result


@dataclass(frozen=True)
class Call:
    """A call of a solver after all checks.

    Attributes:
        data: what differs between problems, batch axes merged.
        parts: what they share.
        plan: static settings.
        width: number of columns of the result.
        batch: batch axes of X.
    """

    data: solving.Data
    parts: solving.Parts
    plan: solving.Plan
    width: int
    batch: tuple[int, ...]

    def solve(self) -> Result:
        """Run the solve."""
        result, progress = solving.solve(self.data, self.parts, plan=self.plan)
        result = self.shaped(result, progress)
        is_scaled = self.plan.schedule.num_entries > 0 and not self.parts.model.fit_scale
        if is_scaled and checks.is_concrete((result, self.parts.model)):
            warn_of_scale(result, self.parts.model)
        return result

    def proceed(self, progress: drive.Progress, num_iters: int, parts: solving.Parts) -> Result:
        """Go on from the end of an earlier run, for more sweeps."""
        schedule = self.plan.schedule
        more = _entries(num_iters, schedule.record_every)
        schedule = replace(schedule, num_entries=_end(progress, schedule.num_entries) + more)
        plan = replace(self.plan, schedule=schedule, structure=_structure(parts))
        call = replace(self, parts=parts, plan=plan)
        progress = with_room(progress, schedule.num_entries)
        result, progress = solving.proceed(self.data, progress, parts, plan=call.plan)
        return call.shaped(result, progress)

    def shaped(self, result: Result, progress: drive.Progress) -> Result:
        """Return a result in the shape of X, which knows how to go on."""
        is_flat = self.plan.layout is None
        result = restore_batch(result, self.batch) if is_flat else result
        result = trim(result, self.width)
        object.__setattr__(result, "origin", Origin(self, progress))
        return result


@dataclass(frozen=True)
class Origin:
    """What ``resume`` needs: the call of a solver, and the end of its loop."""

    call: Call
    progress: drive.Progress


def with_room(progress: drive.Progress, num_entries: int) -> drive.Progress:
    """Return progress whose history has room for a number of entries after entry 0."""

    def fitted(h: Array) -> Array:
        axis = progress.num_recorded.ndim
        kept = jax.lax.slice_in_dim(h, 0, min(h.shape[axis], num_entries + 1), axis=axis)
        last = jax.lax.slice_in_dim(kept, kept.shape[axis] - 1, kept.shape[axis], axis=axis)
        more = num_entries + 1 - kept.shape[axis]
        shape = (*h.shape[:axis], more, *h.shape[axis + 1 :])
        return jnp.concatenate([kept, jnp.broadcast_to(last, shape)], axis=axis)

    return replace(progress, history=jax.tree.map(fitted, progress.history))


def _end(progress: drive.Progress, num_entries: int) -> int:
    """Return the entry from which a solve goes on: the last one of the problems that do.

    That is before the limit if a callback stopped the solve, or a rule that is now replaced.
    """
    if not checks.is_concrete(progress) or bool(jnp.all(progress.is_done)):
        return num_entries
    return int(jnp.max(jnp.where(progress.is_done, 0, progress.num_recorded)))


def plan_call(
    x: Any,
    rank: int | Array,
    *,
    model: Any,
    method: Any,
    start: Any,
    stop: Any,
    record: Any,
    num_iters: int,
    record_every: int,
    weights: Any,
    key: Any,
    num_restarts: int = 1,
    max_rank: int | None = None,
    fixed_length: bool = False,
    start_name: str = "start",
) -> Call:
    """Check all arguments and plan the solve."""
    x, weights = check_data(x, weights)
    refuse_checked_axes(x)
    num_iters = checks.integer("num_iters", num_iters, 0)
    record_every = checks.integer("record_every", record_every, 1)
    num_restarts = checks.integer("num_restarts", num_restarts, 1)
    begin = resolve_start(start_name, start, key)
    # Only the starts from an SVD have no more columns than that.
    has_limit = isinstance(begin, Start) and begin.has_rank_limit
    limit = min(x.shape[-2:]) if has_limit else None
    width = padded_width(rank, limit, max_rank, min(x.shape[-2:]))
    bucket = solving.rank_bucket(width, limit)
    is_weighted = weights is not None
    model = check_model(model, x, weights, width, bucket)
    method = check_method(method, model, is_weighted, x.dtype)
    stop, watch = check_stop(stop, model, x.dtype, fixed_length)
    wanted = check_record(record, model)
    checked, factors = check_start(
        start_name, begin, model, num_restarts, x.shape, width, bucket, x.dtype
    )
    assert wanted.fields is not None
    schedule = drive.Schedule(
        _entries(num_iters, record_every), record_every, wanted.fields, wanted.own, watch,
        bool(fixed_length),
    )  # fmt: skip
    layout, batch = layout_of(x), x.shape[:-2]
    # The kernel supports neither weights, nor reverse-mode differentiation, nor arrays that JAX
    # partitions by itself, as it may do inside jit if there are several devices.
    is_whole = layout is None or (layout.rows is None and layout.columns is None)
    is_local = checks.is_concrete(x) or jax.device_count() == 1
    is_plain = not is_weighted and not fixed_length and is_whole and is_local
    kernel = kernel_for(x.dtype, bucket, model) if is_plain else "xla"
    # A NumPy scalar of a fixed dtype: a Python int and a jnp.int32 would compile separately. All
    # indices are int32, so that none meets another dtype under strict promotion.
    live: Any = np.int32(rank) if checks.is_concrete(rank) else jnp.asarray(rank, jnp.int32)
    parts = solving.Parts(live, model, method, stop, checked)
    plan = solving.Plan(bucket, num_restarts, schedule, kernel, layout, _structure(parts))
    if layout is not None:
        weights = layout.put(weights, layout.rows, layout.columns)
        factors = layout.put_factors(factors) if isinstance(factors, Factors) else factors
        return Call(solving.Data(x, weights, factors), parts, plan, width, batch)
    if x.ndim > 3:
        x, weights = flatten_batch(x), None if weights is None else flatten_batch(weights)
        factors = None if factors is None else flatten_factors(factors)
    return Call(solving.Data(x, weights, factors), parts, plan, width, batch)


def _entries(num_iters: int, record_every: int) -> int:
    """Return the number of entries of the history for a number of sweeps."""
    if num_iters % record_every:
        raise InputError(
            f"record_every must divide num_iters, got {record_every} and num_iters={num_iters}"
        )
    return num_iters // record_every


def _structure(parts: solving.Parts) -> str:
    return str(jax.tree.structure(parts))
