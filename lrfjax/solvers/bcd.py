"""Block coordinate descent over the columns of U and V: the one loop behind IMF, NMF and Real.

One sweep forms A = X V and B = V^T V, then for r = 0, 1, ... replaces column u_r by the minimiser
of its subproblem, the projection of (A_r - sum_{s != r} B_sr u_s) / B_rr on the constraint, with
the columns already updated; then the same for V with X^T and the new U (arXiv 2408.12691,
algorithm 1; Cichocki and Phan, 2009, for NMF). Each update minimises over its column exactly, so
the objective never rises.

Factors are stored transposed, (R, M) and (R, N), so that a column is contiguous, and padded with
zero rows to a static R; the loop runs over the ``rank`` live ones. So the rank may be traced, and
one compilation serves all ranks of a bucket.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.constraints import Constraint
from lrfjax.solvers.diagnostics import has_converged, record
from lrfjax.solvers.numerics import compensated_sum, contract
from lrfjax.types import Factors, History, Result, Status

# How many units of rounding, relative to |x| |v| for a dot product <x, v>, the numerator of a
# column update is trusted to. Sums over 10^4 terms stayed below 3 in float32.
_ROUNDING_UNITS = 8.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Problem:
    """A matrix and what every sweep needs to know of it.

    Attributes:
        x: shape (M, N), floating point.
        xt: its transpose, stored: products with U read one, products with V the other, each along
            its contiguous axis.
        norm: ||X||_F.
        row_norm: the largest norm of a row.
        column_norm: the largest norm of a column.
    """

    x: Array
    xt: Array
    norm: Array
    row_norm: Array
    column_norm: Array


def prepare(x: Array) -> Problem:
    """Return the problem of factorizing ``x``, shape (M, N)."""
    xt = x.T
    squares = xt * xt
    rows, columns = jnp.sum(squares, axis=0), jnp.sum(squares, axis=1)
    norm = jnp.sqrt(compensated_sum(rows))
    return Problem(x, xt, norm, jnp.sqrt(jnp.max(rows)), jnp.sqrt(jnp.max(columns)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """A pair of transposed factors.

    Attributes:
        ut: U transposed, shape (R, M), rows from the rank on zero.
        vt: V transposed, shape (R, N), likewise.
    """

    ut: Array
    vt: Array


def step(
    problem: Problem, state: State, rank: Array | int, constraints: tuple[Constraint, Constraint]
) -> State:
    """Do one sweep: all live columns of U, then all of V.

    Args:
        problem: from ``prepare``.
        state: the factors to set off from; they need not be feasible.
        rank: how many columns are live. A Python int keeps the loop reverse-differentiable.
        constraints: of U and of V.
    """
    ut, vt = state.ut, state.vt
    xv, vv = contract(vt, problem.xt, 1, 0), contract(vt, vt, 1, 1)
    ut = _update_columns(xv, vv, ut, rank, constraints[0], problem.row_norm)
    xu, uu = contract(ut, problem.x, 1, 0), contract(ut, ut, 1, 1)
    vt = _update_columns(xu, uu, vt, rank, constraints[1], problem.column_norm)
    return State(ut, vt)


def _update_columns(
    products: Array,
    gram: Array,
    factor: Array,
    rank: Array | int,
    constraint: Constraint,
    norm: Array,
) -> Array:
    """Replace the live rows of a transposed factor, in order, each by its minimiser.

    A row whose curvature is zero (its partner column is all zero) has no unique minimiser and is
    kept.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L).
        gram: V^T V or U^T U, shape (R, R).
        factor: shape (R, L).
        rank: how many rows are live.
        constraint: of this factor.
        norm: the largest norm of a row of X (for U) or of a column (for V).
    """
    unit = _ROUNDING_UNITS * jnp.finfo(factor.dtype).eps * norm

    def update(r: Array, factor: Array) -> Array:
        weights, old = gram[r], factor[r]
        curvature = weights[r]
        safe = jnp.where(curvature > 0, curvature, 1)
        others = jnp.matmul(weights, factor, precision=lax.Precision.HIGHEST)
        target = (products[r] - others + curvature * old) / safe
        new = constraint.update(target, old, unit * lax.rsqrt(safe))
        return factor.at[r].set(jnp.where(curvature > 0, new, constraint.project(old)))

    return lax.fori_loop(0, rank, update, factor)


def solve(
    x: Array,
    ut: Array,
    vt: Array,
    rank: Array | int,
    tol: Array,
    constraints: tuple[Constraint, Constraint],
    num_iters: int,
    record_every: int = 1,
) -> Result:
    """Run sweeps until nothing is gained, at most ``num_iters``.

    Real and non-negative factors set off from the projected start. Integer ones set off from the
    start as given, since the paper's first U sweep uses the real-valued V; should the sweep end
    above the rounded start, which entry 0 of the history describes, it is dropped for that start.

    Args:
        x: shape (M, N), floating point.
        ut: start of U, transposed, shape (R, M), rows from ``rank`` on zero.
        vt: start of V, transposed, shape (R, N), likewise.
        rank: how many columns are live, at most R.
        tol: stop when the objective falls by no more than this share; 0 for never.
        constraints: of U and of V.
        num_iters: how many sweeps at most; static.
        record_every: sweeps from one entry of the history to the next, a divisor of
            ``num_iters``; static. Stopping is decided where an entry is made.

    Returns:
        A ``Result`` with factors of R columns, those from ``rank`` on zero.
    """
    is_integer = any(c.is_integer for c in constraints)
    problem = prepare(x)

    def project(state: State) -> State:
        live = jnp.arange(ut.shape[0])[:, None] < rank
        u, v = constraints[0].project(state.ut), constraints[1].project(state.vt)
        return State(jnp.where(live, u, 0), jnp.where(live, v, 0))

    def describe(state: State, num_changed: Array) -> History:
        return record(problem.xt, problem.norm, state.ut, state.vt, num_changed, rank, constraints)

    def advance(carry: _Carry) -> _Carry:
        old, before = carry.state, carry.last
        new = lax.fori_loop(0, record_every, lambda _, s: step(problem, s, rank, constraints), old)
        after = describe(new, _count_changed(old, new))
        if is_integer:
            rises = after.objective > before.objective
            new = lax.cond(rises, lambda: project(old), lambda: new)
            after = jax.tree.map(lambda a, b: jnp.where(rises, b, a), after, before)
            after = replace(after, num_changed=_count_changed(old, new))
        stop = has_converged(before, after, tol, carry.num_recorded == 0)
        entry = carry.num_recorded + 1
        history = jax.tree.map(lambda h, a: h.at[entry].set(a), carry.history, after)
        return _Carry(new, after, history, entry, stop | ~jnp.isfinite(after.objective))

    num_records = num_iters // record_every
    feasible = project(State(ut, vt))
    first = describe(feasible, jnp.zeros((), jnp.int32))
    end = _Carry(
        State(ut, vt) if is_integer and num_iters > 0 else feasible,
        first,
        jax.tree.map(lambda a: jnp.zeros(num_records + 1, a.dtype).at[0].set(a), first),
        jnp.zeros((), jnp.int32),
        ~jnp.isfinite(first.objective),
    )
    if num_iters > 0:
        end = lax.while_loop(lambda c: ~c.stop & (c.num_recorded < num_records), advance, end)
    is_done = jnp.arange(num_records + 1) <= end.num_recorded
    history = jax.tree.map(lambda h, a: jnp.where(is_done, h, a), end.history, end.last)
    failed = ~jnp.isfinite(end.last.objective)
    status = jnp.where(
        failed, Status.FAILED, jnp.where(end.stop, Status.CONVERGED, Status.ITERATION_LIMIT)
    )
    return Result(
        Factors(end.state.ut.T, end.state.vt.T),
        history,
        end.num_recorded * record_every,
        status.astype(jnp.int32),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Carry:
    """What the loop carries; ``last`` is the entry of ``history`` at ``num_recorded``."""

    state: State
    last: History
    history: History
    num_recorded: Array
    stop: Array


def _count_changed(old: State, new: State) -> Array:
    return jnp.sum(old.ut != new.ut, dtype=jnp.int32) + jnp.sum(old.vt != new.vt, dtype=jnp.int32)
