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
from lrfjax.solvers.numerics import compensated_sum, contract, power_of_two_near
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
        unit: a power of two near the largest magnitude.
        norm: ||X||_F / unit.
        row_norm: the largest norm of a row.
        column_norm: the largest norm of a column.
        total: the sum of all entries.
    """

    x: Array
    xt: Array
    unit: Array
    norm: Array
    row_norm: Array
    column_norm: Array
    total: Array


def prepare(x: Array) -> Problem:
    """Return the problem of factorizing ``x``, shape (M, N)."""
    xt = x.T
    unit = lax.stop_gradient(power_of_two_near(x))
    squares = (xt / unit) ** 2
    rows, columns = jnp.sum(squares, axis=0), jnp.sum(squares, axis=1)
    return Problem(
        x,
        xt,
        unit,
        jnp.sqrt(compensated_sum(rows)),
        unit * jnp.sqrt(jnp.max(rows)),
        unit * jnp.sqrt(jnp.max(columns)),
        compensated_sum(jnp.sum(xt, axis=0)),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FactorModel:
    """What is asked of one factor.

    Attributes:
        constraint: the set that its columns lie in.
        l1: weight of the sum of its magnitudes in the objective (twice, see ``factorize``).
        l2: weight of the sum of its squares.
        frozen: shape (R,), which columns are kept; None for none.
    """

    constraint: Constraint
    l1: Array | float = 0.0
    l2: Array | float = 0.0
    frozen: Array | None = None

    def penalty(self, factor: Array) -> Array:
        """Return 2 l1 sum |u| + l2 sum u^2 of a transposed factor."""
        return 2 * self.l1 * jnp.sum(jnp.abs(factor)) + self.l2 * jnp.sum(factor * factor)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """A pair of transposed factors, and the affine map of their product where it is fitted.

    Attributes:
        ut: U transposed, shape (R, M), rows from the rank on zero.
        vt: V transposed, shape (R, N), likewise.
        scale: X ~ scale * U V^T + offset; None where it is 1 and not fitted.
        offset: None where it is 0 and not fitted.
    """

    ut: Array
    vt: Array
    scale: Array | None = None
    offset: Array | None = None


def step(
    problem: Problem, state: State, rank: Array | int, models: tuple[FactorModel, FactorModel]
) -> State:
    """Do one sweep: all live columns of U, then all of V, then scale and offset.

    Args:
        problem: from ``prepare``.
        state: the factors to set off from; they need not be feasible.
        rank: how many columns are live. A Python int keeps the loop reverse-differentiable.
        models: of U and of V.
    """
    ut, vt, scale, offset = state.ut, state.vt, state.scale, state.offset

    def unscaled(products: Array, sums: Array, norm: Array, length: int) -> tuple[Array, Array]:
        """Turn products with X into those with (X - offset) / scale, and so its largest norm."""
        if offset is not None:
            products = products - offset * sums[:, None]
            norm = norm + jnp.abs(offset) * length**0.5
        if scale is not None:
            products, norm = products / scale, norm / jnp.abs(scale)
        return products, norm

    # The penalties are weighed against (X - offset) / scale as well: the whole objective divided
    # by scale^2.
    weight = 1.0 if scale is None else 1 / (scale * scale)
    products, norm = unscaled(
        contract(vt, problem.xt, 1, 0), jnp.sum(vt, axis=1), problem.row_norm, vt.shape[1]
    )
    ut = _update_columns(products, contract(vt, vt, 1, 1), ut, rank, models[0], norm, weight)
    xu, uu = contract(ut, problem.x, 1, 0), contract(ut, ut, 1, 1)
    products, norm = unscaled(xu, jnp.sum(ut, axis=1), problem.column_norm, ut.shape[1])
    vt = _update_columns(products, uu, vt, rank, models[1], norm, weight)
    if scale is not None or offset is not None:
        scale, offset = _fit_affine(problem, State(ut, vt, scale, offset), xu, uu)
    return State(ut, vt, scale, offset)


def _fit_affine(
    problem: Problem, state: State, xu: Array, uu: Array
) -> tuple[Array | None, Array | None]:
    """Return the scale and offset that minimise ||X - scale * Z - offset||_F, for Z = U V^T.

    The normal equations of a line through (Z, X); their sums come from products that the sweep
    already has. Without a unique positive solution the scale is kept.

    Args:
        problem: from ``prepare``.
        state: the factors, and the scale and offset before.
        xu: (X^T U)^T.
        uu: U^T U.
    """
    count = problem.x.size
    zx = jnp.sum(xu * state.vt)
    zz = jnp.sum(uu * contract(state.vt, state.vt, 1, 1))
    z_total = jnp.dot(
        jnp.sum(state.ut, axis=1), jnp.sum(state.vt, axis=1), precision=lax.Precision.HIGHEST
    )
    scale, offset = state.scale, state.offset
    if scale is not None:
        mean_z = z_total / count if offset is not None else jnp.zeros_like(z_total)
        spread = zz - mean_z * z_total
        covariance = zx - mean_z * problem.total
        is_safe = (spread > 1e-4 * zz) & (covariance > 0)
        scale = jnp.where(is_safe, covariance / jnp.where(is_safe, spread, 1), scale)
    if offset is not None:
        offset = (problem.total - (1.0 if scale is None else scale) * z_total) / count
    return scale, offset


def _update_columns(
    products: Array,
    gram: Array,
    factor: Array,
    rank: Array | int,
    model: FactorModel,
    norm: Array,
    weight: Array | float,
) -> Array:
    """Replace the live rows of a transposed factor, in order, each by its minimiser.

    With the other rows fixed an entry u of row r adds d u^2 - 2 n u + 2 l1 |u| + l2 u^2 to the
    objective, with d = gram[r, r] and n = products[r] - sum_{s != r} gram[r, s] factor[s]. That is
    a convex parabola on either side of zero, least at t = soft(n, l1) / (d + l2), and symmetric
    about t on the side of t; so the projection of t, for integers the rounding, is the minimiser
    over the constraint, and the objective never rises. For integers l1 is a dead zone before
    rounding.

    A row whose curvature d + l2 is zero (its partner column is all zero) has no unique minimiser
    and is kept, as are frozen rows.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L).
        gram: V^T V or U^T U, shape (R, R).
        factor: shape (R, L).
        rank: how many rows are live.
        model: of this factor.
        norm: the largest norm of a row of X (for U) or of a column (for V).
        weight: of the penalties.
    """
    unit = _ROUNDING_UNITS * jnp.finfo(factor.dtype).eps * norm
    l1, l2 = model.l1 * weight, model.l2 * weight

    def update(r: Array, factor: Array) -> Array:
        row, old = gram[r], factor[r]
        constraint = model.constraint.for_column(r)
        curvature = row[r] + l2
        safe = jnp.where(curvature > 0, curvature, 1)
        others = jnp.matmul(row, factor, precision=lax.Precision.HIGHEST)
        numerator = products[r] - others + row[r] * old
        target = jnp.sign(numerator) * jnp.maximum(jnp.abs(numerator) - l1, 0) / safe
        new = constraint.update(target, old, unit * lax.rsqrt(safe))
        new = jnp.where(curvature > 0, new, constraint.project(old))
        if model.frozen is not None:
            new = jnp.where(model.frozen[r], old, new)
        return factor.at[r].set(new)

    return lax.fori_loop(0, rank, update, factor)


def solve(
    x: Array,
    start: State,
    rank: Array | int,
    tol: Array,
    models: tuple[FactorModel, FactorModel],
    num_iters: int,
    record_every: int = 1,
) -> Result:
    """Run sweeps until nothing is gained, at most ``num_iters``.

    Real and non-negative factors set off from the projected start. Integer ones set off from the
    start as given, since the paper's first U sweep uses the real-valued V; should the sweep end
    above the rounded start, which entry 0 of the history describes, it is dropped for that start.

    Args:
        x: shape (M, N), floating point.
        start: transposed factors of shapes (R, M) and (R, N), rows from ``rank`` on zero; with a
            scale or offset where these are to be fitted.
        rank: how many columns are live, at most R.
        tol: stop when the objective falls by no more than this share; 0 for never.
        models: of U and of V.
        num_iters: how many sweeps at most; static.
        record_every: sweeps from one entry of the history to the next, a divisor of
            ``num_iters``; static. Stopping is decided where an entry is made.

    Returns:
        A ``Result`` with factors of R columns, those from ``rank`` on zero.
    """
    constraints = (models[0].constraint, models[1].constraint)
    is_integer = any(c.is_integer for c in constraints)
    problem = prepare(x)

    def project(state: State) -> State:
        live = jnp.arange(state.ut.shape[0])[:, None] < rank
        factors = []
        for model, factor in zip(models, (state.ut, state.vt), strict=True):
            feasible = model.constraint.project(factor)
            if model.frozen is not None:
                feasible = jnp.where(model.frozen[:, None], factor, feasible)
            factors.append(jnp.where(live, feasible, 0))
        return replace(state, ut=factors[0], vt=factors[1])

    def describe(state: State, num_changed: Array, sweep: Array | int) -> History:
        return record(
            problem.xt,
            problem.norm,
            state.ut,
            state.vt,
            num_changed,
            rank,
            constraints,
            scale=state.scale,
            offset=state.offset,
            penalty=models[0].penalty(state.ut) + models[1].penalty(state.vt),
            unit=problem.unit,
            sweep=sweep,
        )

    def advance(carry: _Carry) -> _Carry:
        old, before = carry.state, carry.last
        new = lax.fori_loop(0, record_every, lambda _, s: step(problem, s, rank, models), old)
        sweep = (carry.num_recorded + 1) * record_every
        after = describe(new, _count_changed(old, new), sweep)
        if is_integer:
            rises = after.objective > before.objective
            new = lax.cond(rises, lambda: project(old), lambda: new)
            after = jax.tree.map(lambda a, b: jnp.where(rises, b, a), after, before)
            after = replace(after, num_changed=_count_changed(old, new), sweeps=sweep)
        stop = has_converged(before, after, tol, carry.num_recorded == 0)
        entry = carry.num_recorded + 1
        history = jax.tree.map(lambda h, a: h.at[entry].set(a), carry.history, after)
        return _Carry(new, after, history, entry, stop | ~jnp.isfinite(after.relative_error))

    num_records = num_iters // record_every
    feasible = project(start)
    first = describe(feasible, jnp.zeros((), jnp.int32), 0)
    end = _Carry(
        start if is_integer and num_iters > 0 else feasible,
        first,
        jax.tree.map(lambda a: jnp.zeros(num_records + 1, a.dtype).at[0].set(a), first),
        jnp.zeros((), jnp.int32),
        ~jnp.isfinite(first.relative_error),
    )
    if num_iters > 0:
        end = lax.while_loop(lambda c: ~c.stop & (c.num_recorded < num_records), advance, end)
    is_done = jnp.arange(num_records + 1) <= end.num_recorded
    history = jax.tree.map(lambda h, a: jnp.where(is_done, h, a), end.history, end.last)
    failed = ~jnp.isfinite(end.last.relative_error)
    status = jnp.where(
        failed, Status.FAILED, jnp.where(end.stop, Status.CONVERGED, Status.ITERATION_LIMIT)
    )
    return Result(
        Factors(end.state.ut.T, end.state.vt.T, end.state.scale, end.state.offset),
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
