"""The named factorizations: ``imf``, ``nmf`` and ``svd``.

``imf`` and ``nmf`` are ``factorize`` with the parts of one method filled in and its common options
as keywords. Everything else is a call of ``factorize`` away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.closed_svd import solve_svd
from lrfjax.solvers.execute.front_door import front_door
from lrfjax.solvers.execute.part_checks import tolerance_rule
from lrfjax.solvers.execute.planning import plan_call
from lrfjax.solvers.execute.shapes import flatten_batch, padded_width, restore_batch, trim
from lrfjax.solvers.execute.sharding import layout_of
from lrfjax.solvers.losses.loss import Loss
from lrfjax.solvers.losses.squared import SquaredError
from lrfjax.solvers.methods.bcd import BCD
from lrfjax.solvers.methods.extrapolation import Extrapolated
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.penalties.entropy import Entropy
from lrfjax.solvers.penalties.penalty import L1, L2
from lrfjax.solvers.record import Record
from lrfjax.solvers.sets.boxes import IntegerBox, NonNegative
from lrfjax.solvers.starts.start import Start
from lrfjax.solvers.stopping import Stalled
from lrfjax.types import Factors, Result

Pair = float | Array | tuple[float | Array, float | Array]
"""One number for both factors, or a pair of numbers for U and V."""

_PASSES_OF_PARABOLAS = 3
"""Passes over the columns for losses other than the squared error: of 1, 2, 3 and 5, the number
that took the least time on counts, digits and a photograph."""


@front_door
def imf(
    x: Any,
    rank: int | Array,
    *,
    bounds: tuple[Any, Any] = (-16, 15),
    num_iters: int = 10,
    tol: float | Array = 0.0,
    init: str | Start | Factors | Result = "svd",
    key: Any | None = None,
    weights: Any | None = None,
    fit_scale: bool = False,
    fit_offset: bool = False,
    rate: Pair = 0.0,
    num_restarts: int = 1,
    record: Record | Sequence[str] | None = None,
    record_every: int = 1,
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
        x: shape (..., M, N), real numbers, see ``factorize``.
        rank: number of columns; may be traced, see ``factorize``.
        bounds: (lower, upper), integers; either may be an array of shape (rank,), one bound for
            each column. The default is the paper's.
        num_iters: largest number of sweeps; static.
        tol: stop when the objective falls by no more than this share from one entry of the history
            to the next. 0 stops only at a fixed point, where nothing changes.
        init: where the solve begins, the ``start`` of ``factorize``. ``"svd"`` is the paper's
            start, U S^(1/2) and V S^(1/2) of the truncated SVD, not rounded before the first sweep;
            ``"balanced"`` the same product with U and V scaled so that rounding them costs least.
        key: see ``factorize``.
        weights: see ``factorize``.
        fit_scale: fit ``result.factors.scale`` in closed form after each sweep; otherwise it is
            None and means 1. ``Factors`` as ``init`` without a scale start from the best one.
        fit_offset: fit ``result.factors.offset`` likewise, starting from the mean of X; otherwise
            it is None and means 0.
        rate: weight of a bit, at least 0; one number for both factors, or a pair. ``rate`` times
            the empirical entropy of the factors, each column with an ideal code of its own, joins
            the objective, see ``Entropy``. For the same error, a higher rank with a positive rate
            takes fewer bits.
        num_restarts: see ``factorize``. The starts differ in gauge and scale for ``"balanced"``, in
            the draws for ``"random"``.
        record: see ``factorize``.
        record_every: see ``factorize``.

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
    box = IntegerBox(lower, upper)
    u, v = (FactorModel(box, (Entropy(part),)) for part in _pair("rate", rate))
    return plan_call(
        x,
        rank,
        model=Model(u, v, fit_scale=fit_scale, fit_offset=fit_offset),
        method=BCD(),
        start=init,
        stop=tolerance_rule("tol", tol, Stalled),
        record=record,
        num_iters=num_iters,
        record_every=record_every,
        weights=weights,
        key=key,
        num_restarts=num_restarts,
        start_name="init",
    ).solve()


@front_door
def nmf(
    x: Any,
    rank: int | Array,
    *,
    loss: Loss = SquaredError(),  # noqa: B008 (frozen)
    num_iters: int = 100,
    tol: float | Array = 0.0,
    init: str | Start | Factors | Result = "nndsvd",
    key: Any | None = None,
    weights: Any | None = None,
    l1: Pair = 0.0,
    l2: Pair = 0.0,
    method: Method | None = None,
    num_restarts: int = 1,
    record: Record | Sequence[str] | None = None,
    record_every: int = 1,
) -> Result:
    """Factorize X ~ U V^T with non-negative U and V, by accelerated HALS.

    HALS (Cichocki and Phan, 2009) is block coordinate descent over the columns. By default each
    sweep passes several times over the columns of a factor, which costs little compared with the
    products with X (Gillis and Glineur, 2012), and starts from extrapolated factors (after Ang and
    Gillis, 2019). ``method=BCD()`` is HALS as first published. Other losses take the same method
    over parabolas above the loss, see ``Loss``; ``method=Multiplicative()`` is what they are
    usually minimised by.

    Args:
        x: shape (..., M, N), non-negative real numbers.
        rank: number of columns; may be traced, see ``factorize``.
        loss: ``SquaredError()``, ``KullbackLeibler()``, ``ItakuraSaito()``, ``BetaDivergence(b)``,
            or one's own.
        num_iters: largest number of sweeps; static.
        tol: stop when the objective falls by no more than this share from one entry of the history
            to the next; 0 turns the test off.
        init: ``"nndsvd"`` (Boutsidis and Gallopoulos, 2008), ``"svd"`` or ``"balanced"`` (clipped
            at zero), ``"random"`` with a ``key``, or another ``start`` of ``factorize``.
        key: see ``factorize``.
        weights: see ``factorize``.
        l1: weight of the magnitudes of the entries, see ``L1``; one number for both factors, or a
            pair for U and V.
        l2: weight of the squares of the entries, see ``L2``, likewise.
        method: how a sweep is made. None means ``Extrapolated(BCD(...))`` with, for the squared
            error, two passes over the longer factor, and as many over the shorter one as cost no
            more, at most eight.
        num_restarts: number of draws for ``init="random"``; the best result is returned.
        record: see ``factorize``.
        record_every: see ``factorize``.

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
    if method is None:
        is_squared = isinstance(loss, SquaredError)
        method = Extrapolated(BCD(_passes(x) if is_squared else _PASSES_OF_PARABOLAS))
    u, v = (
        FactorModel(NonNegative(), (L1(one), L2(two)))
        for one, two in zip(_pair("l1", l1), _pair("l2", l2), strict=True)
    )
    call = plan_call(
        x,
        rank,
        model=Model(u, v, loss),
        method=method,
        start=init,
        stop=tolerance_rule("tol", tol, Stalled),
        record=record,
        num_iters=num_iters,
        record_every=record_every,
        weights=weights,
        key=key,
        num_restarts=num_restarts,
        start_name="init",
    )
    given = call.data.x
    if checks.is_concrete(given) and (smallest := float(checks.at_hand(given).min())) < 0:
        raise InputError(f"x must be non-negative for nmf, got an entry of {smallest:g}")
    return call.solve()


