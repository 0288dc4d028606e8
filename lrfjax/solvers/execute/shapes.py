"""X, its weights and the rank in the form that the solvers take, and results in that of X."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.types import Factors, History, Result


def flatten_batch(x: Any) -> Any:
    """Return an array with its batch axes merged into one; up to three axes stay as they are."""
    return x.reshape(-1, *x.shape[-2:]) if x.ndim > 3 else x


def flatten_factors(factors: Factors) -> Factors:
    """Return factors with their batch axes merged into one; up to one stays as it is."""
    if np.ndim(factors.u) < 4:
        return factors
    affine = (None if a is None else jnp.ravel(a) for a in (factors.scale, factors.offset))
    return Factors(flatten_batch(factors.u), flatten_batch(factors.v), *affine)


def restore_batch(result: Result, batch: tuple[int, ...]) -> Result:
    """Undo ``flatten_batch`` in all leaves of a result."""
    if len(batch) < 2:
        return result
    return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), result)


def check_data(x: Any, weights: Any) -> tuple[Array, Array | None]:
    """Return the matrix and its weights in the form that the solvers take.

    Args:
        x: shape (..., M, N). Entries of zero weight may have any value, including NaN.
        weights: numbers or booleans of shape (..., M, N), or (M, N) for all problems of a batch;
            None for ones. Masked entries of a NumPy masked array have the weight 0.

    Returns:
        ``x`` with zeros where the weight is zero, and weights of the same shape and dtype, or None.
    """
    if np.ma.is_masked(x):
        known = ~np.ma.getmaskarray(x)
        weights = known if weights is None else np.where(known, weights, 0)
        x = np.ma.getdata(x)
    if weights is None:
        return checks.matrix("x", x), None
    x = checks.real_array("x", x)
    dtype = checks.working_dtype(x)
    weights = weights if isinstance(weights, jax.Array) else np.asarray(weights)
    if weights.dtype != bool:  # a boolean mask is valid here, but not for checks.matrix
        checks.matrix("weights", weights)
    weights = checks.matrix("weights", weights.astype(dtype))
    # Devices flush subnormal numbers to zero.
    weights = jnp.where(jnp.abs(weights) < jnp.finfo(dtype).tiny, jnp.zeros((), dtype), weights)
    if x.ndim < 2 or weights.shape not in (x.shape, x.shape[-2:]):
        raise InputError(f"weights must have the shape of x, {x.shape}, got {weights.shape}")
    if checks.is_concrete(weights):
        host = checks.at_hand(weights)
        if (smallest := host.min()) < 0:
            raise InputError(f"weights must be non-negative, got an entry of {smallest:g}")
        if not host.any(axis=(-2, -1)).all():
            raise InputError("weights must not be all zero, got a matrix of zeros")
    if checks.is_concrete((x, weights)) and not isinstance(x, jax.Array):
        x = np.where(np.asarray(weights) > 0, x, np.zeros((), x.dtype))  # without compiling
    else:
        x = jnp.where(weights > 0, x, jnp.zeros((), x.dtype))
    return checks.matrix("x", x), jnp.broadcast_to(weights, x.shape)


def padded_width(rank: Any, limit: int | None, max_rank: int | None, default: int) -> int:
    """Return the width of the factors: ``max_rank``, else ``rank``, or ``default`` if traced.

    Args:
        rank: rank, which may be traced.
        limit: largest rank; None for any.
        max_rank: width that is asked for, or None.
        default: width for a traced rank.
    """
    most: float = math.inf if limit is None else limit
    if max_rank is not None:
        most = checks.integer("max_rank", max_rank, 1, most)
    if checks.is_concrete(rank):
        rank = checks.integer("rank", rank, 1, most)
        return rank if max_rank is None else int(most)
    if rank.ndim != 0 or not jnp.issubdtype(rank.dtype, jnp.integer):
        raise InputTypeError(f"rank must be an integer scalar, got {rank.dtype}{rank.shape}")
    return default if max_rank is None else int(most)


def trim(result: Result, width: int) -> Result:
    """Cut off the padded columns.

    Concrete arrays on one CPU device are cut on the host, since a slice on the device would compile
    once for each rank.
    """
    if result.factors.u.shape[-1] == width:
        return result

    def cut(a: Array) -> Array:
        on_host = checks.is_concrete(a) and {d.platform for d in a.devices()} == {"cpu"}
        if not on_host or len(a.devices()) > 1:
            return a[..., :width]
        return jax.device_put(np.ascontiguousarray(np.asarray(a)[..., :width]))

    def narrowed(factors: Factors) -> Factors:
        return replace(factors, u=cut(factors.u), v=cut(factors.v))

    def narrowed_history(history: History) -> History:
        kept = history.factors
        return history if kept is None else replace(history, factors=narrowed(kept))

    return replace(
        result,
        factors=narrowed(result.factors),
        history=narrowed_history(result.history),
        restarts=None if result.restarts is None else narrowed_history(result.restarts),
    )
