"""The problem: a matrix with its weights, and the constraints and penalties of its factors."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.constraints import Constraint, IntegerBox
from lrfjax.solvers.entropy import column_bits
from lrfjax.solvers.numerics import (
    compensated_sum,
    contract,
    power_of_two_near,
    safe_sqrt,
    stored_transpose,
    sum_of_squares,
)
from lrfjax.types import Factors


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Weights:
    """The weights of the entries of X, in the units that suit each use.

    An update of U sees only ratios of the weights in a row of X, an update of V those in a column.
    So each has weights of its own, brought near one by powers of two: rows whose weights are 1e-20
    of those of others are fitted as well as these.

    Attributes:
        unit: power of two near the largest weight.
        of_rows: weights with each row of X divided by its own unit, transposed, shape (N, M).
        of_columns: weights with each column of X divided by its own unit, shape (M, N).
        row_unit: unit of each row, divided by ``unit``, shape (M,).
        column_unit: unit of each column, divided by ``unit``, shape (N,).
    """

    unit: Array
    of_rows: Array
    of_columns: Array
    row_unit: Array
    column_unit: Array

    def times(self, a: Array) -> Array:
        """Return weights / unit times an array of shape (N, M)."""
        return self.row_unit * (self.of_rows * a)

    def total(self, a: Array) -> Array:
        """Return the sum of weights / unit times an array of shape (N, M)."""
        return compensated_sum(self.row_unit * jnp.sum(self.of_rows * a, axis=0))


def split_weights(weights: Array) -> Weights:
    """Return the ``Weights`` for an array of shape (M, N), non-negative and not all zero."""
    unit, rows, columns = (
        lax.stop_gradient(power_of_two_near(weights, axis)) for axis in (None, 1, 0)
    )
    of_rows = (weights / rows[:, None]).T
    return Weights(unit, of_rows, weights / columns, rows / unit, columns / unit)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Problem:
    """A matrix and the quantities that every sweep needs.

    Attributes:
        x: X, shape (M, N), floating point; zero where the weight is zero.
        xt: X^T / unit, stored. Products with U read ``x``, products with V read ``xt``, each along
            its contiguous axis.
        unit: power of two near the largest magnitude, so that no square overflows.
        norm: norm that relative errors refer to, divided by ``unit``: ||X||_F, weighted, before a
            constant was subtracted from X.
        row_norm: largest norm of a row; with weights, the norm of each row, shape (M,), in the unit
            of ``weights.of_rows``.
        column_norm: largest norm of a column; with weights, the norm of each column, shape (N,), in
            the unit of ``weights.of_columns``.
        total: sum of all entries, weighted by weights / weights.unit.
        count: sum of all weights / weights.unit, or the number of entries without weights.
        weights: None for ones.
    """

    x: Array
    xt: Array
    unit: Array
    norm: Array
    row_norm: Array
    column_norm: Array
    total: Array
    count: Array | float
    weights: Weights | None


def prepare(
    x: Array,
    weights: Weights | None = None,
    shift: Array | None = None,
    *,
    is_near_one: bool = False,
) -> Problem:
    """Return the problem of factorizing a matrix.

    Args:
        x: shape (M, N), zero where the weight is zero.
        weights: weights of its entries; None for ones.
        shift: constant that was subtracted from X before; None for 0.
        is_near_one: whether the largest magnitude of ``x`` is near one, or zero; the unit is then
            1.
    """
    unit = jnp.ones((), x.dtype) if is_near_one else lax.stop_gradient(power_of_two_near(x))
    xt = stored_transpose(x / unit)
    squares = xt * xt
    if weights is None:
        rows, columns = jnp.sum(squares, axis=0), jnp.sum(squares, axis=1)
        largest_row, largest_column = jnp.max(rows), jnp.max(columns)
        total = compensated_sum(jnp.sum(xt, axis=0))
        count: Array | float = float(x.size)
    else:
        # The norms only bound rounding errors. Weights may differ by orders of magnitude between
        # rows, and so do the bounds then.
        largest_row = jnp.sum(weights.of_rows * squares, axis=0)
        largest_column = jnp.sum(weights.of_columns.T * squares, axis=1)
        rows = weights.row_unit * largest_row
        total, count = weights.total(xt), weights.total(jnp.ones_like(xt))
    row_norm, column_norm = (
        lax.stop_gradient(unit * jnp.sqrt(s)) for s in (largest_row, largest_column)
    )
    squared_norm = compensated_sum(rows)
    if shift is not None:
        given = xt + shift / unit
        squared_norm = sum_of_squares(given) if weights is None else weights.total(given * given)
    return Problem(
        x, xt, unit, safe_sqrt(squared_norm), row_norm, column_norm, unit * total, count, weights
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FactorModel:
    """The constraint and the penalties of one factor.

    Attributes:
        constraint: set that the columns lie in.
        l1: weight of twice the sum of the magnitudes in the objective (see ``factorize``).
        l2: weight of the sum of the squares.
        frozen: booleans of shape (R,), True for columns to keep; None for none.
        rate: weight of the empirical entropy in bits; the constraint is an ``IntegerBox`` then.
        num_values: number of integers within the widest bounds, static; None without a rate.
    """

    constraint: Constraint
    l1: Array | float = 0.0
    l2: Array | float = 0.0
    frozen: Array | None = None
    rate: Array | float = 0.0
    num_values: int | None = field(default=None, metadata={"static": True})

    def penalty(self, factor: Array) -> Array:
        """Return 2 l1 sum |u| + l2 sum u^2 + rate bits of a transposed factor."""
        sums = 2 * self.l1 * jnp.sum(jnp.abs(factor)) + self.l2 * jnp.sum(factor * factor)
        return sums if self.num_values is None else sums + self.rate * self.bits(factor)

    def bits(self, factor: Array) -> Array:
        """Return the empirical entropy of a transposed factor in bits; 0 without a rate."""
        if self.num_values is None:
            return jnp.zeros((), factor.dtype)
        assert isinstance(self.constraint, IntegerBox)
        return column_bits(factor, self.constraint.lower, self.num_values)

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
