"""The entries of the convergence history, computed on the device."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.numerics import contract, safe_sqrt, sum_of_squares
from lrfjax.solvers.problem import Models, Problem, Products, State, residual
from lrfjax.types import History

SCALARS = ("bits", "bound_share", "num_changed", "projected_gradient", "u_change", "v_change")
RECORDABLE = (*SCALARS, "factors")
# Below this share of ||X||_F^2, the rounding error of the expanded objective in float32 exceeds a
# thousandth of the objective.
_GOOD_FIT = 1e-3

ALWAYS = ("sweeps", "objective", "relative_error")


def makes_sense(field: str, models: Models) -> bool:
    """Return True if a field of the history has a meaning for factors of these models."""
    is_discrete = any(m.constraint.is_discrete for m in models)
    if field == "bits":
        return any(m.num_values is not None for m in models)
    if field == "bound_share":
        return any(m.constraint.has_bounds for m in models)
    if field == "num_changed":
        return is_discrete
    return field != "projected_gradient" or not is_discrete


def squared_error(problem: Problem, difference: Array) -> Array:
    """Return ||X - scale * U V^T - offset||_F^2 / unit^2, weighted, from the residual.

    The expanded form ||X||^2 - 2 <X V, U> + <U^T U, V^T V> would reuse products of the sweep, but
    it cancels when the fit is good: its error in float32 is 1e-6 ||X||^2, more than a late sweep
    gains. The residual costs one more product per sweep and is accurate to rounding.

    Args:
        problem: from ``prepare``.
        difference: residual, from ``residual``.
    """
    if problem.weights is None:
        return sum_of_squares(difference)
    return problem.weights.total(difference * difference)


def objective(
    problem: Problem, state: State, models: Models, products: Products | None = None
) -> Array:
    """Return the penalised objective of a feasible state, divided by unit^2, to compare states.

    Args:
        problem: from ``prepare``.
        state: feasible state.
        models: models of U and of V.
        products: products of the sweep, or None. With products, and without scale and offset, the
            expanded form is used. It costs next to nothing, and its error is a few units of
            rounding of ||X||_F^2. If the fit is so good that this matters, the residual is used.
    """
    penalty = _penalty(state, models) / problem.unit / problem.unit

    def accurate() -> Array:
        return squared_error(problem, residual(problem, state))

    if products is None or state.scale is not None or state.offset is not None:
        return accurate() + penalty
    vv = contract(state.vt, state.vt, 1, 1)
    gained = 2 * jnp.sum(products.xu * state.vt) - jnp.sum(products.uu * vv)
    squared_norm = problem.norm * problem.norm
    expanded = squared_norm - gained / problem.unit / problem.unit
    is_good = expanded < _GOOD_FIT * squared_norm
    return lax.cond(is_good, accurate, lambda: expanded) + penalty


def _penalty(state: State, models: Models) -> Array:
    return models[0].penalty(state.ut) + models[1].penalty(state.vt)


def relative_error(squared: Array, norm: Array) -> Array:
    """Return sqrt(squared) / norm, with 0 / 0 = 0."""
    safe = jnp.where(norm == 0, 1, norm)
    return jnp.where(norm == 0, jnp.where(squared == 0, 0, jnp.inf), safe_sqrt(squared) / safe)


def record(
    problem: Problem,
    state: State,
    before: State,
    sweep: Array | int,
    rank: Array | int,
    models: Models,
    fields: tuple[str, ...],
) -> History:
    """Return the entry of a ``History`` that describes a feasible state.

    Args:
        problem: from ``prepare``.
        state: feasible state, zero from row ``rank`` on.
        before: state of the previous entry; ``state`` itself for the first entry.
        sweep: number of sweeps done.
        rank: number of live rows.
        models: models of U and of V.
        fields: fields of ``RECORDABLE`` to fill in, next to those of ``ALWAYS``; others are None.
    """
    difference = residual(problem, state)
    error = squared_error(problem, difference)
    entry = History(
        sweeps=jnp.asarray(sweep, jnp.int32),
        objective=error * problem.unit * problem.unit + _penalty(state, models),
        relative_error=relative_error(error, problem.norm),
    )
    if "bits" in fields:
        entry = replace(entry, bits=models[0].bits(state.ut) + models[1].bits(state.vt))
    if "bound_share" in fields:
        entry = replace(entry, bound_share=_bound_share(state, rank, models))
    if "projected_gradient" in fields:
        gradient = _projected_gradient(problem, state, difference, models)
        entry = replace(entry, projected_gradient=gradient)
    return with_changes(entry, before, state, fields)


def with_changes(entry: History, before: State, state: State, fields: tuple[str, ...]) -> History:
    """Return an entry with the fields that depend on the new and the old factors alone."""
    if "num_changed" in fields:
        entry = replace(entry, num_changed=_num_changed(before, state))
    if "u_change" in fields:
        entry = replace(entry, u_change=_relative_change(before.ut, state.ut))
    if "v_change" in fields:
        entry = replace(entry, v_change=_relative_change(before.vt, state.vt))
    if "factors" in fields:
        entry = replace(entry, factors=state.factors())
    return entry


def _bound_share(state: State, rank: Array | int, models: Models) -> Array:
    ut, vt = state.ut, state.vt
    live = jnp.arange(ut.shape[0])[:, None] < rank
    hits = sum(
        jnp.sum(m.constraint.at_bound(f) & live) for m, f in zip(models, (ut, vt), strict=True)
    )
    count = jnp.asarray(rank) * (ut.shape[1] + vt.shape[1])
    return jnp.asarray(hits).astype(ut.dtype) / count.astype(ut.dtype)


def _num_changed(old: State, new: State) -> Array:
    return jnp.sum(old.ut != new.ut, dtype=jnp.int32) + jnp.sum(old.vt != new.vt, dtype=jnp.int32)


def _relative_change(old: Array, new: Array) -> Array:
    change, size = jnp.sum((new - old) ** 2), jnp.sum(new**2)
    return relative_error(change, safe_sqrt(size))


def _projected_gradient(problem: Problem, state: State, difference: Array, models: Models) -> Array:
    if problem.weights is not None:
        difference = problem.weights.times(difference)
    factor = -2 * problem.unit * (1.0 if state.scale is None else state.scale)
    in_u = models[0].projected_gradient(state.ut, factor * contract(state.vt, difference, 1, 0))
    in_v = models[1].projected_gradient(state.vt, factor * contract(state.ut, difference, 1, 1))
    return safe_sqrt(jnp.sum(in_u * in_u) + jnp.sum(in_v * in_v))
