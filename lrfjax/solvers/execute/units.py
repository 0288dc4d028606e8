"""The units in which X is solved, and the way of factors and results into them and out again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.pytrees import register
from lrfjax.solvers.model import Model
from lrfjax.solvers.penalties.penalty import Penalty
from lrfjax.types import Factors, History, Result


@register
@dataclass(frozen=True)
class Units:
    """What X, its weights and its factors were divided by, all of them powers of two.

    The solver sees X / value - shift, weights / weight, U / factor and V / factor. The factors of
    cones take half of the unit of X each. Those of boxes keep theirs; there the scale takes it.

    Attributes:
        value: unit of X.
        factor: unit of U and of V: the square root of ``value``, or 1.
        weight: unit of the weights; 1 without weights.
        shift: constant that was subtracted, in units of ``value``; None for 0.
        degree: power of the unit of X in that of the objective, see ``Loss``; static.
    """

    value: Array
    factor: Array
    weight: Array | float = 1.0
    shift: Array | None = None
    degree: float = field(default=2.0, metadata={"static": True})

    def scaled(self, model: Model) -> Model:
        """Return a model with its penalties in the units of the solver."""
        u, v = (
            replace(side, penalties=tuple(map(self._scaled, side.penalties)))
            for side in model.sides
        )
        return replace(model, u=u, v=v)

    def _scaled(self, penalty: Penalty) -> Penalty:
        """Return a penalty in the units of the solver.

        Its weight is kept far below infinity, which times an entry of 0 would be NaN. So powers of
        the units are multiplied one by one.
        """
        info = jnp.finfo(self.value.dtype)
        left, ratio = self.degree, self.factor / self.value
        for _ in range(penalty.degree or 0):
            penalty, left = penalty.scaled(ratio if left > 0 else self.factor), left - 1
        penalty = penalty.scaled(_power(1 / self.value, left))
        largest = float(info.max) * float(info.eps)
        return replace(penalty, weight=jnp.minimum(penalty.weight / self.weight, largest))

    def inward(self, factors: Factors) -> Factors:
        """Return given factors in the units of the solver."""
        dtype = self.value.dtype
        scale, offset = factors.scale, factors.offset
        if scale is not None:
            scale = jnp.asarray(scale, dtype) * self.factor / self.value * self.factor
        if offset is not None:
            offset = jnp.asarray(offset, dtype) / self.value
            offset = offset if self.shift is None else offset - self.shift
        return Factors(
            jnp.asarray(factors.u, dtype) / self.factor,
            jnp.asarray(factors.v, dtype) / self.factor,
            scale,
            offset,
        )

    def restored(self, factors: Factors) -> Factors:
        """Return factors of the solver in the units of X."""
        scale, offset = factors.scale, factors.offset
        if offset is not None:
            offset = offset if self.shift is None else offset + self.shift
        return Factors(
            factors.u * self.factor,
            factors.v * self.factor,
            None if scale is None else scale * self.value / self.factor / self.factor,
            None if offset is None else offset * self.value,
        )

    def entries(self, history: History) -> History:
        """Return entries of the history in the units of X."""
        gradient, kept = history.projected_gradient, history.factors
        if gradient is not None:
            gradient = self._objective(gradient, 1 / self.factor)
        return replace(
            history,
            objective=self._objective(history.objective, 1.0),
            projected_gradient=gradient,
            factors=None if kept is None else self.restored(kept),
        )

    def outward(self, result: Result) -> Result:
        """Return a result of the solver in the units of X, with its history."""
        return replace(
            result, factors=self.restored(result.factors), history=self.entries(result.history)
        )

    def _objective(self, value: Array, by: Array | float) -> Array:
        """Return a number in the unit of the objective, times ``by``, in units of X."""
        whole = int(min(self.degree, 1))
        for _ in range(whole):
            value = value * self.value
        return _power(self.value, self.degree - whole) * (value * self.weight * by)


def _power(base: Array, exponent: float) -> Array:
    """Return a power of a power of four; exact for whole numbers of either sign."""
    if exponent == int(exponent):
        return lax.integer_pow(base, int(exponent))
    return base**exponent
