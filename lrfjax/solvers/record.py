"""The entries of the convergence history: what is recorded, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.losses.loss import floored
from lrfjax.solvers.model import Model
from lrfjax.solvers.numerics import contract, safe_sqrt
from lrfjax.solvers.problem import Problem, Products, State, residual
from lrfjax.types import Factors, History

CHANGES = ("num_changed", "u_change", "v_change", "affine_change")
"""The fields that compare an entry with the previous one."""
SCALARS = ("bits", "bound_share", "projected_gradient", *CHANGES)
RECORDABLE = (*SCALARS, "factors")
# Below this share of ||X||_F^2, the rounding error of the expanded objective in float32 exceeds a
# thousandth of the objective.
_GOOD_FIT = 1e-3

ALWAYS = ("sweeps", "objective", "relative_error")


@dataclass(frozen=True)
class Record:
    """What an entry of the history holds.

    Attributes:
        fields: names of the optional fields of ``History`` to keep. None keeps all scalars that
            apply; ``"factors"`` is kept only if named. ``sweeps``, ``objective`` and
            ``relative_error`` always are.
        own: pairs of a name and a function of ``Factors``, with padded columns of zeros, that
            returns an array. Its values are kept in ``History.own``. Functions are compared by
            identity, so make them once.

    Example:
        >>> import numpy as np, lrfjax
        >>> def zeros(factors):
        ...     return (factors.u == 0).sum()
        >>> record = Record(fields=(), own=(("zeros", zeros),))
        >>> result = lrfjax.nmf(np.eye(4), 2, num_iters=3, record=record)
        >>> result.history.own["zeros"].shape
        (4,)
    """

    fields: tuple[str, ...] | None = None
    own: tuple[tuple[str, Callable[[Factors], Array]], ...] = ()


def makes_sense(field: str, model: Model) -> bool:
    """Return True if a field of the history has a meaning for factors of this model."""
    if field == "bits":
        return any(side.rates for side in model.sides)
    if field == "bound_share":
        return any(c.has_bounds for c in model.constraints)
    if field == "num_changed":
        return model.is_discrete
    if field == "affine_change":
        return model.fit_scale or model.fit_offset
    return field != "projected_gradient" or not model.is_discrete


def squared_error(problem: Problem, difference: Array) -> Array:
    """Return ||X - scale * U V^T - offset||_F^2 / unit^2, weighted, from the residual.

    The expanded form ||X||^2 - 2 <X V, U> + <U^T U, V^T V> would reuse products of the sweep, but
    it cancels when the fit is good: its error in float32 is 1e-6 ||X||^2, more than a late sweep
    gains. The residual costs one more product per sweep and is accurate to rounding.

    Args:
        problem: from ``prepare``.
        difference: residual, from ``residual``.
    """
    return problem.sum_of_squares(difference)


def total_loss(problem: Problem, state: State, model: Model) -> Array:
    """Return the sum of a loss other than the squared error over X, weighted."""
    z = floored(model.loss, contract(state.vt, state.ut, 0, 0), problem.unit)
    return problem.sum(model.loss.value(problem.xt * problem.unit, z))


def objective(
    problem: Problem,
    state: State,
    model: Model,
    rank: Array | int,
    products: Products | None = None,
) -> Array:
    """Return the penalised objective of a feasible state in some unit, to compare states.

    Args:
        problem: from ``prepare``.
        state: feasible state.
        model: what is minimised.
        rank: number of live rows.
        products: products of the sweep, or None. With products, and without scale and offset, the
            expanded form is used. It costs next to nothing, and its error is a few units of
            rounding of ||X||_F^2. If the fit is so good that this matters, the residual is used.
    """
    penalty = model.penalty(state, rank)
    if not model.is_squared:
        return total_loss(problem, state, model) + penalty
    penalty = penalty / problem.unit / problem.unit

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


def relative_error(squared: Array, norm: Array) -> Array:
    """Return sqrt(squared) / norm, with 0 / 0 = 0."""
    safe = jnp.where(norm == 0, 1, norm)
    return jnp.where(norm == 0, jnp.where(squared == 0, 0, jnp.inf), safe_sqrt(squared) / safe)


def describe(
    problem: Problem,
    state: State,
    sweep: Array | int,
    rank: Array | int,
    model: Model,
    fields: tuple[str, ...],
) -> History:
    """Return the entry of a ``History`` that describes a feasible state, but for its changes.

    Args:
        problem: from ``prepare``.
        state: feasible state, zero from row ``rank`` on.
        sweep: number of sweeps done.
        rank: number of live rows.
        model: what is minimised.
        fields: fields of ``RECORDABLE`` to fill in, next to those of ``ALWAYS``; others are None.
    """
    if model.is_squared:
        difference = residual(problem, state)
        error = squared_error(problem, difference)
        loss = error * problem.unit * problem.unit
    else:
        z = contract(state.vt, state.ut, 0, 0)
        difference = problem.xt - z / problem.unit
        error = squared_error(problem, difference)
        value = model.loss.value(problem.xt * problem.unit, floored(model.loss, z, problem.unit))
        loss = problem.sum(value)
    entry = History(
        sweeps=jnp.asarray(sweep, jnp.int32),
        objective=loss + model.penalty(state, rank),
        relative_error=relative_error(error, problem.norm),
    )
    u_model, v_model = model.sides
    if "bits" in fields:
        entry = replace(entry, bits=u_model.bits(state.ut, rank) + v_model.bits(state.vt, rank))
    if "bound_share" in fields:
        entry = replace(entry, bound_share=_bound_share(state, rank, model))
    if "projected_gradient" in fields:
        gradient = _projected_gradient(problem, state, difference, model)
        entry = replace(entry, projected_gradient=gradient)
    return entry


def with_changes(
    problem: Problem, entry: History, before: State | None, state: State, fields: tuple[str, ...]
) -> History:
    """Return an entry with the fields that compare the new factors with the old ones, and both.

    Args:
        problem: from ``prepare``.
        entry: from ``describe``.
        before: state of the previous entry; None for the first entry, whose changes are zero.
        state: state of this entry.
        fields: see ``describe``.
    """
    if "factors" in fields:
        entry = replace(entry, factors=state.factors())
    if before is None:
        number, count = jnp.zeros_like(problem.norm), jnp.zeros((), jnp.int32)
        changes = {f: count if f == "num_changed" else number for f in CHANGES if f in fields}
        return replace(entry, **changes)  # type: ignore[arg-type]
    if "num_changed" in fields:
        entry = replace(entry, num_changed=_num_changed(before, state))
    if "u_change" in fields:
        entry = replace(entry, u_change=_relative_change(before.ut, state.ut))
    if "v_change" in fields:
        entry = replace(entry, v_change=_relative_change(before.vt, state.vt))
    if "affine_change" in fields:
        entry = replace(entry, affine_change=_affine_change(problem, before, state))
    return entry


def without_changes(entry: History) -> History:
    """Return an entry without the fields of ``with_changes``."""
    return replace(entry, factors=None, **dict.fromkeys(CHANGES))  # type: ignore[arg-type]


def _bound_share(state: State, rank: Array | int, model: Model) -> Array:
    ut, vt = state.ut, state.vt
    live = jnp.arange(ut.shape[0], dtype=jnp.int32)[:, None] < rank
    hits = sum(
        jnp.sum(c.at_bound(f) & live, dtype=jnp.int32)
        for c, f in zip(model.constraints, (ut, vt), strict=True)
    )
    count = jnp.asarray(rank) * (ut.shape[1] + vt.shape[1])
    return jnp.asarray(hits).astype(ut.dtype) / count.astype(ut.dtype)


def _num_changed(old: State, new: State) -> Array:
    return jnp.sum(old.ut != new.ut, dtype=jnp.int32) + jnp.sum(old.vt != new.vt, dtype=jnp.int32)


def _relative_change(old: Array, new: Array) -> Array:
    change, size = jnp.sum((new - old) ** 2), jnp.sum(new**2)
    return relative_error(change, safe_sqrt(size))


def _affine_change(problem: Problem, before: State, after: State) -> Array:
    """Return how far scale and offset moved: the larger of two shares, 0 if neither is fitted.

    The scale is compared with itself, the offset with the root mean square of X.
    """
    change = jnp.zeros_like(problem.norm)
    if before.scale is not None and after.scale is not None:
        change = jnp.maximum(change, jnp.abs(after.scale / before.scale - 1))
    if before.offset is not None and after.offset is not None:
        typical = problem.unit * problem.norm / jnp.sqrt(problem.count)
        moved = jnp.abs(after.offset - before.offset)
        change = jnp.maximum(change, jnp.where(moved == 0, 0, moved / typical))
    return change


def _projected_gradient(problem: Problem, state: State, difference: Array, model: Model) -> Array:
    if model.is_squared:
        factor = -2 * problem.unit * (1.0 if state.scale is None else state.scale)
        slope = factor * difference
    else:
        z = floored(model.loss, contract(state.vt, state.ut, 0, 0), problem.unit)
        slope = model.loss.slope(problem.xt * problem.unit, z)
    if problem.weights is not None:
        slope = problem.weights.times(slope)
    u_model, v_model = model.sides
    in_u = u_model.projected_gradient(state.ut, contract(state.vt, slope, 1, 0))
    in_v = v_model.projected_gradient(state.vt, contract(state.ut, slope, 1, 1))
    return safe_sqrt(jnp.sum(in_u * in_u) + jnp.sum(in_v * in_v))
