"""First-order comparators on optax, with the result and the history of block coordinate descent.

The methods are projected gradient descent for continuous constraints and straight-through rounding
for integers. They do without closed-form column updates and serve to compare the two families.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers import diagnostics
from lrfjax.solvers.arguments import (
    check_record,
    check_start,
    flatten_batch,
    restore_batch,
)
from lrfjax.solvers.constraints import Constraint, NonNegative
from lrfjax.solvers.front_door import front_door
from lrfjax.solvers.initialize import nndsvd_start, random_start, svd_start
from lrfjax.solvers.meshes import refuse_checked_axes
from lrfjax.solvers.model_arguments import check_constraint
from lrfjax.solvers.numerics import contract, power_of_two_near
from lrfjax.solvers.problem import FactorModel, Models, Problem, State, prepare
from lrfjax.solvers.units import Units
from lrfjax.types import Factors, History, Result, Status, factors_of

_STARTS = ("svd", "nndsvd", "random")

# Made once, since a new object compiles again in every call. For continuous constraints, 0.1 was
# the best of the rates 0.003, 0.01, 0.03, 0.1, or within rounding of the best, after 200 steps on
# the patches of one photograph and on one random matrix, at ranks 4, 8, 16. For integers no rate
# stood out.
_DEFAULT_OPTIMIZER = optax.adam(0.1)

_Pair = tuple[Array, Array]


@front_door
def factorize_gradient(
    x: Any,
    rank: int,
    *,
    constraint: Constraint | tuple[Constraint, Constraint] = NonNegative(),  # noqa: B008 (frozen)
    optimizer: optax.GradientTransformation | None = None,
    num_iters: int = 100,
    init: str | Factors | Result = "svd",
    key: Array | None = None,
    record_every: int = 1,
    record: Sequence[str] | None = None,
) -> Result:
    """Factorize X ~ U V^T by a first-order method that updates all entries of U and V at once.

    Minimises ||X - U V^T||_F^2. For ``Real`` this is gradient descent. For ``NonNegative`` and
    ``Box`` it is projected gradient descent (Lin, 2007): a projection follows every step. For
    discrete sets it is straight-through estimation (Bengio, Leonard and Courville, 2013): latent
    real factors inside the box are rounded in the forward pass, and the gradient with respect to
    the rounded factors is applied to the latent ones. The history and the result hold the rounded
    factors.

    This is a comparator for ``factorize`` and promises no descent. The objective may rise from one
    entry of the history to the next. The result holds the factors of the last iteration, not of the
    best one, in agreement with the end of the history. Straight-through rounding in particular
    hovers: on photographs, from the rounded SVD start, it often ends slightly above the start.

    **Learning rates** mean the same for every X. The optimizer sees each factor divided by the
    root mean square of its entries in the start (before projection; 1 if it is all zero). A
    learning rate of 0.01 thus lets Adam move entries by about a hundredth of their typical size.
    The loss is min(M, N) ||X - U V^T||_F^2 / ||X||_F^2, with a curvature of the order of 1 for all
    sizes, scales and ranks. A learning rate of 0.1 to 0.5 thus suits plain gradient descent.

    Args:
        x: shape (..., M, N), real numbers. The computation is in float32, or in float64 for float64
            and 64-bit integers if x64 is on. The problems of a batch are solved independently, in
            one vmap.
        rank: number of columns, 1 to min(M, N); static.
        constraint: constraint of both factors, or a pair for U and V. Bounds are scalars or of
            shape (rank,), one for each column.
        optimizer: any optax transformation that runs without the host. Those with a line search or
            a Polyak step also receive the loss (of the unprojected step). The optimizer is a static
            argument of the compiled loop and is compared by identity: **a new object compiles
            again, even with the same settings**, so make it once and reuse it. Learning rates can
            be traced if the optimizer is made inside ``jit`` or ``vmap``. None means
            ``optax.adam(0.1)``.
        num_iters: number of steps, without an early stop; static.
        init: ``"svd"``, as for ``imf``; ``"nndsvd"``; ``"random"`` with a ``key``; or ``Factors``
            of shapes (..., M, rank) and (..., N, rank). All are projected on the constraint, except
            that integers start from the latent start clamped to the box. The state of the optimizer
            is always fresh.
        key: a JAX PRNG key or an integer seed, for ``init="random"``; all problems of a batch use
            the same draws.
        record_every: number of steps between two entries of the history, a divisor of
            ``num_iters``; static.
        record: names of the history fields to keep, see ``factorize``; static.

    Returns:
        A ``Result``. Entry k of the history describes the feasible factors after
        k * ``record_every`` steps. With integers, ``num_changed`` counts the entries of U and V
        that changed since the previous entry. The status is ``FAILED`` if the last relative error
        is not finite, otherwise ``ITERATION_LIMIT``.

    Raises:
        InputError: a value out of range, an empty matrix, NaN or infinity, a start or bounds of
            the wrong shape.
        InputTypeError: a wrong type.

    Example:
        >>> import numpy as np
        >>> x = np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0])
        >>> result = factorize_gradient(x, rank=1, num_iters=20)
        >>> print(result.factors.u.shape, bool(result.history.relative_error[-1] < 0.05))
        (3, 1) True
    """
    x = checks.matrix("x", x)
    refuse_checked_axes(x)
    rank = checks.integer("rank", rank, 1, min(x.shape[-2:]))
    num_iters = checks.integer("num_iters", num_iters, 0)
    record_every = checks.integer("record_every", record_every, 1)
    if num_iters % record_every:
        raise InputError(
            f"record_every must divide num_iters, got {record_every} and num_iters={num_iters}"
        )
    if optimizer is None:
        optimizer = _DEFAULT_OPTIMIZER
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InputTypeError(
            f"optimizer must be an optax.GradientTransformation, got {optimizer!r}"
        )
    constraints = _check_constraints(constraint, rank, x.dtype)
    fields = check_record(record, _models(constraints))
    init = factors_of(init)
    start, given = check_start(init, key, x.shape, rank, rank, _STARTS)
    for name in ("scale", "offset") if isinstance(init, Factors) else ():
        if (value := getattr(init, name)) is not None:
            raise InputError(f"init.{name} must be None for a first-order method, got {value}")

    # optax relies on the default promotion of dtypes.
    with jax.numpy_dtype_promotion("standard"):
        result = _solve(
            flatten_batch(x),
            jax.tree.map(flatten_batch, given) if start == "given" else None,
            key=given if start == "random" else None,
            constraints=constraints,
            optimizer=optimizer,
            start=start,
            rank=rank,
            num_iters=num_iters,
            record_every=record_every,
            fields=fields,
        )
    return restore_batch(result, x.shape[:-2])


def _models(constraints: tuple[Constraint, Constraint]) -> Models:
    return FactorModel(constraints[0]), FactorModel(constraints[1])


@partial(
    jax.jit,
    static_argnames=("optimizer", "start", "rank", "num_iters", "record_every", "fields"),
)
def _solve(x: Array, given: Factors | None, **settings: Any) -> Result:
    """Solve one problem (``x`` has two axes) or a batch of them (three), see ``_solve_one``."""

    def solve(x: Array, given: Factors | None) -> Result:
        return _solve_one(x, given, **settings)

    return solve(x, given) if x.ndim == 2 else jax.vmap(solve)(x, given)


def _solve_one(
    x: Array,
    given: Factors | None,
    *,
    key: Array | None,
    constraints: tuple[Constraint, Constraint],
    optimizer: optax.GradientTransformation,
    start: str,
    rank: int,
    num_iters: int,
    record_every: int,
    fields: tuple[str, ...],
) -> Result:
    """Solve one problem, x of shape (M, N); the arguments are those of ``factorize_gradient``."""
    # Cones admit any scaling: a power of two brings X near 1, so that no square of an entry
    # overflows or vanishes. Boxes do not; with them, only the error is computed in that unit.
    near = lax.stop_gradient(power_of_two_near(x))
    is_cone = all(c.is_cone for c in constraints)
    one = jnp.ones_like(near)
    units = Units(near, jnp.sqrt(near)) if is_cone else Units(one, one)
    x = x / units.value
    problem = prepare(x, is_near_one=is_cone)
    # With bounded factors the norm of X is in a unit near its entries; otherwise X is near one.
    unit, safe_norm = problem.unit, jnp.where(problem.norm > 0, problem.norm, 1)

    models = _models(constraints)
    if given is not None:
        given = units.inward(given)
        ut, vt = given.u.T, given.v.T
    else:
        ut, vt = _named_start(problem, key, start, rank, constraints)
    steps = (_root_mean_square(ut), _root_mean_square(vt))

    def latent(params: _Pair) -> _Pair:
        return params[0] * steps[0], params[1] * steps[1]

    def feasible(params: _Pair) -> _Pair:
        factors = latent(params)
        return constraints[0].project(factors[0]), constraints[1].project(factors[1])

    def confine(params: _Pair) -> _Pair:
        """Project the optimizer's parameters; for integers on the box alone, without rounding."""
        factors = latent(params)
        confined = [c.relaxed().project(f) for c, f in zip(constraints, factors, strict=True)]
        return confined[0] / steps[0], confined[1] / steps[1]

    def loss(params: _Pair) -> Array:
        factors = latent(params)
        ut, vt = (_forward(c, f) for c, f in zip(constraints, factors, strict=True))
        residual = (x - contract(ut, vt, 0, 0)) / unit / safe_norm
        return min(x.shape) * jnp.sum(residual * residual)

    def describe(factors: _Pair, before: _Pair, iteration: Array | int) -> History:
        return diagnostics.record(
            problem, State(*factors), State(*before), iteration, rank, models, fields
        )

    # Line searches and Polyak steps need the loss; other transformations ignore it.
    update = optax.with_extra_args_support(optimizer).update

    def step(_: Any, carry: tuple[_Pair, optax.OptState]) -> tuple[_Pair, optax.OptState]:
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        return confine(optax.apply_updates(params, updates)), state

    def advance(
        carry: tuple[_Pair, optax.OptState], entry: Array
    ) -> tuple[tuple[_Pair, optax.OptState], History]:
        before = feasible(carry[0])
        carry = lax.fori_loop(0, record_every, step, carry)
        return carry, describe(feasible(carry[0]), before, entry * record_every)

    params = confine((ut / steps[0], vt / steps[1]))
    first = describe(feasible(params), feasible(params), 0)
    entries = jnp.arange(1, num_iters // record_every + 1, dtype=jnp.int32)
    (params, _), later = lax.scan(advance, (params, optimizer.init(params)), entries)
    history = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)

    failed = ~jnp.isfinite(history.relative_error[-1])
    status = jnp.where(failed, Status.FAILED, Status.ITERATION_LIMIT).astype(jnp.int32)
    ut, vt = feasible(params)
    result = Result(Factors(ut.T, vt.T), history, jnp.asarray(num_iters, jnp.int32), status)
    return units.outward(result)


