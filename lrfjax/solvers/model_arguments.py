"""Checks of the arguments that say what is minimised: constraints, penalties, frozen columns."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.constraints import Box, Constraint, IntegerBox
from lrfjax.solvers.entropy import MAX_VALUES
from lrfjax.solvers.levels import Levels
from lrfjax.solvers.problem import FactorModel, Models
from lrfjax.solvers.sparsity import Sparse

Pair = float | Array | tuple[float | Array, float | Array]
"""One number for both factors, or a pair of numbers for U and V."""


def make_models(
    constraints: Any,
    l1: Pair,
    l2: Pair,
    rate: Pair,
    frozen: Any,
    x: Array,
    width: int,
    bucket: int,
) -> Models:
    """Check constraints, penalties and frozen columns; pad per-column values to the bucket."""
    if not isinstance(constraints, tuple) or len(constraints) != 2:
        raise InputTypeError(f"constraints must be a pair, for U and V, got {constraints!r}")
    if not isinstance(frozen, tuple) or len(frozen) != 2:
        raise InputTypeError(f"frozen must be a pair, for U and V, got {frozen!r}")
    models = []
    for index, (constraint, kept) in enumerate(zip(constraints, frozen, strict=True)):
        constraint = check_constraint("constraints", constraint, x.dtype)
        weights = [
            _weight(name, value, index, x.dtype) * x.shape[-1 - index]
            for name, value in (("l1", l1), ("l2", l2))
        ]
        levels = constraint.base if isinstance(constraint, Sparse) else constraint
        is_plain = checks.is_concrete(weights[0]) and not weights[0] > 0
        if isinstance(levels, Levels) and levels.skips_zero and not is_plain:
            raise InputError(f"l1 must be 0 for levels on both sides of zero without it, got {l1}")
        by_column = jax.tree.map(
            partial(_pad_column_values, "constraints", width=width, bucket=bucket), constraint
        )
        mask = None
        if not (isinstance(kept, bool) and not kept):
            values = np.full(width, kept) if isinstance(kept, bool) else kept
            if np.ndim(values) != 1 or jnp.asarray(values).dtype != bool:
                raise InputTypeError(f"frozen must be bool or arrays of bool, got {kept!r}")
            mask = _pad_column_values("frozen", values, width=width, bucket=bucket)
        price = _weight("rate", rate, index, x.dtype)
        is_free = checks.is_concrete(price) and price == 0
        num_values = None if is_free else _num_values(constraint)
        models.append(FactorModel(by_column, weights[0], weights[1], mask, price, num_values))
    return models[0], models[1]


def _num_values(constraint: Constraint) -> int:
    """Return the number of integers that a column update with a rate tries."""
    if type(constraint) is not IntegerBox or not checks.is_concrete(constraint):
        raise InputError(f"rate needs IntegerBox with concrete bounds, got {constraint!r}")
    count = int(np.max(np.asarray(constraint.upper) - np.asarray(constraint.lower))) + 1
    if count > MAX_VALUES:
        raise InputError(f"rate needs bounds of at most {MAX_VALUES} integers, got {count}")
    return count


def check_constraint(name: str, constraint: Any, dtype: Any) -> Constraint:
    """Return a constraint whose bounds have the dtype of the factors."""
    # The class passes hasattr, too. Users pass it when they forget the ().
    if isinstance(constraint, type) or not hasattr(constraint, "project"):
        raise InputTypeError(f"{name} must be one or two constraints, got {constraint!r}")
    if isinstance(constraint, Box):
        bounds = (constraint.lower, constraint.upper)
        if checks.is_concrete(bounds):
            if isinstance(constraint, IntegerBox):
                checks.integer_bounds(name, bounds)
            elif not np.all(np.asarray(bounds[0]) <= np.asarray(bounds[1])):
                raise InputError(f"{name} must have lower <= upper, got {constraint!r}")
    if isinstance(constraint, Sparse):
        base = check_constraint(name, constraint.base, dtype)
        rows = max((np.size(leaf) for leaf in jax.tree.leaves(base)), default=1)
        if checks.is_concrete(base) and np.any(np.asarray(base.project(jnp.zeros((rows, 1))))):
            raise InputError(f"{name} must have zero in the base of Sparse, got {constraint!r}")
        constraint = replace(constraint, base=base)
    # NumPy arrays of a fixed dtype: Python numbers would compile once for each type.
    return jax.tree.map(
        lambda a: np.asarray(a, dtype) if checks.is_concrete(a) else a.astype(dtype), constraint
    )


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
    """Pad ``width`` per-column values to the bucket with the last one; return scalars as is."""
    if np.ndim(values) == 0:
        return values
    if np.shape(values) != (width,):
        raise InputError(f"{name} must have one value for each of {width} columns, got {values!r}")
    pad: Any = np.pad if checks.is_concrete(values) else jnp.pad
    return pad(values, (0, bucket - width), mode="edge")
