"""The only loop: sweeps, entries of the history, and when to stop.

``begin``, ``advance`` and ``result_of`` are the loop's three parts. ``run`` is the loop itself.
What a sweep does is up to a ``Method``, when to stop up to a ``Stop``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.pytrees import register
from lrfjax.solvers import record
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import Model
from lrfjax.solvers.numerics import with_row
from lrfjax.solvers.problem import Problem, State
from lrfjax.solvers.rows import entries_of, row_of
from lrfjax.solvers.stopping import FixedPoint, Stop
from lrfjax.types import Factors, History, Result, Status


@dataclass(frozen=True)
class Schedule:
    """The static settings of the loop.

    Attributes:
        num_entries: largest number of entries of the history, entry 0 not counted.
        record_every: number of sweeps between two entries. The stopping rules are asked only when
            an entry is made.
        record: optional fields of the history to keep.
        own: what else to keep, see ``Record``.
        watch: further fields, computed for the stopping rules and not kept.
        fixed_length: whether to run all sweeps, in a loop that allows reverse-mode differentiation.
    """

    num_entries: int
    record_every: int = 1
    record: tuple[str, ...] = ()
    own: tuple[tuple[str, Callable[[Factors], Array]], ...] = ()
    watch: tuple[str, ...] = ()
    fixed_length: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are computed."""
        return tuple(sorted({*self.record, *self.watch}))


@register
@dataclass(frozen=True)
class Task:
    """What does not change during a solve.

    Attributes:
        problem: from ``prepare``.
        rank: number of live columns.
        model: what is minimised.
        method: how a sweep is made.
        stop: stopping rule; None to stop only where nothing changes.
    """

    problem: Problem
    rank: Array | int
    model: Model
    method: Method
    stop: Stop | None


@register
@dataclass(frozen=True)
class Progress:
    """What changes during a solve.

    Attributes:
        memory: memory of the method.
        first: entry 0 of the history.
        last: entry ``num_recorded`` of the history, with the fields that are only watched.
        history: rows of the entries so far, see ``rows``, with room for ``num_entries + 1``.
        num_recorded: number of entries after entry 0.
        is_done: whether ``last`` is the final entry, because of a rule or a failure.
    """

    memory: Any
    first: History
    last: History
    history: list[Array]
    num_recorded: Array
    is_done: Array


def begin(task: Task, start: State, schedule: Schedule) -> Progress:
    """Return the progress before the first sweep.

    Args:
        task: what to solve.
        start: transposed factors of shapes (R, M) and (R, N), zero from row ``rank`` on; with a
            scale or an offset if these are fitted. They need not be feasible; entry 0 describes the
            nearest feasible factors.
        schedule: static settings.
    """
    memory = task.method.init(task.problem, task.model, start, task.rank)
    feasible = task.model.project(task.method.state(memory), task.rank)
    first = _describe(task, feasible, 0, schedule)
    first = record.with_changes(task.problem, first, None, feasible, schedule.fields)
    row = row_of(_kept(first, schedule))
    history = [jnp.broadcast_to(a, (schedule.num_entries + 1, *a.shape)) for a in row]
    zero = jnp.zeros((), jnp.int32)
    return Progress(memory, first, first, history, zero, ~_is_sound(task, first))


def advance(task: Task, progress: Progress, schedule: Schedule) -> Progress:
    """Run the sweeps up to the next entry of the history, make it, and ask the stopping rules."""
    method, model, rank = task.method, task.model, task.rank
    old, before = progress.memory, progress.last

    def sweep(_: Any, memory: Any) -> Any:
        return method.step(task.problem, model, memory, rank)

    # Reverse mode computes a sweep again instead of keeping all its columns.
    once = jax.checkpoint(sweep) if schedule.fixed_length else sweep
    new = lax.fori_loop(0, schedule.record_every, once, old)
    entry = progress.num_recorded + 1
    after = _describe(task, method.state(new), entry * schedule.record_every, schedule)
    if model.is_discrete and method.descends and isinstance(old, State):
        # The first integer sweep starts from the start as given. If it ends above the rounded
        # start, that one replaces it. Later sweeps rise by rounding at most.
        rises = after.objective > before.objective
        new = lax.cond(rises, lambda: model.project(old, rank), lambda: new)
        undone = record.without_changes(replace(before, sweeps=after.sweeps))
        after = jax.tree.map(lambda a, b: jnp.where(rises, b, a), after, undone)
    after = record.with_changes(
        task.problem, after, method.state(old), method.state(new), schedule.fields
    )
    is_done = ~_is_sound(task, after)
    if not schedule.fixed_length:
        is_done |= _has_converged(task, progress, after) & method.is_settled(new)
    row = row_of(_kept(after, schedule))
    history = [with_row(h, entry, a) for h, a in zip(progress.history, row, strict=True)]
    return Progress(new, progress.first, after, history, entry, is_done)