def _named_start(
    problem: Problem,
    key: Array | None,
    start: str,
    rank: int,
    constraints: tuple[Constraint, Constraint],
) -> _Pair:
    """Return the transposed start, not yet feasible."""
    near_one = problem.xt.T
    if start == "random":
        assert key is not None
        ut, vt = random_start(key, near_one, rank, rank, constraints)
    elif start == "nndsvd":
        ut, vt = nndsvd_start(near_one, rank)
    else:
        ut, vt = svd_start(near_one, rank, constraints[1].wider_side())
    root = jnp.sqrt(problem.unit)
    return ut * root, vt * root


def _root_mean_square(factor: Array) -> Array:
    """Return the root mean square of the entries, or 1 if that is zero or not finite."""
    value = jnp.sqrt(jnp.mean(factor * factor))
    return lax.stop_gradient(jnp.where((value > 0) & jnp.isfinite(value), value, 1))


def _forward(constraint: Constraint, factor: Array) -> Array:
    """Return the factor in the loss: integers are rounded, with the gradient of the identity."""
    if not constraint.is_discrete:
        return factor
    # The difference is exactly zero and carries the gradient. Adding the rounding error to the
    # factor instead would round once more, and the sum need not be an integer.
    return lax.stop_gradient(constraint.project(factor)) + (factor - lax.stop_gradient(factor))


def _check_constraints(constraint: Any, rank: int, dtype: Any) -> tuple[Constraint, Constraint]:
    """Return a pair of constraints whose bounds have the dtype of the factors."""
    pair = constraint if isinstance(constraint, tuple) else (constraint, constraint)
    if len(pair) != 2:
        raise InputTypeError(f"constraint must be one or a pair, for U and V, got {constraint!r}")
    checked = [check_constraint("constraint", part, dtype) for part in pair]
    for bound in jax.tree.leaves(checked):
        if np.shape(bound) not in ((), (rank,)):
            raise InputError(
                f"constraint must have scalar bounds or one for each of {rank} columns, "
                f"got {constraint!r}"
            )
    return checked[0], checked[1]
