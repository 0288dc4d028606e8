"""Argument checks of the front doors, and conversion to the form that the solvers take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers import diagnostics
from lrfjax.solvers.constraints import IntegerBox
from lrfjax.solvers.problem import Models
from lrfjax.solvers.stopping import Tolerances
from lrfjax.types import Factors, Result

STARTS = ("svd", "balanced", "nndsvd", "random")


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


def check_record(record: Sequence[str] | None, models: Models) -> tuple[str, ...]:
    """Return the history fields to record, in order; by default all scalars that apply."""
    if record is None:
        return tuple(f for f in diagnostics.SCALARS if diagnostics.makes_sense(f, models))
    if isinstance(record, str) or not isinstance(record, Sequence):
        raise InputTypeError(f"record must be a sequence of names, got {record!r}")
    for field in record:
        checks.one_of("record", field, (*diagnostics.ALWAYS, *diagnostics.RECORDABLE))
        if not diagnostics.makes_sense(field, models):
            raise InputError(f"record names {field!r}, which does not apply to these constraints")
    return tuple(f for f in diagnostics.RECORDABLE if f in record)


def check_passes(num_passes: Any) -> tuple[int, int]:
    """Return the numbers of passes over the columns of U and of V."""
    pair = num_passes if isinstance(num_passes, tuple | list) else (num_passes, num_passes)
    if len(pair) != 2:
        raise InputTypeError(f"num_passes must be an integer or a pair, got {num_passes!r}")
    return checks.integer("num_passes", pair[0], 1), checks.integer("num_passes", pair[1], 1)


def check_tolerances(
    tol: Any, change_tol: Any, gradient_tol: Any, models: Models, dtype: Any
) -> tuple[Tolerances, tuple[str, ...]]:
    """Return the tolerances for the loop, and the history fields that their tests need."""
    needed = {
        "tol": (tol, ()),
        "change_tol": (change_tol, ("u_change", "v_change")),
        "gradient_tol": (gradient_tol, ("projected_gradient",)),
    }
    values: list[Any] = []
    watch: list[str] = []
    for name, (value, fields) in needed.items():
        if checks.is_concrete(value):
            value = np.asarray(checks.real(name, value, 0.0), dtype)
            is_off = value == 0
        elif jnp.ndim(value) != 0:
            raise InputTypeError(f"{name} must be a scalar, got shape {jnp.shape(value)}")
        else:
            value, is_off = value.astype(dtype), False
        if not is_off:
            if not all(diagnostics.makes_sense(f, models) for f in fields):
                raise InputError(f"{name} must be 0 for discrete sets, got {value}")
            watch.extend(fields)
        values.append(value)
    if diagnostics.makes_sense("num_changed", models):
        watch.append("num_changed")  # the loop always stops at a fixed point
    return Tolerances(*values), tuple(watch)


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


def check_start(
    init: Any,
    key: Any,
    shape: tuple[int, ...],
    width: int,
    bucket: int,
    names: tuple[str, ...] = STARTS,
) -> tuple[str, Factors | Array | None]:
    """Return the name of the start (static) and its input: padded factors, a key or None."""
    if isinstance(init, Factors):
        *batch, num_rows, num_columns = shape
        padded = []
        for name, part, length in (("u", init.u, num_rows), ("v", init.v, num_columns)):
            given = checks.real_array(f"init.{name}", part)
            if given.shape != (expected := (*batch, length, width)):
                raise InputError(f"init.{name} must have shape {expected}, got {given.shape}")
            padding = [(0, 0)] * (len(batch) + 1) + [(0, bucket - width)]
            if checks.is_concrete(given):
                checks.finite(f"init.{name}", given)
                given = checks.at_hand(given)
            # NumPy does not compile.
            pad: Any = np.pad if isinstance(given, np.ndarray) else jnp.pad
            padded.append(pad(given, padding))
        affine = []
        for name, value in (("scale", init.scale), ("offset", init.offset)):
            if value is not None and jnp.shape(value) != tuple(batch):
                raise InputError(
                    f"init.{name} must have shape {tuple(batch)}, got {jnp.shape(value)}"
                )
            if value is not None and checks.is_concrete(value):
                checks.finite(f"init.{name}", value)
                if name == "scale" and not (checks.at_hand(value) > 0).all():
                    raise InputError(f"init.scale must be positive, got {value}")
            affine.append(value)
        return "given", Factors(padded[0], padded[1], affine[0], affine[1])
    if not isinstance(init, str):
        raise InputTypeError(f"init must be one of {names} or Factors, got {init!r}")
    checks.one_of("init", init, names)
    if init != "random":
        return init, None
    if key is None:
        raise InputError('key must be given with init="random", got None')
    return init, checks.prng_key("key", key)


def check_combination(
    init: Any,
    start: str,
    models: Models,
    weights: Any,
    num_restarts: int,
    fit_scale: bool,
    fit_offset: bool,
    joint_moves: bool,
    accelerate: bool,
    fixed_length: bool,
    tolerances: Tolerances,
) -> None:
    """Raise InputError if arguments that are valid on their own contradict each other."""
    are_discrete = [m.constraint.is_discrete for m in models]
    if any(m.frozen is not None for m in models) and start != "given":
        raise InputError(f"frozen needs init to be Factors, got init={init!r}")
    if num_restarts > 1 and start not in ("balanced", "random"):
        raise InputError(
            f'num_restarts={num_restarts} needs init="balanced" or "random", got {init!r}'
        )
    if num_restarts > 1 and start == "balanced" and all(m.constraint.is_cone for m in models):
        raise InputError(
            f'num_restarts={num_restarts} with init="balanced" needs bounds: without bounds the '
            "starts differ only in the scale of their columns"
        )
    given = [t for t in jax.tree.leaves(tolerances) if checks.is_concrete(t) and t > 0]
    if fixed_length and given:
        raise InputError(f"fixed_length=True runs all sweeps without tolerance, got {given[0]}")
    # Only the type of the reach matters, so nothing is computed.
    if fit_scale and any(jax.eval_shape(m.constraint.reach) is None for m in models):
        raise InputError("fit_scale needs both factors bounded, got constraints without bounds")
    if joint_moves and not any(isinstance(m.constraint, IntegerBox) for m in models):
        raise InputError("joint_moves=True needs an integer factor, got none")
    if joint_moves and any(m.num_values is not None for m in models):
        raise InputError("joint_moves=True does not support a rate, got one")
    if joint_moves and weights is not None:
        raise InputError("joint_moves=True does not support weights, got weights")
    if accelerate and any(are_discrete):
        raise InputError("accelerate=True needs continuous constraints, got a discrete one")
    if isinstance(init, Factors):
        for name, value, is_fitted in (
            ("scale", init.scale, fit_scale),
            ("offset", init.offset, fit_offset),
        ):
            if value is not None and not is_fitted:
                raise InputError(f"init.{name} is given, so fit_{name} must be True, got False")