def run(task: Task, progress: Progress, schedule: Schedule) -> Progress:
    """Advance until a rule says stop, or the history is full."""
    if schedule.num_entries == 0:
        return progress

    def body(progress: Progress) -> Progress:
        return advance(task, progress, schedule)

    if schedule.fixed_length:
        return lax.scan(lambda p, _: (body(p), None), progress, None, schedule.num_entries)[0]
    return lax.while_loop(lambda p: ~is_finished(p, schedule), body, progress)


def is_finished(progress: Progress, schedule: Schedule) -> Array:
    """Return whether there is nothing left to do."""
    return progress.is_done | (progress.num_recorded >= schedule.num_entries)


def result_of(task: Task, progress: Progress, schedule: Schedule) -> Result:
    """Return the result so far, with factors of R columns, zero from column ``rank`` on."""
    state = task.model.project(task.method.state(progress.memory), task.rank)
    is_past = jnp.arange(schedule.num_entries + 1, dtype=jnp.int32) > progress.num_recorded
    last = _kept(progress.last, schedule)

    def hold(h: Array, a: Array) -> Array:
        return jnp.where(is_past.reshape(-1, *[1] * a.ndim), a, h)

    rows = [hold(h, a) for h, a in zip(progress.history, row_of(last), strict=True)]
    history = entries_of(rows, last)
    failed = ~_is_sound(task, progress.last)
    # With a fixed length, nothing but a failure ends a solve.
    ended = jnp.where(progress.is_done, Status.CONVERGED, Status.ITERATION_LIMIT)
    status = jnp.where(failed, Status.FAILED, ended).astype(jnp.int32)
    num_iters = progress.num_recorded * schedule.record_every
    return Result(state.factors(), history, num_iters, status)


def _describe(task: Task, state: State, sweep: Array | int, schedule: Schedule) -> History:
    """Return an entry of the history without changes, with the caller's own values."""
    entry = record.describe(task.problem, state, sweep, task.rank, task.model, schedule.fields)
    if not schedule.own:
        return entry
    factors = state.factors()
    return replace(entry, own={name: jnp.asarray(f(factors)) for name, f in schedule.own})


def _kept(entry: History, schedule: Schedule) -> History:
    """Return an entry without the fields that are only watched."""
    dropped = {name: None for name in record.RECORDABLE if name not in schedule.record}
    return replace(entry, **dropped)  # type: ignore[arg-type]


def _is_sound(task: Task, entry: History) -> Array:
    """Return whether the error of an entry is finite; relative to X = 0 it never is."""
    error = jnp.where(task.problem.norm == 0, entry.objective, entry.relative_error)
    return jnp.isfinite(error) & ~jnp.isnan(entry.objective)


def _has_converged(task: Task, progress: Progress, after: History) -> Array:
    """Return whether nothing changes any more, or the stopping rule is met."""
    stop = jnp.asarray(False)
    if task.stop is not None:
        # The first integer sweep starts from factors that entry 0 does not describe.
        is_comparable = (progress.num_recorded > 0) | (not task.model.is_discrete)
        stop = task.stop(progress.first, progress.last, after) & is_comparable
    # A method that does not descend may go on, in its memory, while no integer changes.
    if after.num_changed is not None and task.method.descends:
        stop = stop | FixedPoint()(progress.first, progress.last, after)
    return stop
