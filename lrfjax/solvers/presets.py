"""The named factorizations: ``imf``, ``nmf`` and ``svd``.

Each one documents its options, checks the data, and hands over to ``planning``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.solvers import bucketed
from lrfjax.solvers.arguments import (
    check_data,
    flatten_batch,
    padded_width,
    restore_batch,
)
from lrfjax.solvers.constraints import IntegerBox, NonNegative
from lrfjax.solvers.front_door import front_door
from lrfjax.solvers.model_arguments import Pair
from lrfjax.solvers.planning import plan_and_solve
from lrfjax.solvers.sharding import layout_of
from lrfjax.types import Factors, Result


@front_door
def imf(
    x: Any,
    rank: int | Array,
    *,
    bounds: tuple[Any, Any] = (-16, 15),
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
    num_passes: int | tuple[int, int] = 1,
    weights: Any | None = None,
    change_tol: float | Array = 0.0,
    record: Sequence[str] | None = None,
    max_rank: int | None = None,
) -> Result:
    """Factorize X ~ scale * U V^T + offset with integers in [lower, upper] in U and V.

    Minimises ||X - U V^T||_F^2 by block coordinate descent (arXiv 2408.12691, section 3,
    algorithm 1). The objective never rises from one entry of the history to the next. The defaults
    are the paper's. ``init="balanced"`` reaches a far lower objective, and ``fit_scale`` with
    ``fit_offset`` a lower one again (``benchmarks/README.md``, Better minima).

    The entries of X should be about as large as products of two integers within the bounds. Data in
    [0, 1] would become zeros, and data in the millions would end at the bounds. ``fit_scale=True``
    with ``init="balanced"`` finds the scale. A ``FitWarning`` tells if such a fit fails.

    Args:
        x: shape (..., M, N), real numbers. The computation is in float32, or in float64 for float64
            and 64-bit integers if x64 is on. ``x`` may lie on several devices, see ``shard_batch``
            and ``shard_rows``.
        rank: number of columns, at least 1, and at most min(M, N) for starts from an SVD (all but
            ``"random"`` and given factors). It may be traced: a new rank then compiles nothing,
            and the factors have ``max_rank`` columns, zero from column ``rank`` on.
        bounds: (lower, upper), integers; either may be an array of shape (rank,), one bound for
            each column. The default is the paper's.
        num_iters: largest number of sweeps; static.
        tol: stop when the objective falls by no more than this share from one entry of the history
            to the next. 0 stops only at a fixed point, where nothing changes.
        init: ``"svd"``, the paper's start: U S^(1/2) and V S^(1/2) of the truncated SVD, not
            rounded before the first sweep; ``"balanced"``, the same product with U and V scaled so
            that rounding them costs least; ``"random"`` with a ``key``; or ``Factors`` or a
            ``Result`` to continue from.
        key: a JAX PRNG key or an integer seed, for ``init="random"``; all problems of a batch use
            the same draws.
        record_every: number of sweeps between two entries of the history, a divisor of
            ``num_iters``; static. The stopping tests run only when an entry is made. If only the
            factors matter, ``record_every=num_iters`` is faster.
        l1: see ``factorize``. For integers it is a dead zone before rounding.
        l2: see ``factorize``.
        frozen: see ``factorize``.
        fit_scale: fit ``result.factors.scale`` in closed form after each sweep; otherwise it is
            None and means 1. ``Factors`` as ``init`` without a scale start from the best one.
        fit_offset: fit ``result.factors.offset`` likewise, starting from the mean of X; otherwise
            it is None and means 0.
        rate: see ``factorize``. For the same error, a higher rank with a positive rate takes fewer
            bits.
        num_restarts: number of starts; the one with the lowest final objective is returned, with
            the histories of all in ``result.restarts``. The starts differ in gauge and scale for
            ``"balanced"``, in the draws for ``"random"``.
        joint_moves: whether to also move the entries of a factor in pairs, once in every sweep.
            This lowers the objective further, for R times the work; see
            ``solvers/joint_moves.py``.
        num_passes: see ``factorize``.
        weights: see ``factorize``.
        change_tol: see ``factorize``.
        record: see ``factorize``.
        max_rank: number of columns of the factors, static; set it to vary ``rank`` without
            compiling. The default is min(M, N) for a traced rank, and ``rank`` itself otherwise.

    Returns:
        A ``Result``. Zero sweeps give the rounded and clamped start. Integers are piecewise
        constant in X, so differentiation of the result with respect to X raises an error.

    Raises:
        InputError: a value out of range, an empty matrix, NaN or infinity.
        InputTypeError: a wrong type.

    Warns:
        FitWarning: a factor is all zero, or most of it lies at the bounds, and the fit is bad; not
            inside ``jit``.

    Example:
        >>> import numpy as np
        >>> x = np.outer([1, 2, 3, 4], [5, -2, 0, 1])
        >>> result = imf(x, rank=1)
        >>> print(result.factors.u.shape, float(result.history.relative_error[-1]))
        (4, 1) 0.0
    """
    lower, upper = checks.integer_bounds("bounds", bounds)
    x, weights = check_data(x, weights)
    box = IntegerBox(lower.astype(x.dtype), upper.astype(x.dtype))
    return plan_and_solve(
        x,
        weights,
        rank,
        constraints=(box, box),
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
        num_passes=num_passes,
        change_tol=change_tol,
        record=record,
        max_rank=max_rank,
    )


@front_door
def nmf(
    x: Any,
    rank: int | Array,
    *,
    num_iters: int = 100,
    tol: float | Array = 0.0,
    init: str | Factors | Result = "nndsvd",
    key: Array | None = None,
    record_every: int = 1,
    l1: Pair = 0.0,
    l2: Pair = 0.0,
    frozen: tuple[Any, Any] = (False, False),
    num_restarts: int = 1,
    accelerate: bool = True,
    num_passes: int | tuple[int, int] | None = None,
    weights: Any | None = None,
    change_tol: float | Array = 0.0,
    gradient_tol: float | Array = 0.0,
    fixed_length: bool = False,
    record: Sequence[str] | None = None,
    max_rank: int | None = None,
) -> Result:
    """Factorize X ~ U V^T with non-negative U and V, by accelerated HALS.

    HALS (Cichocki and Phan, 2009) is block coordinate descent over the columns. By default each
    sweep passes several times over the columns of a factor, which costs little compared with the
    products with X (Gillis and Glineur, 2012), and starts from extrapolated factors (after Ang and
    Gillis, 2019). ``accelerate=False, num_passes=1`` is HALS as first published.

    Args:
        x: shape (..., M, N), non-negative real numbers.
        rank: number of columns; may be traced, see ``imf``.
        num_iters: largest number of sweeps; static.
        tol: stop when the objective falls by no more than this share from one entry of the history
            to the next; 0 turns the test off.
        init: ``"nndsvd"`` (Boutsidis and Gallopoulos, 2008), ``"svd"`` or ``"balanced"`` (clipped
            at zero), ``"random"`` with a ``key``, ``Factors`` or a ``Result`` to continue from.
        key: a JAX PRNG key or an integer seed, for ``init="random"``; all problems of a batch use
            the same draws.
        record_every: number of sweeps between two entries of the history, a divisor of
            ``num_iters``; static. The stopping tests run only when an entry is made. If only the
            factors matter, ``record_every=num_iters`` is faster.
        l1: see ``factorize``.
        l2: see ``factorize``.
        frozen: see ``factorize``.
        num_restarts: number of draws for ``init="random"``; the best result is returned.
        accelerate: see ``factorize``.
        num_passes: see ``factorize``. None means two passes over the longer factor, and as many
            over the shorter one as cost no more, at most eight.
        weights: see ``factorize``.
        change_tol: see ``factorize``.
        gradient_tol: see ``factorize``.
        fixed_length: see ``factorize``.
        record: see ``factorize``.
        max_rank: see ``imf``.

    Returns:
        A ``Result``. Zero sweeps give the start, clipped at zero.

    Raises:
        InputError: a value out of range, an empty matrix, NaN, infinity or a negative entry.
        InputTypeError: a wrong type.

    Example:
        >>> import numpy as np
        >>> result = nmf(np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0]), rank=1, num_iters=5)
        >>> print(bool(result.history.relative_error[-1] < 1e-6))
        True
    """
    x, weights = check_data(x, weights)
    if checks.is_concrete(x) and (smallest := float(checks.at_hand(x).min())) < 0:
        raise InputError(f"x must be non-negative for nmf, got an entry of {smallest:g}")
    if num_passes is None:
        num_rows, num_columns = x.shape[-2:]
        num_passes = (
            min(max(2 * num_columns // num_rows, 2), 8),
            min(max(2 * num_rows // num_columns, 2), 8),
        )
    return plan_and_solve(
        x,
        weights,
        rank,
        constraints=(NonNegative(), NonNegative()),
        num_iters=num_iters,
        tol=tol,
        init=init,
        key=key,
        record_every=record_every,
        l1=l1,
        l2=l2,
        frozen=frozen,
        num_restarts=num_restarts,
        accelerate=accelerate,
        num_passes=num_passes,
        change_tol=change_tol,
        gradient_tol=gradient_tol,
        fixed_length=fixed_length,
        record=record,
        max_rank=max_rank,
    )


@front_door
def svd(x: Any, rank: int | Array) -> Result:
    """Factorize X ~ U V^T by the truncated SVD, the best fit of its rank without constraints.

    It is differentiable in forward and reverse mode. Where singular values coincide, singular
    vectors have no derivative, and it is NaN.

    Args:
        x: shape (..., M, N), real numbers.
        rank: number of columns, 1 to min(M, N); may be traced, see ``imf``.

    Returns:
        A ``Result`` with the singular values split evenly, u = U S^(1/2) and v = V S^(1/2), and a
        history of one entry, after zero sweeps. ``truncated_svd`` returns the singular vectors and
        values separately.

    Raises:
        InputError: a rank out of range, an empty matrix, NaN or infinity.
        InputTypeError: a wrong type.

    Example:
        >>> import numpy as np
        >>> result = svd(np.diag([4.0, 3.0, 0.0]), rank=1)
        >>> print(round(float(result.history.relative_error[0]), 6))
        0.6
    """
    x = checks.matrix("x", x)
    limit = min(x.shape[-2:])
    width = padded_width(rank, limit, None, limit)
    live: Any = np.int32(width) if checks.is_concrete(rank) else rank
    if (layout := layout_of(x)) is not None:
        return bucketed.trim(bucketed.solve_svd(x, live, layout=layout), width)
    result = bucketed.solve_svd(flatten_batch(x), live)
    return bucketed.trim(restore_batch(result, x.shape[:-2]), width)
