"""Jitted solves over rank buckets and batches: the layer between the front doors and the loop.

This layer pads factors to a bucket of ranks, so that one compilation serves them all. It scales X
if the model allows that, makes the start, and runs a batch in the way that suits the backend. It
knows no options: the parts of a solve come to it and go on to the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.pytrees import register
from lrfjax.solvers import drive
from lrfjax.solvers.execute.sharding import Layout, over_devices
from lrfjax.solvers.execute.units import Units
from lrfjax.solvers.methods.affine import round_mean
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import Model
from lrfjax.solvers.numerics import power_of_two_near, refuse_gradient
from lrfjax.solvers.problem import Execution, prepare, split_weights
from lrfjax.solvers.starts.missing import fill_missing
from lrfjax.solvers.starts.place import given, placed
from lrfjax.solvers.starts.start import Start
from lrfjax.solvers.stopping import Stop
from lrfjax.types import Factors, History, Result

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


@dataclass(frozen=True)
class Plan:
    """The static settings of a solve; each plan compiles once for each shape of X.

    Attributes:
        bucket: number of columns of the padded factors.
        num_restarts: number of starts.
        schedule: static settings of the loop.
        kernel: method of the column updates on a CUDA GPU, see ``column_kernel``.
        layout: placement of X on several devices; None for one.
        structure: the types of the parts and what is static in them. Structures of pytrees with
            parts from outside the package may compare equal by mistake, see ``pytrees.register``.
    """

    bucket: int
    num_restarts: int
    schedule: drive.Schedule
    kernel: str = "xla"
    layout: Layout | None = None
    structure: str = ""

    @property
    def execution(self) -> Execution:
        """How the arithmetic is carried out."""
        shards = None if self.layout is None else self.layout.row_shards
        return Execution(shards, self.kernel, self.schedule.fixed_length)


@register
@dataclass(frozen=True)
class Data:
    """What differs between the problems of a batch.

    Attributes:
        x: X, shape (M, N), or (B, M, N) for a batch, floating point; any number of batch axes with
            a layout.
        weights: shape of ``x``, non-negative, or None; ``x`` is zero where they are zero.
        factors: factors to start from, of ``plan.bucket`` columns, or None.
    """

    x: Array
    weights: Array | None = None
    factors: Factors | None = None


@register
@dataclass(frozen=True)
class Parts:
    """What all problems of a batch share.

    Attributes:
        rank: number of live columns.
        model: what is minimised.
        method: how a sweep is made.
        stop: stopping rule, or None.
        start: where a solve begins; None for given factors.
    """

    rank: Array
    model: Model
    method: Method
    stop: Stop | None = None
    start: Start | None = None


@register
@dataclass(frozen=True)
class InUnits(Stop):
    """A stopping rule that sees the history in the units of X."""

    stop: Stop
    units: Units

    def __call__(self, first: History, before: History, after: History) -> Array:
        """Ask the rule."""
        return self.stop(*map(self.units.entries, (first, before, after)))


@partial(jax.jit, static_argnames="plan")
def solve(data: Data, parts: Parts, *, plan: Plan) -> tuple[Result, drive.Progress]:
    """Solve one problem or a batch; return the result and the end of the loop, to go on from it."""
    return over_problems(lambda data, parts: _solve_one(data, parts, plan), data, parts, plan)


@partial(jax.jit, static_argnames="plan")
def proceed(
    data: Data, progress: drive.Progress, parts: Parts, *, plan: Plan
) -> tuple[Result, drive.Progress]:
    """Go on from the end of an earlier solve, whose history has room for more entries now."""

    def one(pair: tuple[Data, drive.Progress], parts: Parts) -> tuple[Result, drive.Progress]:
        data, progress = pair
        pose = Pose.of(data, parts, plan)
        progress = drive.run(pose.task, progress, pose.schedule)
        return pose.result(progress), progress

    return over_problems(one, (data, progress), parts, plan)


def over_problems(one: Callable[[Any, Any], Any], each: Any, shared: Any, plan: Plan) -> Any:
    """Apply a function to one problem or each of a batch, on one device or several.

    Args:
        one: function of the two next arguments, for one problem.
        each: pytree that begins with ``Data`` or a ``Task``, of one problem or a batch.
        shared: pytree that all problems share.
        plan: static settings.
    """

    def program(each: Any, parts: Any) -> Any:
        first = each[0] if isinstance(each, tuple) else each
        x = first.x if isinstance(first, Data) else first.problem.x
        if x.ndim == 2:
            return one(each, parts)
        return over_batch(lambda problem: one(problem, parts), each)

    if plan.layout is None:
        return program(each, shared)
    return over_devices(program, plan.layout, each, shared)


@dataclass(frozen=True)
class Pose:
    """One problem as the loop sees it, scaled and prepared.

    Attributes:
        task: what to solve.
        units: what X was divided by.
        schedule: static settings of the loop, with functions that see factors in the units of X.
    """

    task: drive.Task
    units: Units
    schedule: drive.Schedule

    @classmethod
    def of(cls, data: Data, parts: Parts, plan: Plan) -> Pose:
        """Scale and prepare a problem."""
        model, x, weights = parts.model, data.x, data.weights
        x = refuse_gradient(x) if model.is_discrete else x
        # Cones and a fitted scale admit any scaling: a power of two brings X near 1, so that no
        # square of an entry overflows or vanishes.
        one = jnp.ones((), x.dtype)
        degrees = [model.loss.degree, *(p.degree for p in model.penalties)]
        is_scalable = (model.is_cone or model.fit_scale) and None not in degrees
        is_near_one = model.is_cone and is_scalable
        unit = power_of_two_near(lax.stop_gradient(x)) if is_scalable else one
        degree = 2.0 if model.loss.degree is None else model.loss.degree
        units = Units(unit, jnp.sqrt(unit) if is_near_one else one, degree=degree)
        x = x / unit
        split = None
        if weights is not None:
            split = split_weights(weights)
            weights = weights / split.unit
            units = replace(units, weight=split.unit)
        if model.fit_offset:
            shift = round_mean(x, weights)
            x = x - shift if weights is None else jnp.where(weights > 0, x - shift, 0)
            units = replace(units, shift=shift)
        problem = prepare(x, split, units.shift, is_near_one=is_near_one, execution=plan.execution)
        stop = parts.stop
        if stop is not None and not stop.is_relative:
            stop = InUnits(stop, units)
        task = drive.Task(problem, parts.rank, units.scaled(model), parts.method, stop)
        return cls.resumed(task, units, plan)

    @classmethod
    def resumed(cls, task: drive.Task, units: Units, plan: Plan) -> Pose:
        """Return the pose of a task that was made before."""

        def in_units(own: Callable[[Factors], Array]) -> Callable[[Factors], Array]:
            return lambda factors: own(units.restored(factors))

        own = tuple((name, in_units(function)) for name, function in plan.schedule.own)
        return cls(task, units, replace(plan.schedule, own=own))

    def begin(self, data: Data, start: Start | None, plan: Plan) -> drive.Progress:
        """Return the progress before the first sweep, from given factors or a start."""
        problem, model, rank = self.task.problem, self.task.model, self.task.rank
        if data.factors is not None:
            state = given(problem, self.units.inward(data.factors), model, rank)
            return drive.begin(self.task, state, self.schedule)
        assert start is not None
        near_one = problem.xt.T
        if data.weights is not None:
            near_one = fill_missing(problem.x / problem.unit, data.weights / self.units.weight)
        offset = problem.total / problem.count if model.fit_offset else None
        state = placed(start, near_one, problem.unit, offset, plan.bucket, rank, model)
        return drive.begin(self.task, state, self.schedule)

    def result(self, progress: drive.Progress) -> Result:
        """Return the result so far, in the units of X."""
        return self.units.outward(drive.result_of(self.task, progress, self.schedule))


def _solve_one(data: Data, parts: Parts, plan: Plan) -> tuple[Result, drive.Progress]:
    pose = Pose.of(data, parts, plan)
    if plan.num_restarts == 1:
        progress = pose.begin(data, parts.start, plan)
        progress = drive.run(pose.task, progress, pose.schedule)
        return pose.result(progress), progress
    assert parts.start is not None
    starts = parts.start.variants(plan.num_restarts, parts.model)
    # vmap batches only what differs between the starts, so all share one decomposition.
    begun = jax.vmap(lambda start: pose.begin(data, start, plan))(starts)
    ends = over_batch(lambda p: drive.run(pose.task, p, pose.schedule), begun)
    results = jax.vmap(lambda p: drive.result_of(pose.task, p, pose.schedule))(ends)
    # Compared before rescaling: in the unit of X, squares may leave the range of the dtype.
    final = results.history.objective[:, -1]
    best = jnp.argmin(jnp.where(jnp.isfinite(final), final, jnp.inf))
    restarts = pose.units.entries(results.history)
    result, progress = jax.tree.map(lambda a: a[best], (results, ends))
    return replace(pose.units.outward(result), restarts=restarts), progress


def over_batch(single: Callable[[Any], Any], batch: Any) -> Any:
    """Apply a solver to each problem of a batch, a pytree with a leading batch axis.

    On a CPU the problems run one after the other, since batched small products are slower there
    than single ones. Elsewhere they run at once.
    """
    return lax.platform_dependent(batch, cpu=lambda b: lax.map(single, b), default=jax.vmap(single))