def _passes(x: Any) -> tuple[int, int]:
    """Return the passes over the columns of U and V in a sweep."""
    try:
        shape = np.shape(x)
    except ValueError:  # a ragged list
        shape = ()
    if len(shape) < 2 or 0 in shape:
        return 1, 1  # refused later
    num_rows, num_columns = shape[-2:]
    return (
        min(max(2 * num_columns // num_rows, 2), 8),
        min(max(2 * num_rows // num_columns, 2), 8),
    )


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    """Return the weights of a penalty for U and for V."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        raise InputTypeError(f"{name} must be a number or a pair, got {value!r}")
    return tuple(  # type: ignore[return-value]
        checks.real(name, part, 0.0) if checks.is_concrete(part) else part for part in pair
    )


@front_door
def svd(x: Any, rank: int | Array) -> Result:
    """Factorize X ~ U V^T by the truncated SVD, the best fit of its rank without constraints.

    It is differentiable in forward and reverse mode. Where singular values coincide, singular
    vectors have no derivative, and it is NaN.

    Args:
        x: shape (..., M, N), real numbers.
        rank: number of columns, 1 to min(M, N); may be traced, see ``factorize``.

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
    live: Any = np.int32(width) if checks.is_concrete(rank) else jnp.asarray(rank, jnp.int32)
    if (layout := layout_of(x)) is not None:
        return trim(solve_svd(x, live, layout=layout), width)
    result = solve_svd(flatten_batch(x), live)
    return trim(restore_batch(result, x.shape[:-2]), width)
