"""``factorize``, for any pair of constraints, and ``reconstruct``.

``factorize`` documents all options, checks the data, and hands over to ``planning``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.arguments import (
    check_data,
)
from lrfjax.solvers.constraints import Constraint, Real
from lrfjax.solvers.front_door import front_door
from lrfjax.solvers.model_arguments import Pair
from lrfjax.solvers.planning import plan_and_solve
from lrfjax.types import Factors, Result, factors_of


@front_door
def factorize(
    x: Any,
    rank: int | Array,
    *,
    constraints: tuple[Constraint, Constraint] = (Real(), Real()),
    num_iters: int = 10,
    tol: float | Array = 0.0,
    init: str | Factors | Result = "svd",
    key: Array | None = None,
    record_every: int = 1,
    l1: Pair = 0.0,
    l2: Pair = 0.0,
    frozen: tuple[Any, Any] = (False, False),
    fit_scale: bool = False,
    fit_offset: bool = False,
    rate: Pair = 0.0,
    num_restarts: int = 1,
    joint_moves: bool = False,
    accelerate: bool = False,
    num_passes: int | tuple[int, int] = 1,
    weights: Any | None = None,
    change_tol: float | Array = 0.0,
    gradient_tol: float | Array = 0.0,
    fixed_length: bool = False,
    record: Sequence[str] | None = None,
    max_rank: int | None = None,
) -> Result:
    """Factorize X ~ scale * U V^T + offset, under one constraint for each factor.

    This generalises ``imf`` and ``nmf`` to any pair of constraints: ``(NonNegative(), Real())`` is
    semi-NMF, ``(IntegerBox(lower, upper), Real())`` has integers in U alone. Minimises by block
    coordinate descent

        sum_ij w_ij (x_ij - scale * (U V^T)_ij - offset)^2 + N (2 a |U|_1 + b ||U||_F^2)
                                                           + M (2 c |V|_1 + d ||V||_F^2)
                                                           + rate * bits(U, V)

    with weights w (1 by default), l1 = (a, c) and l2 = (b, d). Penalties are scaled by the other
    dimension, as in the published code, so that their effect does not depend on the size of X.
    Every update is closed form, so this objective never rises: exactly for integer factors, up to
    rounding for real ones.

    **Derivatives.** With real factors and ``fixed_length=True``, the whole result is differentiable
    in X, in forward and reverse mode, and so is the start. Singular vectors have no derivative
    where singular values coincide, so pass ``Factors`` as ``init`` if X is rank-deficient. Without
    ``fixed_length`` only forward mode works, since the loop may stop early. With integers,
    differentiation raises an error.

    Args:
        x: shape (..., M, N), real numbers. Entries of zero weight may have any value, also NaN.
        rank: number of columns; may be traced, see ``imf``.
        constraints: constraints of U and of V: ``Real``, ``NonNegative``, ``Box``, ``IntegerBox``,
            ``Levels``, ``Sparse``, or any object with their methods (see ``Constraint``). Bounds
            may be arrays of shape (rank,), one for each column.
        num_iters: largest number of sweeps; static.
        tol: stop when the objective falls by no more than this share from one entry of the history
            to the next; 0 turns the test off.
        init: ``"svd"``, ``"balanced"``, ``"nndsvd"``, ``"random"`` with a ``key``, or ``Factors``
            or a ``Result`` of shapes (..., M, rank) and (..., N, rank). Factors that violate a
            constraint are projected on it, except for frozen columns. With weights, the named
            starts use X with its gaps filled from the means of rows and columns.
        key: a JAX PRNG key or an integer seed, for ``init="random"``; all problems of a batch use
            the same draws.
        record_every: number of sweeps between two entries of the history, a divisor of
            ``num_iters``; static. The stopping tests run only when an entry is made. If only the
            factors matter, ``record_every=num_iters`` is faster.
        l1: weight of the magnitudes of the entries, at least 0; one number for both factors, or a
            pair for U and V.
        l2: weight of the squares of the entries, likewise.
        frozen: for U and for V, which columns keep the values of ``init``: True for all, False for
            none, or booleans of shape (rank,). ``transform`` encodes rows with a known V.
        fit_scale: fit a scale of the product after each sweep. Both constraints must have bounds,
            since factors without bounds absorb the scale.
        fit_offset: fit an offset after each sweep.
        rate: weight of a bit, at least 0, for integers within concrete bounds; one number for both
            factors, or a pair. ``rate`` times the empirical entropy of the factors, each column
            with an ideal code of its own, joins the objective, which still never rises; see
            ``solvers/entropy.py``. Not scaled by the other dimension.
        num_restarts: number of starts (``"balanced"`` or ``"random"``); the best is returned.
        joint_moves: whether to also move integers in pairs, see ``imf``.
        accelerate: extrapolate after every sweep, with restarts that keep the objective from
            rising, see ``solvers/extrapolation.py``; for continuous constraints only.
        num_passes: number of passes over the columns of one factor before the other factor's turn
            (Gillis and Glineur, 2012); one number, or a pair for U and V; static.
        weights: shape (..., M, N) or (M, N), non-negative; 0 or False marks a missing entry. Rows
            and columns may differ in their weights by any factor.
        change_tol: stop when neither factor changes by more than this share of its norm from one
            entry of the history to the next (``u_change``, ``v_change``), nor the scale or, in
            units of the root mean square of X, the offset; 0 turns the test off.
        gradient_tol: stop when the norm of the projected gradient is at most this share of its
            value at the start; 0 turns the test off. For continuous constraints only.
        fixed_length: run all sweeps, in a loop that allows reverse-mode differentiation; static.
            All tolerances must be 0.
        record: names of the optional fields of ``History`` to keep; ``sweeps``, ``objective`` and
            ``relative_error`` are always kept. None keeps all scalars; ``"factors"`` is kept only
            if named. Static.
        max_rank: see ``imf``.

    Returns:
        A ``Result``.

    Raises:
        InputError: a value out of range, an empty matrix, NaN or infinity.
        InputTypeError: a wrong type.
    """
    x, weights = check_data(x, weights)
    return plan_and_solve(
        x,
        weights,
        rank,
        constraints=constraints,
        num_iters=num_iters,
        tol=tol,
        init=init,
        key=key,
        record_every=record_every,
        l1=l1,
        l2=l2,
        frozen=frozen,
        fit_scale=fit_scale,
        fit_offset=fit_offset,
        rate=rate,
        num_restarts=num_restarts,
        joint_moves=joint_moves,
        accelerate=accelerate,
        num_passes=num_passes,
        change_tol=change_tol,
        gradient_tol=gradient_tol,
        fixed_length=fixed_length,
        record=record,
        max_rank=max_rank,
    )


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
