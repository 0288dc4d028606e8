"""Block coordinate descent over the columns of U and V: the loop behind all constrained solvers.

One sweep forms A = X V and B = V^T V. For r = 0, 1, ... it then replaces column u_r by the
minimiser of its subproblem: (A_r - sum_{s != r} B_sr u_s) / B_rr, projected on the constraint. The
sum uses the columns already updated. The sweep ends with the same for V, from X^T and the new U
(arXiv 2408.12691, algorithm 1; Cichocki and Phan, 2009, for NMF). Each update minimises over its
column exactly, so the objective never rises.

Factors are stored transposed, (R, M) and (R, N), so that a column is contiguous. They are padded
with zero rows to a static R, and the loop runs over the ``rank`` live rows. The rank may therefore
be traced, and one compilation serves all ranks of a bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers import diagnostics
from lrfjax.solvers.affine import affine_change, fit_affine
from lrfjax.solvers.column_kernel import update_by_kernel
from lrfjax.solvers.columns import update_by_products, update_by_residual
from lrfjax.solvers.constraints import IntegerBox
from lrfjax.solvers.entries import Carry, all_entries, entries_until_stop
from lrfjax.solvers.extrapolation import Extrapolation, begin, extrapolated_step
from lrfjax.solvers.joint_moves import move_pairs
from lrfjax.solvers.numerics import contract
from lrfjax.solvers.problem import Models, Problem, Products, State, project
from lrfjax.solvers.stopping import Tolerances, has_converged
from lrfjax.types import History, Result, Status

T = TypeVar("T")


@dataclass(frozen=True)
class Schedule:
    """The static settings of the loop.

    Attributes:
        num_iters: largest number of sweeps.
        record_every: number of sweeps between two entries of the history, a divisor of
            ``num_iters``. The stopping tests run only when an entry is made.
        record: optional fields of the history to keep.
        watch: further fields, computed for the stopping tests and not kept.
        num_passes: number of passes over the columns of U, and over those of V, in a sweep.
        joint_moves: whether a sweep also moves integers in pairs, once for each factor.
        accelerate: whether sweeps start from extrapolated factors.
        fixed_length: whether to run all sweeps, over padded columns as well, so that the loop has
            static bounds and allows reverse-mode differentiation.
        kernel: method of the column updates on a CUDA GPU, see ``column_kernel``. Other devices,
            and problems with weights, always use the loop over columns.
    """

    num_iters: int
    record_every: int = 1
    record: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    num_passes: tuple[int, int] = (1, 1)
    joint_moves: bool = False
    accelerate: bool = False
    fixed_length: bool = False
    kernel: str = "xla"


def step(
    problem: Problem, state: State, rank: Array | int, models: Models, schedule: Schedule
) -> tuple[State, Products | None]:
    """Run one sweep: update all live columns of U, then of V, then the scale and the offset.

    Args:
        problem: from ``prepare``.
        state: factors to start from; they need not be feasible.
        rank: number of live columns.
        models: models of U and of V.
        schedule: settings of the sweep.

    Returns:
        The new state, and the products that the update of V used; None with weights.
    """
    ut, vt, scale, offset = state.ut, state.vt, state.scale, state.offset
    num_columns = ut.shape[0] if schedule.fixed_length else rank
    # The updates fit (X - offset) / scale, so the whole objective is divided by scale^2, the
    # penalties included.
    weight: Array | float = 1.0
    if scale is not None:
        weight = jnp.minimum(1 / (scale * scale), jnp.finfo(ut.dtype).max)

    def noise(norm: Array, length: Array | float) -> Array:
        """Return a bound of the norm of rows of (X - offset) / scale from that of rows of X."""
        if offset is not None:
            norm = norm + jnp.abs(offset) * length**0.5
        return norm if scale is None else norm / jnp.abs(scale)

    def by_products(
        products: Array, partner: Array, factor: Array, side: int, norm: Array
    ) -> tuple[Array, Array]:
        """Update one factor; return it and the Gram matrix of its partner."""
        gram = contract(partner, partner, 1, 1)
        if offset is not None:
            products = products - offset * jnp.sum(partner, axis=1)[:, None]
        if scale is not None:
            products = products / scale
        common = (rank, num_columns, models[side], noise(norm, partner.shape[1]), weight)
        num_passes = schedule.num_passes[side]
        update = partial(update_by_products, num_passes=num_passes)
        if schedule.kernel == "pallas":
            kernel = partial(update_by_kernel, num_passes=num_passes)
            # Arrays may lie on the CPU of a machine with a GPU.
            update = partial(lax.platform_dependent, cuda=kernel, default=update)
        factor = update(products, gram, factor, *common)
        if schedule.joint_moves and isinstance(models[side].constraint, IntegerBox):
            factor = move_pairs(products, gram, factor, *common)
        return factor, gram

    def by_residual(
        x: Array, weights: Array, unit: Array, factors: tuple[Array, Array], side: int
    ) -> Array:
        """Update one factor under weights; the last axis of ``x`` is that of the factor."""
        factor, partner = factors
        target = x if offset is None else x - offset
        target = target if scale is None else target / scale
        norm = problem.row_norm if side == 0 else problem.column_norm
        norm = noise(norm, jnp.sum(weights, axis=0))
        return update_by_residual(
            target, weights, partner, factor, rank, num_columns, models[side], norm,
            weight, unit, schedule.num_passes[side],
        )  # fmt: skip

    products = None
    if problem.weights is None:
        xv = contract(vt * problem.unit, problem.xt, 1, 0)
        ut, _ = by_products(xv, vt, ut, 0, problem.row_norm)
        xu = contract(ut, problem.x, 1, 0)
        vt, uu = by_products(xu, ut, vt, 1, problem.column_norm)
        products = Products(xu, uu)
    else:
        weights = problem.weights
        ut = by_residual(problem.xt * problem.unit, weights.of_rows, weights.row_unit, (ut, vt), 0)
        vt = by_residual(problem.x, weights.of_columns, weights.column_unit, (vt, ut), 1)
    if scale is not None or offset is not None:
        scale, offset = fit_affine(problem, State(ut, vt, scale, offset), products)
    return State(ut, vt, scale, offset), products


def solve(
    problem: Problem,
    start: State,
    rank: Array | int,
    tolerances: Tolerances,
    models: Models,
    schedule: Schedule,
) -> Result:
    """Run sweeps until convergence, at most ``schedule.num_iters``.

    Real and non-negative factors start from the projected start. Integer factors start from the
    start as given, since the paper's first U sweep uses the real-valued V. Entry 0 of the history
    describes the rounded start; if the first sweep ends above it, the rounded start replaces the
    sweep.

    Args:
        problem: from ``prepare``.
        start: transposed factors of shapes (R, M) and (R, N), zero from row ``rank`` on; with a
            scale or an offset if these are fitted.
        rank: number of live columns, at most R.
        tolerances: tolerances of the stopping tests.
        models: models of U and of V.
        schedule: static settings.

    Returns:
        A ``Result`` with factors of R columns, zero from column ``rank`` on.
    """
    is_discrete = any(m.constraint.is_discrete for m in models)
    num_entries = schedule.num_iters // schedule.record_every
    fields = tuple(sorted({*schedule.record, *schedule.watch}))

    def is_sound(entry: History) -> Array:
        """Return whether the error of an entry is finite; relative to X = 0 it never is."""
        error = jnp.where(problem.norm == 0, entry.objective, entry.relative_error)
        return jnp.isfinite(error) & ~jnp.isnan(entry.objective)

    def describe(state: State, before: State, sweep: Array | int) -> History:
        return diagnostics.record(problem, state, before, sweep, rank, models, fields)

    def sweep_once(state: State) -> State:
        return step(problem, state, rank, models, schedule)[0]

    def sweep_and_judge(state: State) -> tuple[State, Array]:
        new, products = step(problem, state, rank, models, schedule)
        return new, diagnostics.objective(problem, new, models, products)

    def advance_plainly(old: State, before: History, entry: Array) -> tuple[State, History]:
        new = _repeat(sweep_once, old, schedule)
        sweep = entry * schedule.record_every
        after = describe(new, old, sweep)
        if is_discrete:
            rises = after.objective > before.objective
            new = lax.cond(rises, lambda: project(old, models, rank), lambda: new)
            after = jax.tree.map(lambda a, b: jnp.where(rises, b, a), after, before)
            after = diagnostics.with_changes(replace(after, sweeps=sweep), old, new, fields)
        return new, after

    def advance_ahead(old: Extrapolation, entry: Array) -> tuple[Extrapolation, History]:
        new = _repeat(
            partial(
                extrapolated_step,
                sweep=sweep_and_judge,
                models=models,
                rank=rank,
            ),
            old,
            schedule,
        )
        return new, describe(new.accepted, old.accepted, entry * schedule.record_every)

    def advance(carry: Carry) -> Carry:
        entry = carry.num_recorded + 1
        is_undecided: Array | bool = False
        state: State | Extrapolation
        if isinstance(carry.state, Extrapolation):
            state, after = advance_ahead(carry.state, entry)
            is_undecided = state.was_dropped
            moved = affine_change(problem, carry.state.accepted, state.accepted)
        else:
            state, after = advance_plainly(carry.state, carry.last, entry)
            moved = affine_change(problem, carry.state, state)
        # The first integer sweep starts from factors that entry 0 does not describe.
        is_comparable = (carry.num_recorded > 0) | (not is_discrete)
        stop = has_converged(first, carry.last, after, moved, tolerances, is_comparable)
        stop = (stop & ~jnp.asarray(is_undecided)) | ~is_sound(after)
        return Carry(state, after, entry, stop)

    feasible = project(start, models, rank)
    first = describe(feasible, feasible, 0)
    origin: State | Extrapolation = feasible
    if schedule.accelerate:
        origin = begin(feasible, diagnostics.objective(problem, feasible, models))
    elif is_discrete and num_entries > 0:
        origin = start
    zero = jnp.zeros((), jnp.int32)
    begun = Carry(origin, first, zero, ~is_sound(first))
    loop = all_entries if schedule.fixed_length else entries_until_stop
    end, history = loop(advance, begun, num_entries, schedule.record)
    failed = ~is_sound(end.last)
    is_converged = end.stop & (not schedule.fixed_length)
    status = jnp.where(
        failed, Status.FAILED, jnp.where(is_converged, Status.CONVERGED, Status.ITERATION_LIMIT)
    )
    final = end.state.accepted if isinstance(end.state, Extrapolation) else end.state
    num_iters = end.num_recorded * schedule.record_every
    return Result(final.factors(), history, num_iters, status.astype(jnp.int32))


def _repeat(sweep: Callable[[T], T], state: T, schedule: Schedule) -> T:
    """Run the sweeps between two entries of the history."""
    # Reverse mode computes a sweep again instead of keeping all its columns.
    once = jax.checkpoint(sweep) if schedule.fixed_length else sweep
    return lax.fori_loop(0, schedule.record_every, lambda _, s: once(s), state)
