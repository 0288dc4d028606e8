"""The problem: a matrix with its weights, the state of a solve, and how sums over it are made."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.pytrees import register
from lrfjax.solvers.numerics import (
    RowShards,
    compensated_sum,
    contract,
    power_of_two_near,
    safe_sqrt,
    stored_transpose,
    sum_of_squares,
)
from lrfjax.types import Factors


@dataclass(frozen=True)
class Execution:
    """How a solve is carried out; static. It changes results by rounding at most.

    Attributes:
        shards: placement of the rows of X on several devices; None for one.
        kernel: method of the column updates on a CUDA GPU, see ``column_kernel``.
        static_bounds: whether loops over columns visit padded columns as well, so that their bounds
            are static and reverse-mode differentiation works.
    """

    shards: RowShards | None = None
    kernel: str = "xla"
    static_bounds: bool = False


@register
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

    def total(self, a: Array, shards: RowShards | None = None) -> Array:
        """Return the sum of weights / unit times an array of shape (N, M)."""
        return compensated_sum(self.row_unit * jnp.sum(self.of_rows * a, axis=0), shards)


def split_weights(weights: Array) -> Weights:
    """Return the ``Weights`` for an array of shape (M, N), non-negative and not all zero."""
    unit, rows, columns = (
        lax.stop_gradient(power_of_two_near(weights, axis)) for axis in (None, 1, 0)
    )
    of_rows = (weights / rows[:, None]).T
    return Weights(unit, of_rows, weights / columns, rows / unit, columns / unit)


@register
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
        execution: static; how sums and loops are carried out.
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
    execution: Execution = field(default=Execution(), metadata={"static": True})

    def sum(self, a: Array) -> Array:
        """Return the sum of an array of shape (N, M), times weights / weights.unit."""
        shards = self.execution.shards
        if self.weights is None:
            return compensated_sum(jnp.sum(a, axis=0), shards)
        return self.weights.total(a, shards)

    def sum_of_squares(self, a: Array) -> Array:
        """Return the sum of the squares of an array of shape (N, M), weighted like ``sum``."""
        return self.sum(a * a)


def prepare(
    x: Array,
    weights: Weights | None = None,
    shift: Array | None = None,
    *,
    is_near_one: bool = False,
    execution: Execution = Execution(),
) -> Problem:
    """Return the problem of factorizing a matrix.

    Args:
        x: shape (M, N), zero where the weight is zero.
        weights: weights of its entries; None for ones.
        shift: constant that was subtracted from X before; None for 0.
        is_near_one: whether the largest magnitude of ``x`` is near one, or zero; the unit is then
            1.
        execution: how sums and loops are carried out.
    """
    unit = jnp.ones((), x.dtype) if is_near_one else lax.stop_gradient(power_of_two_near(x))
    xt = stored_transpose(x / unit)
    squares = xt * xt
    shards = execution.shards
    if weights is None:
        rows, columns = jnp.sum(squares, axis=0), jnp.sum(squares, axis=1)
        largest_row, largest_column = jnp.max(rows), jnp.max(columns)
        total = compensated_sum(jnp.sum(xt, axis=0), shards)
        count: Array | float = float(x.size)
    else:
        # The norms only bound rounding errors. Weights may differ by orders of magnitude between
        # rows, and so do the bounds then.
        largest_row = jnp.sum(weights.of_rows * squares, axis=0)
        largest_column = jnp.sum(weights.of_columns.T * squares, axis=1)
        rows = weights.row_unit * largest_row
        total = weights.total(xt, shards)
        count = weights.total(jnp.ones_like(xt), shards)
    row_norm, column_norm = (
        lax.stop_gradient(unit * jnp.sqrt(s)) for s in (largest_row, largest_column)
    )
    squared_norm = compensated_sum(rows, shards)
    if shift is not None:
        given = xt + shift / unit
        squared_norm = (
            sum_of_squares(given, shards)
            if weights is None
            else weights.total(given * given, shards)
        )
    return Problem(
        x,
        xt,
        unit,
        safe_sqrt(squared_norm),
        row_norm,
        column_norm,
        unit * total,
        count,
        weights,
        execution,
    )


@register
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


@register
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
