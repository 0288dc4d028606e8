"""The front doors: ``imf``, ``nmf``, ``svd``, and ``factorize`` for any pair of constraints.

They check their input eagerly, choose the rank bucket and the start, call the jitted loop and cut
the padding off again.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers import bucketed
from lrfjax.solvers.constraints import Constraint, IntegerBox, NonNegative, Real
from lrfjax.types import Factors, Result

_STARTS = ("svd", "nndsvd", "random")


def imf(
    x: Any,
    rank: int | Array,
    *,
    bounds: tuple[float, float] = (-16, 15),
    num_iters: int = 10,
    tol: float | Array = 0.0,
    init: str | Factors = "svd",
    key: Array | None = None,
    record_every: int = 1,
) -> Result:
    """Factorize X ~ U V^T with integers in [lower, upper] for entries of U and V.

    Minimises ||X - U V^T||_F^2 by block coordinate descent (arXiv 2408.12691, section 3,
    algorithm 1). The objective never rises from entry to entry of the history.

    Args:
        x: shape (..., M, N), real numbers; computed in float32, or in float64 where x64 is on.
        rank: number of columns, 1 to min(M, N). Traced, it costs no compilation, and the factors
            then have min(M, N) columns, those from ``rank`` on zero.
        bounds: (lower, upper), integers. The default is the paper's.
        num_iters: sweeps at most; static.
        tol: stop when a sweep lowers the objective by no more than this share of it. 0 stops only
            at a fixed point, where a sweep changes nothing.
        init: ``"svd"``, the paper's start: U S^(1/2) and V S^(1/2) of the truncated SVD, from
            which the first sweep sets off without rounding; ``"random"`` with a ``key``; or
            ``Factors`` to continue from.
        key: a JAX PRNG key, for ``init="random"``.
        record_every: sweeps from one entry of the history to the next, a divisor of
            ``num_iters``; static. Stopping is decided where an entry is made, so a solver that is
            only asked for its factors is faster with ``record_every=num_iters``.

    Returns:
        A ``Result``. Zero sweeps give the rounded and clamped start.

    Raises:
        InputError: a value out of range, an empty matrix, NaN or infinity.
        InputTypeError: a wrong type.

    Example:
        >>> import numpy as np
        >>> x = np.outer([1, 2, 3, 4], [5, -2, 0, 1])
        >>> result = imf(x, rank=1)
        >>> print(result.factors.u.shape, float(result.history.relative_error[-1]))
        (4, 1) 0.0
    """
    lower, upper = checks.integer_bounds("bounds", bounds)
    x = checks.matrix("x", x)
    box = IntegerBox(np.asarray(lower, x.dtype), np.asarray(upper, x.dtype))
    return factorize(
        x,
        rank,
        constraints=(box, box),
        num_iters=num_iters,
        tol=tol,
        init=init,
        key=key,
        record_every=record_every,
    )


def nmf(
    x: Any,
    rank: int | Array,
    *,
    num_iters: int = 100,
    tol: float | Array = 0.0,
    init: str | Factors = "nndsvd",
    key: Array | None = None,
    record_every: int = 1,
) -> Result:
    """Factorize X ~ U V^T with non-negative U and V, by HALS (Cichocki and Phan, 2009).

    Args:
        x: shape (..., M, N), non-negative real numbers.
        rank: number of columns, 1 to min(M, N); may be traced, see ``imf``.
        num_iters: sweeps at most; static.
        tol: stop when a sweep lowers the objective by no more than this share of it; 0 for never.
        init: ``"nndsvd"`` (Boutsidis and Gallopoulos, 2008), ``"svd"`` (clipped at zero),
            ``"random"`` with a ``key``, or ``Factors`` to continue from.
        key: a JAX PRNG key, for ``init="random"``.
        record_every: sweeps from one entry of the history to the next, a divisor of
            ``num_iters``; static. Stopping is decided where an entry is made, so a solver that is
            only asked for its factors is faster with ``record_every=num_iters``.

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
    x = checks.matrix("x", x)
    if checks.is_concrete(x) and (smallest := float(np.min(np.asarray(x)))) < 0:
        raise InputError(f"x must be non-negative for nmf, got an entry of {smallest:g}")
    return factorize(
        x,
        rank,
        constraints=(NonNegative(), NonNegative()),
        num_iters=num_iters,
        tol=tol,
        init=init,
        key=key,
        record_every=record_every,
    )


