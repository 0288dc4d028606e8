"""The rate of integer factors inside the solver: bits as a penalty.

A column of L integers in which value k occurs h_k times takes F(h) = L log2 L - sum_k h_k log2 h_k
bits with an ideal code for its own histogram. F is concave in h, so its tangent bounds it from
above: for new counts g,

    F(g) <= F(h) + sum_k (g_k - h_k) c_k,  c_k = log2(L / h_k), or log2(e L) where h_k = 0.

(For a value that does not occur yet, -g log2 g <= 0; the rest is the tangent, whose constant
-log2 e falls out of the sum for all other values, since the counts sum to L.) The right-hand side
charges each entry c_k bits on its own. A column update that minimises the squared error plus these
charges, entry by entry over all values, therefore never raises the squared error plus the entropy.
The charges come from the column itself, so there are no tables to keep.

The paper names entropy-aware regularisation as future work (arXiv 2408.12691); the idea is that of
entropy-constrained vector quantization (Chou, Lookabaugh and Gray, 1989).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.pytrees import register
from lrfjax.solvers.penalties.penalty import Bound, Penalty
from lrfjax.solvers.sets.boxes import IntegerBox
from lrfjax.solvers.sets.constraint import Constraint
from lrfjax.types import Factors, Result, factors_of

MAX_VALUES = 4096
"""The most values that a column update tries."""


@register
@dataclass(frozen=True)
class RatePenalty(Penalty):
    """``weight`` times bits that depend on the integer alone; the base class of the two below.

    A column update tries all integers within the bounds, so it minimises exactly.

    Attributes:
        weight: price of a bit, at least 0.
        lowest: lower bounds of the set, a scalar or one for each column; None until ``fitted_to``.
        num_values: number of integers within the widest bounds, static; None until ``fitted_to``.
    """

    lowest: Any = field(default=None, kw_only=True)
    num_values: int | None = field(default=None, kw_only=True, metadata={"static": True})

    degree: ClassVar[int | None] = 0

    def bits(self, column: Array, r: Array) -> Array:
        """Return the bits of column ``r``, shape (L,), of integers."""
        raise NotImplementedError

    def charges(self, column: Array, r: Array) -> Array:
        """Return the bits of lowest, lowest + 1, ... in column ``r``, shape (num_values,).

        Their sum over the entries of a new column, plus a constant, is not below the bits of the
        new column, and equal to them for the present one.
        """
        raise NotImplementedError

    def value(self, column: Array, r: Array) -> Array:
        """Return weight times the bits of column ``r``."""
        return self.weight * self.bits(column, r)

    def bound(self, column: Array, r: Array) -> Bound:
        """Return zeros: the charges say it all."""
        return 0.0, 0.0

    def lowest_of(self, r: Array) -> Array:
        """Return the lower bound of column ``r``."""
        return self.lowest if jnp.ndim(self.lowest) == 0 else jnp.asarray(self.lowest)[r]

    def fitted_to(self, constraint: Constraint) -> Self:
        """Return the penalty with the bounds of a set; raise InputError for other sets."""
        if type(constraint) is not IntegerBox or not checks.is_concrete(constraint):
            raise InputError(f"rate needs IntegerBox with concrete bounds, got {constraint!r}")
        lower, upper = (np.asarray(bound) for bound in (constraint.lower, constraint.upper))
        count = int(np.max(upper - lower)) + 1
        if count > MAX_VALUES:
            raise InputError(f"rate needs bounds of at most {MAX_VALUES} integers, got {count}")
        return replace(self, lowest=lower, num_values=count)


@register
@dataclass(frozen=True)
class Entropy(RatePenalty):
    """``weight`` times the empirical entropy in bits, each column with an ideal code of its own.

    The charges come from the column itself, see the docstring of the module.
    """

    def bits(self, column: Array, r: Array) -> Array:
        """Return the empirical entropy of a column."""
        counts = self._histogram(column, r)
        return jnp.sum(counts * charges(counts))

    def charges(self, column: Array, r: Array) -> Array:
        """Return the tangent of the entropy at the present histogram."""
        return charges(self._histogram(column, r))

    def _histogram(self, column: Array, r: Array) -> Array:
        assert self.num_values is not None
        return histogram(column, self.lowest_of(r), self.num_values)


@register
@dataclass(frozen=True)
class BitCosts(RatePenalty):
    """``weight`` times the bits that a given code takes for every integer.

    Attributes:
        costs: bits of lower, lower + 1, ..., upper, non-negative; shape (num_values,), or (R,
            num_values) for a code of each column.

    Raises:
        InputError: negative or infinite costs, or a number of them that does not fit the bounds.

    Example:
        >>> import numpy as np, lrfjax
        >>> code = BitCosts(4.0, np.array([3.0, 2.0, 1.0, 2.0, 3.0]))
        >>> model = lrfjax.Model(u=lrfjax.FactorModel(lrfjax.IntegerBox(-2, 2), (code,)))
        >>> x = np.random.default_rng(0).normal(size=(9, 7))
        >>> print(lrfjax.factorize(x, 2, model=model).history.bits.shape)
        (11,)
    """

    costs: Any = None

    def bits(self, column: Array, r: Array) -> Array:
        """Return the bits of a column."""
        code = (column - self.lowest_of(r)).astype(jnp.int32)
        return jnp.sum(self.charges(column, r)[code])

    def charges(self, column: Array, r: Array) -> Array:
        """Return the table, or its row ``r``."""
        costs = jnp.asarray(self.costs, column.dtype)
        return costs if costs.ndim == 1 else costs[r]

    def fitted_to(self, constraint: Constraint) -> Self:
        """Return the penalty with the bounds of a set; raise InputError if the costs do not fit."""
        fitted = super().fitted_to(constraint)
        costs = np.asarray(checks.real_array("costs", self.costs))
        if costs.ndim not in (1, 2) or costs.shape[-1] != fitted.num_values:
            raise InputError(
                f"costs must have one entry for each of {fitted.num_values} integers, "
                f"got shape {costs.shape}"
            )
        if not np.all(np.isfinite(costs)) or np.any(costs < 0):
            raise InputError(f"costs must be finite and non-negative, got {costs.min()}")
        return replace(fitted, costs=costs)


def factor_bits(result: Result | Factors) -> np.ndarray:
    """Return the empirical entropy of both factors in bits, with an ideal code for each column.

    Args:
        result: factors, or a result with them, of any batch shape; any numbers.

    Returns:
        Bits, float64, with the batch shape.

    Example:
        >>> import numpy as np, lrfjax
        >>> print(factor_bits(lrfjax.Factors(np.array([[0], [1], [1], [0]]), np.ones((3, 1)))))
        4.0
    """

    def of_column(column: np.ndarray) -> float:
        _, counts = np.unique(column, return_counts=True)
        return float(np.sum(counts * np.log2(column.size / counts)))

    factors = factors_of(result)
    parts = [np.asarray(part) for part in (factors.u, factors.v)]
    return np.asarray(sum(np.apply_along_axis(of_column, -2, part).sum(axis=-1) for part in parts))


def histogram(column: Array, lowest: Array, num_values: int) -> Array:
    """Return how often lowest, lowest + 1, ... occur in a column, shape (num_values,)."""
    values = lowest + jnp.arange(num_values, dtype=column.dtype)
    return jnp.sum(column[None, :] == values[:, None], axis=1, dtype=column.dtype)


def charges(counts: Array) -> Array:
    """Return the bits that the bound charges for each value, shape (num_values,)."""
    length = jnp.maximum(jnp.sum(counts), 1)
    unused = jnp.log2(length) + math.log2(math.e)
    bits = jnp.log2(length) - jnp.log2(jnp.where(counts > 0, counts, 1))
    return jnp.where(counts > 0, bits, unused)


def cheapest(
    numerator: Array,
    curvature: Array,
    old: Array,
    bounds: tuple[Any, Any],
    prices: Array,
    l1: Array | float,
    slack: Array,
) -> Array:
    """Return the column that minimises d u^2 - 2 n u + 2 l1 |u| + p(u), entry by entry.

    Args:
        numerator: n, shape (L,).
        curvature: d, scalar or of shape (L,); it may be zero.
        old: old column, feasible.
        bounds: lowest and highest value, scalars.
        prices: p of lowest, lowest + 1, ..., shape (num_values,) or (num_values, L).
        l1: weight of the magnitudes.
        slack: bound of the rounding error of n; an entry stays where less than that is gained.

    Returns:
        The new column, shape (L,).
    """
    lowest, highest = bounds
    num_values = prices.shape[0]

    def cost(u: Array) -> Array:
        return u * (curvature * u - 2 * numerator) + 2 * l1 * jnp.abs(u)

    def try_value(k: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
        best, least = found
        value = lowest + jnp.asarray(k, old.dtype)
        price = jnp.where(value <= highest, cost(value) + prices[k], jnp.inf)
        is_better = price < least
        return jnp.where(is_better, value, best), jnp.where(is_better, price, least)

    # A loop over the values, for all entries at once: an argmin over both axes takes ten times as
    # long on a CPU.
    begun = old, jnp.full_like(old, jnp.inf)
    best, least = lax.fori_loop(0, num_values, try_value, begun, unroll=min(num_values, 4))
    index = jnp.clip(old - lowest, 0, num_values - 1).astype(jnp.int32)
    own = prices[index] if prices.ndim == 1 else jnp.take_along_axis(prices, index[None], 0)[0]
    kept = cost(old) + own
    return jnp.where(kept - least > 2 * slack * jnp.abs(best - old), best, old)
