"""Multiplicative updates, the classic method for beta-divergences, for comparison with others."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from lrfjax.errors import InputError
from lrfjax.pytrees import register
from lrfjax.solvers.losses.divergence import BetaDivergence
from lrfjax.solvers.losses.loss import floored
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.numerics import contract
from lrfjax.solvers.penalties.penalty import L1, L2
from lrfjax.solvers.problem import Problem, Products, State
from lrfjax.solvers.sets.boxes import NonNegative


@register
@dataclass(frozen=True)
class Multiplicative(Method):
    """Multiplicative updates of all entries of U, then of V (Lee and Seung, 2000).

    The slope of a beta-divergence is P - Q with P and Q non-negative, and

        U <- U ((Q V) / (P V + l1 + l2 U))^e,  e = 1, or 1 / (2 - beta) for beta < 1.

    This minimises a majoriser (Fevotte and Idier, 2011): Jensen's inequality with the shares
    u_ir v_jr / z_ij for the convex part of the divergence, and a tangent for the concave part. So
    the objective never rises. With an L2 penalty, the square is in turn below a power of u that
    keeps the form. Entries of zero stay zero for ever.

    For ``NonNegative`` factors and ``BetaDivergence`` or ``SquaredError``, with weights, and with
    ``L1`` and ``L2`` for the squared error and beta = 2, ``L1`` for beta = 1.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0])
        >>> result = lrfjax.nmf(x, 1, loss=lrfjax.KullbackLeibler(), method=Multiplicative())
        >>> print(result.history.relative_error[-1] < 1e-3)
        True
    """

    def check(self, model: Model, is_weighted: bool) -> None:
        """Raise InputError for other losses, sets or penalties, or an affine model."""
        loss = _divergence(model)
        if model.fit_scale or model.fit_offset:
            raise InputError(f"{self!r} fits no scale or offset, got fit_scale or fit_offset")
        if any(not isinstance(c, NonNegative) for c in model.constraints):
            raise InputError(f"{self!r} needs NonNegative factors, got {model.constraints!r}")
        allowed = {2.0: (L1, L2), 1.0: (L1,)}.get(loss.beta, ())
        for side in model.sides:
            for penalty in side.penalties:
                if not isinstance(penalty, allowed):
                    raise InputError(f"{self!r} does not support {penalty!r} with {model.loss!r}")

    def sweep(
        self, problem: Problem, model: Model, state: State, rank: Array | int
    ) -> tuple[State, Products | None]:
        """Update U, then V."""
        u_model, v_model = model.sides
        loss = _divergence(model)
        weights = problem.weights
        of_rows = None if weights is None else weights.of_rows * weights.row_unit
        of_columns = None if weights is None else weights.of_columns * weights.column_unit

        def updated(
            target: Array, of: Array | None, partner: Array, factor: Array, side: FactorModel
        ) -> Array:
            z = floored(loss, contract(partner, factor, 0, 0), problem.unit)
            plus, minus = loss.parts(target, z)
            if of is not None:
                plus, minus = of * plus, of * minus
            plus, minus = contract(partner, plus, 1, 0), contract(partner, minus, 1, 0)
            l1, l2 = side.bounds(factor)
            # The slope of the squared error is twice that of the divergence.
            share = 1.0 if model.is_squared else 2.0
            plus = plus + share * (l1 + l2 * factor)
            # Q is negative for negative X; the majoriser is then least at zero.
            minus = jnp.maximum(minus, 0)
            ratio = jnp.where(plus > 0, minus / jnp.where(plus > 0, plus, 1), 1)
            new = factor * (ratio if loss.exponent == 1 else ratio**loss.exponent)
            return side.kept(factor, new)

        ut, vt = state.ut, state.vt
        ut = updated(problem.xt * problem.unit, of_rows, vt, ut, u_model)
        vt = updated(problem.x, of_columns, ut, vt, v_model)
        return State(ut, vt), None


def _divergence(model: Model) -> BetaDivergence:
    """Return the loss as a beta-divergence; half the squared error is one."""
    if model.is_squared:
        return BetaDivergence(2.0)
    if not isinstance(model.loss, BetaDivergence):
        raise InputError(f"Multiplicative() needs a BetaDivergence, got {model.loss!r}")
    return model.loss
