"""The units in which X is solved, and the way of factors and results into them and out again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import Array

from lrfjax.solvers.problem import FactorModel
from lrfjax.types import Factors, Result


@jax.tree_util.register_dataclass
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
    """

    value: Array
    factor: Array
    weight: Array | float = 1.0
    shift: Array | None = None

    def scaled(self, model: FactorModel) -> FactorModel:
        """Return a model with its penalties in the units of the solver.

        They are kept far below infinity: an infinite penalty times an entry of 0 would be NaN.
        """
        info = jnp.finfo(self.value.dtype)
        largest = float(info.max) * float(info.eps)

        def limited(penalty: Array | float) -> Array:
            return jnp.minimum(penalty / self.weight, largest)

        ratio = self.factor / self.value
        return replace(
            model,
            l1=limited(model.l1 * ratio / self.value),
            l2=limited(model.l2 * ratio * ratio),
            rate=limited(model.rate / self.value / self.value),
        )

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

    def outward(self, result: Result) -> Result:
        """Return a result of the solver in the units of X, with its histories."""
        ratio = self.value / self.factor

        def restored(factors: Factors) -> Factors:
            scale, offset = factors.scale, factors.offset
            if offset is not None:
                offset = offset if self.shift is None else offset + self.shift
            return Factors(
                factors.u * self.factor,
                factors.v * self.factor,
                None if scale is None else scale * ratio / self.factor,
                None if offset is None else offset * self.value,
            )

        history = result.history
        gradient, kept = history.projected_gradient, history.factors
        if gradient is not None:
            gradient = gradient * self.weight * self.value * ratio
        history = replace(
            history,
            objective=history.objective * self.value * self.weight * self.value,
            projected_gradient=gradient,
            factors=None if kept is None else restored(kept),
        )
        return replace(result, factors=restored(result.factors), history=history)
