"""First-order methods on optax: all entries of U and V at once, without closed-form columns.

For continuous sets this is projected gradient descent, for discrete ones straight-through rounding.
It serves to compare the two families.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from lrfjax.errors import InputError, InputTypeError
from lrfjax.pytrees import register
from lrfjax.solvers.losses.loss import floored
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.numerics import contract
from lrfjax.solvers.problem import Problem, State, residual

_Pair = tuple[Array, Array]


@cache
def default_optimizer() -> optax.GradientTransformation:
    """Return ``optax.adam(0.1)``, always the same object.

    For continuous sets, 0.1 was the best of the rates 0.003, 0.01, 0.03, 0.1, or within rounding of
    the best, after 200 steps on the patches of one photograph and on one random matrix, at ranks 4,
    8, 16. For integers no rate stood out.
    """
    return optax.adam(0.1)


@register
@dataclass(frozen=True)
class Memory:
    """The memory of a first-order method.

    Attributes:
        params: latent factors, divided by ``steps``.
        steps: typical size of the entries of both factors in the start.
        optimizer: state of the optimizer.
        state: feasible factors.
    """

    params: _Pair
    steps: _Pair
    optimizer: Any
    state: State


@register
@dataclass(frozen=True)
class FirstOrder(Method):
    """A gradient step on all entries of both factors at once, by an optimizer of optax.

    For ``Real`` this is gradient descent. For other convex sets it is projected gradient descent
    (Lin, 2007): a projection follows every step. For discrete sets it is straight-through
    estimation (Bengio, Leonard and Courville, 2013): latent real factors inside the box are rounded
    in the forward pass, and the gradient with respect to the rounded factors is applied to the
    latent ones. The history and the result hold the rounded factors.

    This method promises no descent. The objective may rise from one entry of the history to the
    next, and the result holds the factors of the last step. Straight-through rounding in particular
    hovers: on photographs, from the rounded SVD start, it often ends slightly above the start.

    **Learning rates** mean the same for every X. The optimizer sees each factor divided by the root
    mean square of its entries in the start (before projection; 1 if it is all zero). A learning
    rate of 0.01 thus lets Adam move entries by about a hundredth of their typical size. The loss is
    min(M, N) ||X - U V^T||_F^2 / ||X||_F^2, with a curvature of the order of 1 for all sizes,
    scales and ranks. A learning rate of 0.1 to 0.5 thus suits plain gradient descent. Other losses
    are divided by their value at X and zero, or, if z must be positive, at X and its mean.

    Attributes:
        optimizer: any optax transformation that runs without the host; static, compared by
            identity: **a new object compiles again, even with the same settings**, so make it once
            and reuse it. Those with a line search or a Polyak step also receive the loss (of the
            unprojected step). None means ``optax.adam(0.1)``.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0])
        >>> result = lrfjax.factorize(x, 1, method=FirstOrder(), num_iters=50)
    """

    optimizer: optax.GradientTransformation | None = field(default=None, metadata={"static": True})

    descends: ClassVar[bool] = False

    def __post_init__(self) -> None:
        given = self.optimizer
        if given is not None and not isinstance(given, optax.GradientTransformation):
            raise InputTypeError(
                f"optimizer must be an optax.GradientTransformation, got {given!r}"
            )

    def check(self, model: Model, is_weighted: bool) -> None:
        """Raise InputError for an affine model, penalties, or frozen columns."""
        if model.fit_scale or model.fit_offset:
            raise InputError("FirstOrder fits no scale or offset, got fit_scale or fit_offset")
        for side in model.sides:
            if side.penalties:
                raise InputError(f"FirstOrder does not support penalties, got {side.penalties!r}")
            if side.is_fixed or side.frozen is not None:
                raise InputError("FirstOrder does not support frozen columns, got some")

    def init(self, problem: Problem, model: Model, start: State, rank: Array | int) -> Memory:
        """Return the memory at a start, which is projected; integers only into their box."""
        steps = (_root_mean_square(start.ut, rank), _root_mean_square(start.vt, rank))
        params = _confine((start.ut / steps[0], start.vt / steps[1]), steps, model)
        state = _feasible(params, steps, model, rank)
        return Memory(params, steps, self._transformation.init(params), state)

    def state(self, memory: Memory) -> State:
        """Return the feasible factors."""
        return memory.state

    def step(self, problem: Problem, model: Model, memory: Memory, rank: Array | int) -> Memory:
        """Make one step of the optimizer."""
        live = jnp.arange(memory.state.ut.shape[0], dtype=jnp.int32)[:, None] < rank
        normaliser = _normaliser(problem, model)

        def loss(params: _Pair) -> Array:
            ut, vt = (
                jnp.where(live, _forward(side, step * factor), 0)
                for side, step, factor in zip(model.sides, memory.steps, params, strict=True)
            )
            if model.is_squared:
                difference = residual(problem, State(ut, vt))
                total = jnp.sum(_weighted(problem, difference * difference))
            else:
                z = floored(model.loss, contract(vt, ut, 0, 0), problem.unit)
                value = model.loss.value(problem.xt * problem.unit, z)
                total = jnp.sum(_weighted(problem, value))
            return min(problem.x.shape) * total / normaliser

        # Line searches and Polyak steps need the loss; other transformations ignore it. optax
        # relies on the default promotion of dtypes.
        with jax.numpy_dtype_promotion("standard"):
            value, gradient = jax.value_and_grad(loss)(memory.params)
            update = optax.with_extra_args_support(self._transformation).update
            updates, optimizer = update(
                gradient, memory.optimizer, memory.params, value=value, grad=gradient, value_fn=loss
            )
            params = optax.apply_updates(memory.params, updates)
        params = _confine(params, memory.steps, model)
        state = _feasible(params, memory.steps, model, rank)
        return Memory(params, memory.steps, optimizer, state)

    @property
    def _transformation(self) -> optax.GradientTransformation:
        return default_optimizer() if self.optimizer is None else self.optimizer


def _weighted(problem: Problem, a: Array) -> Array:
    return a if problem.weights is None else problem.weights.times(a)


def _normaliser(problem: Problem, model: Model) -> Array:
    """Return what the loss is divided by, 1 if that is zero."""
    if model.is_squared:
        value = problem.norm * problem.norm
    else:
        xt = problem.xt * problem.unit
        mean = problem.total / problem.count if model.loss.is_positive else 0.0 * problem.total
        z = floored(model.loss, jnp.broadcast_to(mean, xt.shape), problem.unit)
        value = jnp.sum(_weighted(problem, model.loss.value(xt, z)))
    return jnp.where(value > 0, value, 1)


def _confine(params: _Pair, steps: _Pair, model: Model) -> _Pair:
    """Project the optimizer's parameters; for integers on the box alone, without rounding."""
    confined = [
        side.constraint.relaxed().project(step * factor) / step
        for side, step, factor in zip(model.sides, steps, params, strict=True)
    ]
    return confined[0], confined[1]


def _feasible(params: _Pair, steps: _Pair, model: Model, rank: Array | int) -> State:
    return model.project(State(steps[0] * params[0], steps[1] * params[1]), rank)


def _root_mean_square(factor: Array, rank: Array | int) -> Array:
    """Return the root mean square of the live entries, or 1 if that is zero or not finite."""
    count = jnp.asarray(rank, factor.dtype) * factor.shape[1]
    value = jnp.sqrt(jnp.sum(factor * factor) / count)
    return lax.stop_gradient(jnp.where((value > 0) & jnp.isfinite(value), value, 1))


def _forward(side: FactorModel, factor: Array) -> Array:
    """Return the factor in the loss: integers are rounded, with the gradient of the identity."""
    if not side.constraint.is_discrete:
        return factor
    # The difference is exactly zero and carries the gradient. Adding the rounding error to the
    # factor instead would round once more, and the sum need not be an integer.
    rounded = lax.stop_gradient(side.constraint.project(factor))
    return rounded + (factor - lax.stop_gradient(factor))