def svd(x: Any, rank: int) -> Result:
    """Factorize X ~ U V^T without constraints, by the truncated SVD: the best fit of its rank.

    Args:
        x: shape (..., M, N), real numbers.
        rank: number of columns, 1 to min(M, N).

    Returns:
        A ``Result`` with the singular values split evenly, u = U S^(1/2) and v = V S^(1/2), and a
        history of one entry, for which no sweeps were needed. ``truncated_svd`` gives the
        singular vectors and values apart.

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
    rank = checks.integer("rank", rank, 1, min(x.shape[-2:]))
    result = bucketed.solve_svd(_flatten_batch(x), np.int32(rank))
    return bucketed.trim(_restore_batch(result, x.shape[:-2]), rank)


def factorize(
    x: Any,
    rank: int | Array,
    *,
    constraints: tuple[Constraint, Constraint] = (Real(), Real()),
    num_iters: int = 10,
    tol: float | Array = 0.0,
    init: str | Factors = "svd",
    key: Array | None = None,
    record_every: int = 1,
) -> Result:
    """Factorize X ~ U V^T by block coordinate descent, under one constraint for each factor.

    The common ground of ``imf`` and ``nmf``; any other pair is as good: ``(NonNegative(),
    Real())`` is semi-NMF, ``(IntegerBox(lower, upper), Real())`` has integers in U alone.

    Args:
        x: shape (..., M, N), real numbers.
        rank: number of columns, 1 to min(M, N); may be traced, see ``imf``.
        constraints: of U and of V.
        num_iters: sweeps at most; static.
        tol: stop when a sweep lowers the objective by no more than this share of it; 0 for never.
        init: ``"svd"``, ``"nndsvd"``, ``"random"`` with a ``key``, or ``Factors`` of shapes
            (..., M, rank) and (..., N, rank).
        key: a JAX PRNG key, for ``init="random"``.
        record_every: sweeps from one entry of the history to the next, a divisor of
            ``num_iters``; static. Stopping is decided where an entry is made, so a solver that is
            only asked for its factors is faster with ``record_every=num_iters``.

    Returns:
        A ``Result``.

    Raises:
        InputError: a value out of range, an empty matrix, NaN or infinity.
        InputTypeError: a wrong type.
    """
    x = checks.matrix("x", x)
    limit = min(x.shape[-2:])
    num_iters = checks.integer("num_iters", num_iters, 0)
    record_every = checks.integer("record_every", record_every, 1)
    if num_iters % record_every:
        raise InputError(
            f"record_every must divide num_iters, got {record_every} and num_iters={num_iters}"
        )
    if checks.is_concrete(tol):
        tol = checks.real("tol", tol, 0.0)
    is_traced = not checks.is_concrete(rank)
    if is_traced and jnp.ndim(rank) != 0:
        raise InputTypeError(f"rank must be a scalar, got shape {jnp.shape(rank)}")
    width = limit if is_traced else checks.integer("rank", rank, 1, limit)
    bucket = bucketed.rank_bucket(width, limit)
    start, given = _check_start(init, key, x.shape, width, bucket)

    # NumPy scalars of fixed dtypes: a Python int and a jnp.int32 would compile separately.
    live: Any = rank if is_traced else np.int32(width)
    stop: Any = tol.astype(x.dtype) if isinstance(tol, Array) else np.asarray(tol, x.dtype)
    result = bucketed.solve(
        _flatten_batch(x),
        given,
        live,
        stop,
        constraints,
        start=start,
        num_iters=num_iters,
        record_every=record_every,
        bucket=bucket,
    )
    return bucketed.trim(_restore_batch(result, x.shape[:-2]), width)


def reconstruct(factors: Factors) -> Array:
    """Return U V^T, of shape (..., M, N), computed at full precision.

    Args:
        factors: U of shape (..., M, R) and V of shape (..., N, R).
    """
    v_transposed = jnp.swapaxes(factors.v, -1, -2)
    return jnp.matmul(factors.u, v_transposed, precision=lax.Precision.HIGHEST)


def _flatten_batch(x: Any) -> Any:
    """Return an array of more than three axes with all but the last two made one."""
    return x.reshape(-1, *x.shape[-2:]) if x.ndim > 3 else x


def _restore_batch(result: Result, batch: tuple[int, ...]) -> Result:
    """Undo ``_flatten_batch`` in all leaves of a result."""
    if len(batch) < 2:
        return result
    return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), result)


def _check_start(
    init: str | Factors, key: Array | None, shape: tuple[int, ...], width: int, bucket: int
) -> tuple[str, Factors | Array | None]:
    """Return the name of the start (static) and what it needs: padded factors, a key or None."""
    if isinstance(init, Factors):
        *batch, num_rows, num_columns = shape
        padded = []
        for name, given, length in (("u", init.u, num_rows), ("v", init.v, num_columns)):
            if given.shape != (expected := (*batch, length, width)):
                raise InputError(f"init.{name} must have shape {expected}, got {given.shape}")
            padding = [(0, 0)] * (len(batch) + 1) + [(0, bucket - width)]
            if checks.is_concrete(given):
                checks.finite(f"init.{name}", given)
                columns: Any = np.pad(np.asarray(given), padding)  # nothing to compile
            else:
                columns = jnp.pad(given, padding)
            padded.append(_flatten_batch(columns))
        return "given", Factors(*padded)
    if not isinstance(init, str):
        raise InputTypeError(f"init must be one of {_STARTS} or Factors, got {init!r}")
    checks.one_of("init", init, _STARTS)
    if init != "random":
        return init, None
    if key is None:
        raise InputError('key must be given with init="random", got None')
    return init, key
