"""U for a known V: the coding of rows with a dictionary."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.solvers.execute.front_door import front_door
from lrfjax.solvers.execute.part_checks import tolerance_rule
from lrfjax.solvers.execute.planning import plan_call
from lrfjax.solvers.execute.shapes import check_data
from lrfjax.solvers.losses.loss import Loss
from lrfjax.solvers.losses.squared import SquaredError
from lrfjax.solvers.methods.bcd import BCD
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.penalties.penalty import L1, L2
from lrfjax.solvers.sets.boxes import NonNegative, Real
from lrfjax.solvers.sets.constraint import Constraint
from lrfjax.solvers.stopping import SmallChange
from lrfjax.types import Factors, factors_of

_PASSES = 10
"""Passes over the columns between two products with X."""

_RIDGE_UNITS = 1e3
"""Ridge of the start, in units of rounding of the trace of V^T V."""


@front_door
def transform(
    x: Any,
    v: Any,
    *,
    constraint: Constraint,
    loss: Loss = SquaredError(),  # noqa: B008 (frozen)
    num_iters: int = 50,
    change_tol: float | Array = 0.0,
    l1: float | Array = 0.0,
    l2: float | Array = 0.0,
    weights: Any | None = None,
) -> Array:
    """Return the U that fits X ~ scale * U V^T + offset for a known V, by block coordinate descent.

    Minimises the objective of ``factorize`` over U alone. The rows of X are independent problems,
    and their number is free. V may have more columns than rows (an overcomplete dictionary). U
    starts from the least-squares solution, with a slight ridge, projected on the constraint.

    Args:
        x: shape (..., M, N), real numbers; entries of zero weight may have any value.
        v: the dictionary, shape (..., N, R) or (N, R) for all of a batch; or a ``Result`` or
            ``Factors`` with it, whose scale and offset are taken as well.
        constraint: constraint of U. Bounds are scalars, or of shape (R,), one for each column.
        loss: the loss, see ``Loss``.
        num_iters: largest number of sweeps, at least 1; static. A sweep passes ten times over the
            columns of U, which costs little beside the product X V.
        change_tol: stop when U changes by no more than this share of its norm in a sweep; 0 stops
            only where integers do not change any more.
        l1: weight of the magnitudes of the entries, at least 0, see ``factorize``.
        l2: weight of the squares of the entries, likewise.
        weights: shape (..., M, N) or (M, N), non-negative; 0 or False marks a missing entry.

    Returns:
        U, shape (..., M, R), in the dtype of the computation.

    Raises:
        InputError: a value out of range, NaN or infinity, shapes that do not fit, or a negative V
            for a loss of positive numbers.
        InputTypeError: a wrong type.

    Example:
        >>> import numpy as np, lrfjax
        >>> v = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
        >>> u = transform(np.array([[3.0, 5.0, 4.0]]), v, constraint=lrfjax.NonNegative())
        >>> print(np.round(np.asarray(u), 3))
        [[3. 2.]]
    """
    given = factors_of(v)
    scale, offset = (given.scale, given.offset) if isinstance(given, Factors) else (None, None)
    x, weights = check_data(x, weights)
    dictionary = checks.matrix("v", given.v if isinstance(given, Factors) else given)
    dictionary = dictionary.astype(x.dtype)
    shape = (*x.shape[:-2], x.shape[-1], dictionary.shape[-1])
    if dictionary.shape not in (shape, shape[-2:]):
        raise InputError(f"v must have shape {shape} or {shape[-2:]}, got {dictionary.shape}")
    num_iters = checks.integer("num_iters", num_iters, 1)
    l1, l2 = (
        checks.real(name, weight, 0.0) if checks.is_concrete(weight) else weight
        for name, weight in (("l1", l1), ("l2", l2))
    )
    if offset is not None:
        x = x - _per_problem(offset, x)
        x = x if weights is None else jnp.where(weights > 0, x, 0)
    if scale is not None:
        # The objective is divided by scale^2, the penalties included.
        x = x / _per_problem(scale, x)
        for name, penalty in (("l1", l1), ("l2", l2)):
            if jnp.ndim(scale) and not (isinstance(penalty, int | float) and penalty == 0):
                raise InputError(f"{name} must be 0 for a batch of scales, got {penalty}")
        if not jnp.ndim(scale):
            l1, l2 = (penalty / (scale * scale) for penalty in (l1, l2))
    dictionary = jnp.broadcast_to(dictionary, shape)
    v_set: Constraint = Real()
    if isinstance(loss, Loss) and loss.is_positive:
        v_set = NonNegative()
        if checks.is_concrete(dictionary) and (least := float(jnp.min(dictionary))) < 0:
            raise InputError(f"v must be non-negative for {loss!r}, got an entry of {least:g}")
    u = FactorModel(constraint, (L1(l1), L2(l2)))
    call = plan_call(
        x,
        shape[-1],
        model=Model(u, FactorModel(v_set, is_fixed=True), loss),
        method=BCD(num_passes=(_PASSES, 1)),
        start=Factors(_least_squares(x, dictionary), dictionary),
        stop=tolerance_rule("change_tol", change_tol, SmallChange),
        record=(),
        num_iters=num_iters,
        record_every=1,
        weights=weights,
        key=None,
    )
    return call.solve().factors.u


def _per_problem(value: Any, x: Array) -> Array:
    """Return a scale or an offset in a shape that broadcasts against X."""
    return jnp.asarray(value, x.dtype)[..., None, None]


def _least_squares(x: Array, v: Array) -> Array:
    """Return U of the least squares with a slight ridge, which makes it unique."""
    precision = lax.Precision.HIGHEST
    gram = jnp.matmul(jnp.swapaxes(v, -1, -2), v, precision=precision)
    trace = jnp.trace(gram, axis1=-2, axis2=-1)[..., None, None]
    ridge = _RIDGE_UNITS * jnp.finfo(x.dtype).eps * jnp.where(trace > 0, trace, 1)
    identity = jnp.eye(gram.shape[-1], dtype=x.dtype)
    products = jnp.matmul(x, v, precision=precision)
    solved = jnp.linalg.solve(gram + ridge * identity, jnp.swapaxes(products, -1, -2))
    return jnp.swapaxes(solved, -1, -2)
