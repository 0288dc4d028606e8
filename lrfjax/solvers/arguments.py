"""The arguments of the front doors: checked, and brought to the form that the solvers take."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.bcd import FactorModel
from lrfjax.types import Factors, Result

STARTS = ("svd", "balanced", "nndsvd", "random")

Pair = float | Array | tuple[float | Array, float | Array]
"""One number for both factors, or one for U and one for V."""


def flatten_batch(x: Any) -> Any:
    """Return an array of more than three axes with all but the last two made one."""
    return x.reshape(-1, *x.shape[-2:]) if x.ndim > 3 else x


def restore_batch(result: Result, batch: tuple[int, ...]) -> Result:
    """Undo ``flatten_batch`` in all leaves of a result."""
    if len(batch) < 2:
        return result
    return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), result)


def make_models(
    constraints: Any,
    l1: Pair,
    l2: Pair,
    frozen: Any,
    x: Array,
    width: int,
    bucket: int,
) -> tuple[FactorModel, FactorModel]:
    """Check what is asked of the factors, and pad what comes by column to the bucket."""
    if not isinstance(constraints, tuple) or len(constraints) != 2:
        raise InputTypeError(f"constraints must be a pair, for U and V, got {constraints!r}")
    if not isinstance(frozen, tuple) or len(frozen) != 2:
        raise InputTypeError(f"frozen must be a pair, for U and V, got {frozen!r}")
    models = []
    for index, (constraint, kept) in enumerate(zip(constraints, frozen, strict=True)):
        if not hasattr(constraint, "project"):
            raise InputTypeError(f"constraints must hold constraints, got {constraint!r}")
        weights = [
            _weight(name, value, index, x.dtype) * x.shape[-1 - index]
            for name, value in (("l1", l1), ("l2", l2))
        ]
        by_column = jax.tree.map(
            partial(_pad_column_values, "constraints", width=width, bucket=bucket), constraint
        )
        mask = None
        if not (isinstance(kept, bool) and not kept):
            values = np.full(width, kept) if isinstance(kept, bool) else kept
            if np.ndim(values) != 1 or jnp.asarray(values).dtype != bool:
                raise InputTypeError(f"frozen must be bool or arrays of bool, got {kept!r}")
            mask = _pad_column_values("frozen", values, width=width, bucket=bucket)
        models.append(FactorModel(by_column, weights[0], weights[1], mask))
    return models[0], models[1]


def _weight(name: str, value: Any, index: int, dtype: Any) -> Any:
    """Return the penalty weight of one factor as a scalar of the dtype of X."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise InputTypeError(f"{name} must be a number or a pair, got {value!r}")
        value = value[index]
    if not checks.is_concrete(value):
        return value.astype(dtype)
    return np.asarray(checks.real(name, value, 0.0), dtype)


def _pad_column_values(name: str, values: Any, *, width: int, bucket: int) -> Any:
    """Repeat the last of ``width`` values by column up to the bucket; scalars pass."""
    if np.ndim(values) == 0:
        return values
    if np.shape(values) != (width,):
        raise InputError(f"{name} must have one value for each of {width} columns, got {values!r}")
    pad: Any = np.pad if checks.is_concrete(values) else jnp.pad
    return pad(values, (0, bucket - width), mode="edge")


def padded_width(rank: Any, limit: int) -> int:
    """Return the number of columns for a rank: itself, or ``limit`` where it is traced."""
    if checks.is_concrete(rank):
        return checks.integer("rank", rank, 1, limit)
    if rank.ndim != 0 or not jnp.issubdtype(rank.dtype, jnp.integer):
        raise InputTypeError(f"rank must be an integer scalar, got {rank.dtype}{rank.shape}")
    return limit


def check_start(
    init: str | Factors, key: Array | None, shape: tuple[int, ...], width: int, bucket: int
) -> tuple[str, Factors | Array | None]:
    """Return the name of the start (static) and what it needs: padded factors, a key or None."""
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
                columns: Any = np.pad(np.asarray(given), padding)  # nothing to compile
            else:
                columns = jnp.pad(given, padding)
            padded.append(flatten_batch(columns))
        affine = []
        for name, value in (("scale", init.scale), ("offset", init.offset)):
            if value is not None and jnp.shape(value) != tuple(batch):
                raise InputError(
                    f"init.{name} must have shape {tuple(batch)}, got {jnp.shape(value)}"
                )
            affine.append(jnp.ravel(value) if value is not None and len(batch) > 1 else value)
        return "given", Factors(padded[0], padded[1], affine[0], affine[1])
    return check_named_start(init, key, STARTS)


def check_named_start(init: Any, key: Any, names: tuple[str, ...]) -> tuple[str, Array | None]:
    """Return the name of a start and its key, which only ``"random"`` has."""
    if not isinstance(init, str):
        raise InputTypeError(f"init must be one of {names} or Factors, got {init!r}")
    checks.one_of("init", init, names)
    if init != "random":
        return init, None
    if key is None:
        raise InputError('key must be given with init="random", got None')
    return init, checks.prng_key("key", key)
