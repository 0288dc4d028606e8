"""The problem: a matrix with its weights, and the constraints and penalties of its factors."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.constraints import Constraint
from lrfjax.solvers.numerics import compensated_sum, contract, power_of_two_near, stored_transpose
from lrfjax.types import Factors


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Problem:
    """A matrix and the quantities that every sweep needs.

    Attributes:
        x: X, shape (M, N), floating point; zero where the weight is zero.
        xt: X^T / unit, stored. Products with U read ``x``, products with V read ``xt``, each along
            its contiguous axis.
        unit: power of two near the largest magnitude, so that no square overflows.
        norm: ||X||_F / unit, weighted.
        row_norm: largest norm of a row; with weights, the norm of each row, shape (M,).
        column_norm: largest norm of a column; with weights, the norm of each column, shape (N,).
        total: weighted sum of all entries.
        count: sum of all weights, or the number of entries without weights.
        weights: shape (M, N), None for ones.
        wt: transposed weights, shape (N, M), or None.
    """

    x: Array
    xt: Array
    unit: Array
    norm: Array
    row_norm: Array
    column_norm: Array
    total: Array
    count: Array | float
    weights: Array | None
    wt: Array | None

    def restored(self) -> Array:
        """Return X read from its stored transpose, for operations along the axis of that."""
        return (self.xt * self.unit).T


def prepare(x: Array, weights: Array | None = None, *, is_near_one: bool = False) -> Problem:
    """Return the problem of factorizing ``x``, shape (M, N), with weights of the same shape.

    ``is_near_one`` states that the largest magnitude of ``x`` is near one, or zero; the unit is
    then 1.
    """
    wt = None if weights is None else weights.T
    unit = jnp.ones((), x.dtype) if is_near_one else lax.stop_gradient(power_of_two_near(x))
    xt = stored_transpose(x / unit)
    squares = xt * xt
    if wt is not None:
        squares = wt * squares
    rows, columns = jnp.sum(squares, axis=0), jnp.sum(squares, axis=1)
    # The norms only bound rounding errors. Weights may differ by orders of magnitude between rows,
    # and so do the bounds then.
    row_norm, column_norm = (
        lax.stop_gradient(unit * jnp.sqrt(jnp.max(s) if weights is None else s))
        for s in (rows, columns)
    )
    total = unit * compensated_sum(jnp.sum(xt if wt is None else wt * xt, axis=0))
    count = float(x.size) if wt is None else compensated_sum(jnp.sum(wt, axis=0))
    # sqrt has no finite slope at zero.
    squared_norm = compensated_sum(rows)
    is_zero = squared_norm == 0
    norm = jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squared_norm)))
    return Problem(x, xt, unit, norm, row_norm, column_norm, total, count, weights, wt)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FactorModel:
    """The constraint and the penalties of one factor.

    Attributes:
        constraint: set that the columns lie in.
        l1: weight of twice the sum of the magnitudes in the objective (see ``factorize``).
        l2: weight of the sum of the squares.
        frozen: booleans of shape (R,), True for columns to keep; None for none.
    """

    constraint: Constraint
    l1: Array | float = 0.0
    l2: Array | float = 0.0
    frozen: Array | None = None

    def penalty(self, factor: Array) -> Array:
        """Return 2 l1 sum |u| + l2 sum u^2 of a transposed factor."""
        return 2 * self.l1 * jnp.sum(jnp.abs(factor)) + self.l2 * jnp.sum(factor * factor)

    def project(self, factor: Array) -> Array:
        """Return the nearest feasible transposed factor; frozen rows stay as they are."""
        feasible = self.constraint.project(factor)
        return (
            feasible if self.frozen is None else jnp.where(self.frozen[:, None], factor, feasible)
        )

    def projected_gradient(self, factor: Array, gradient: Array) -> Array:
        """Return the projected gradient of the penalised objective, zero in frozen columns.

        Args:
            factor: transposed factor, feasible.
            gradient: gradient of the squared error.
        """
        gradient = gradient + 2 * self.l2 * factor
        # At a zero entry the slopes to both sides differ by 4 l1; descent goes up, goes down, or is
        # impossible.
        at_zero = jnp.minimum(gradient + 2 * self.l1, 0) + jnp.maximum(gradient - 2 * self.l1, 0)
        slope = jnp.where(factor == 0, at_zero, gradient + 2 * self.l1 * jnp.sign(factor))
        slope = self.constraint.projected_gradient(factor, slope)
        return slope if self.frozen is None else jnp.where(self.frozen[:, None], 0, slope)


Models = tuple[FactorModel, FactorModel]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """A pair of transposed factors, and the scale and offset in X ~ scale * U V^T + offset.

    Attributes:
        ut: U^T, shape (R, M), zero from row ``rank`` on.
        vt: V^T, shape (R, N), likewise.
        scale: None if it is 1 and not fitted.
        offset: None if it is 0 and not fitted.
    """

    ut: Array
    vt: Array
    scale: Array | None = None
    offset: Array | None = None

    def factors(self) -> Factors:
        """Return the public ``Factors``, not transposed."""
        return Factors(self.ut.T, self.vt.T, self.scale, self.offset)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Products:
    """The products that the update of V uses; sums over X and U V^T are computed from them.

    Attributes:
        xu: (X^T U)^T, shape (R, N).
        uu: U^T U, shape (R, R).
    """

    xu: Array
    uu: Array


def residual(problem: Problem, state: State) -> Array:
    """Return (X - scale * U V^T - offset)^T / unit, shape (N, M), not weighted."""
    # Division by a power of two is exact. V is the smallest operand, so dividing it costs least.
    product = contract(state.vt / problem.unit, state.ut, 0, 0)
    if state.scale is not None:
        product = state.scale * product
    if state.offset is not None:
        product = product + state.offset / problem.unit
    return problem.xt - product


def project(state: State, models: Models, rank: Array | int) -> State:
    """Return the feasible state nearest to ``state``, its rows from ``rank`` on zero."""
    live = jnp.arange(state.ut.shape[0])[:, None] < rank
    ut, vt = (
        jnp.where(live, model.project(factor), 0)
        for model, factor in zip(models, (state.ut, state.vt), strict=True)
    )
    return State(ut, vt, state.scale, state.offset)
