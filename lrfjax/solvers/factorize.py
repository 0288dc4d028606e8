"""``factorize``, which composes the parts of a solve, ``resume`` and ``reconstruct``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.execute.front_door import front_door
from lrfjax.solvers.execute.part_checks import check_stop
from lrfjax.solvers.execute.planning import plan_call
from lrfjax.solvers.execute.watching import Callback, check_watching, solve_watched
from lrfjax.solvers.methods.bcd import BCD
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import Model
from lrfjax.solvers.record import Record
from lrfjax.solvers.starts.start import Start
from lrfjax.solvers.stopping import Stop
from lrfjax.types import Factors, Result, Status, factors_of


@front_door
def factorize(
    x: Any,
    rank: int | Array,
    *,
    model: Model = Model(),  # noqa: B008 (frozen)
    method: Method = BCD(),  # noqa: B008 (frozen)
    start: str | Start | Factors | Result = "svd",
    stop: Stop | None = None,
    record: Record | Sequence[str] | None = None,
    num_iters: int = 10,
    record_every: int = 1,
    weights: Any | None = None,
    key: Any | None = None,
    num_restarts: int = 1,
    max_rank: int | None = None,
    fixed_length: bool = False,
    callback: Callback | None = None,
    progress: bool = False,
) -> Result:
    """Factorize X ~ scale * U V^T + offset, from parts: what is minimised, and how.

    Minimises

        sum_ij w_ij loss(x_ij, scale * (U V^T)_ij + offset) + penalties of U and of V

    over U and V in their sets. With ``BCD``, every column update minimises its subproblem or a
    majoriser of it, so this objective never rises: exactly for integer factors, up to rounding for
    real ones. ``imf`` and ``nmf`` are presets of this function. All parts can be written outside
    the package, see ``notebooks/02_convergence``.

    **Derivatives.** With real factors and ``fixed_length=True``, the whole result is differentiable
    in X, in forward and reverse mode, and so is the start. Singular vectors have no derivative
    where singular values coincide, so pass ``Factors`` as ``start`` if X is rank-deficient. Without
    ``fixed_length`` only forward mode works, since the loop may stop early. With integers,
    differentiation raises an error.

    Args:
        x: shape (..., M, N), real numbers. The computation is in float32, or in float64 for float64
            and 64-bit integers if x64 is on. ``x`` may lie on several devices, see ``shard_batch``
            and ``shard_rows``. Entries of zero weight may have any value, also NaN.
        rank: number of columns, at least 1, and at most min(M, N) for starts from an SVD. It may be
            traced: a new rank then compiles nothing, and the factors have ``max_rank`` columns,
            zero from column ``rank`` on.
        model: the sets of U and V, their penalties and frozen columns, the loss, and whether scale
            and offset are fitted.
        method: how a sweep is made: ``BCD``, ``Extrapolated``, ``Multiplicative``, ``FirstOrder``.
        start: ``"svd"``, ``"balanced"``, ``"nndsvd"``, ``"random"`` with a ``key``, a ``Start``, or
            ``Factors`` or a ``Result`` of shapes (..., M, rank) and (..., N, rank). Factors outside
            their set are projected on it, except for frozen columns. With weights, the named starts
            use X with its gaps filled from the means of rows and columns.
        stop: a stopping rule: ``Stalled``, ``SmallChange``, ``SmallGradient``, ``AnyOf``. With
            discrete sets, methods that descend also stop where nothing changes.
        record: names of the optional fields of ``History`` to keep, or a ``Record``; None keeps all
            scalars. Static.
        num_iters: largest number of sweeps; static.
        record_every: number of sweeps between two entries of the history, a divisor of
            ``num_iters``; static. Stopping rules are asked only when an entry is made. If only the
            factors matter, ``record_every=num_iters`` is faster.
        weights: shape (..., M, N) or (M, N), non-negative; 0 or False marks a missing entry. Rows
            and columns may differ in their weights by any factor.
        key: a JAX PRNG key or an integer seed, for ``start="random"``; all problems of a batch use
            the same draws.
        num_restarts: number of starts (``"balanced"``, ``"random"``, or a start with variants); the
            one with the lowest final objective is returned, with the histories of all in
            ``result.restarts``.
        max_rank: number of columns of the factors, static; set it to vary ``rank`` without
            compiling. The default is min(M, N) for a traced rank, and ``rank`` itself otherwise.
        fixed_length: run all sweeps, in a loop that allows reverse-mode differentiation; static.
        callback: called after every ``record_every`` sweeps with the number of sweeps, the entry of
            the history, and a function that returns the present ``Factors``. A callback that
            returns True stops the solve. Not inside ``jit``.
        progress: whether to show a bar; not inside ``jit``.

    Returns:
        A ``Result``.

    Raises:
        InputError: a value out of range, an empty matrix, NaN or infinity, parts that do not fit
            each other.
        InputTypeError: a wrong type.

    Warns:
        FitWarning: an integer factor is all zero, or most of it lies at the bounds, and the fit is
            bad; not inside ``jit``.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0])
        >>> semi_nmf = Model(u=lrfjax.NonNegative())
        >>> print(factorize(x, 1, model=semi_nmf).factors.u.shape)
        (3, 1)
    """
    call = plan_call(
        x,
        rank,
        model=model,
        method=method,
        start=start,
        stop=stop,
        record=record,
        num_iters=num_iters,
        record_every=record_every,
        weights=weights,
        key=key,
        num_restarts=num_restarts,
        max_rank=max_rank,
        fixed_length=fixed_length,
    )
    if check_watching(callback, progress, call):
        return solve_watched(call, callback, progress)
    return call.solve()


def resume(
    result: Result,
    num_iters: int,
    *,
    stop: Stop | None = None,
) -> Result:
    """Continue a solve for more sweeps, as if it had never stopped.

    50 sweeps and another 50 give the result of 100, bit for bit, also for accelerated methods. The
    history contains both parts. After several starts, the best one goes on.

    Args:
        result: a result of a solver as it was returned. ``jax.tree.map``, ``jit`` and ``vmap`` keep
            only its arrays, which is not enough; hold the loop yourself there, see ``init``.
        num_iters: number of further sweeps, a multiple of ``record_every``. If the problems of a
            batch have stopped at different sweeps, all go on to the same one.
        stop: a new stopping rule; None keeps that of the solve. A solve that has converged stays as
            it is unless there is a new rule.

    Returns:
        A ``Result``.

    Raises:
        InputError: a result that cannot be continued, or a value out of range.
        InputTypeError: a wrong type.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0])
        >>> result = resume(lrfjax.nmf(x, 1, num_iters=3), 2)
        >>> print(result.history.sweeps)
        [0 1 2 3 4 5]
    """
    if not isinstance(result, Result):
        raise InputTypeError(f"result must be a Result, got {type(result).__name__}")
    if result.origin is None:
        raise InputError(
            "result must be as a solver of sweeps returned it, got one without its state: use "
            "init, step and finish, or start from its factors"
        )
    num_iters = checks.integer("num_iters", num_iters, 0)
    call, progress = result.origin.call, result.origin.progress
    if call.plan.schedule.fixed_length:
        raise InputError("result must come from a loop that can stop, got fixed_length=True")
    parts = call.parts
    if stop is not None:
        rule, watch = check_stop(stop, parts.model, call.data.x.dtype, False)
        schedule = call.plan.schedule
        if not {*watch} <= {*schedule.fields}:
            raise InputError(f"stop needs fields that the solve did not record, got {stop!r}")
        parts = replace(parts, stop=rule)
        is_failed = jnp.asarray(result.status == Status.FAILED).reshape(progress.is_done.shape)
        progress = replace(progress, is_done=progress.is_done & is_failed)
    return _proceed(call.data.x, call, progress, num_iters, parts)


@front_door
def _proceed(x: Array, call: Any, progress: Any, num_iters: int, parts: Any) -> Result:
    """Go on, as ``front_door`` wants it."""
    return call.proceed(progress, num_iters, parts)


def reconstruct(result: Factors | Result) -> Array:
    """Return scale * U V^T + offset, shape (..., M, N), computed at full precision.

    Args:
        result: U of shape (..., M, R), V of shape (..., N, R), or a result with these. Integers
            are computed in float32.
    """
    factors = factors_of(result)
    u, v = (
        part if jnp.issubdtype(part.dtype, jnp.floating) else part.astype(jnp.float32)
        for part in (jnp.asarray(factors.u), jnp.asarray(factors.v))
    )
    product = jnp.matmul(u, jnp.swapaxes(v, -1, -2), precision=lax.Precision.HIGHEST)
    if factors.scale is not None:
        product = jnp.asarray(factors.scale)[..., None, None] * product
    if factors.offset is not None:
        product = product + jnp.asarray(factors.offset)[..., None, None]
    return product
