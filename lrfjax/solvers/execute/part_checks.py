"""Checks of the parts of a solve, and their conversion to what the solvers take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers import record as records
from lrfjax.solvers.losses.loss import Loss
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.penalties.entropy import BitCosts
from lrfjax.solvers.penalties.penalty import Penalty, is_off
from lrfjax.solvers.record import Record
from lrfjax.solvers.sets.boxes import Box, IntegerBox
from lrfjax.solvers.sets.constraint import Constraint
from lrfjax.solvers.sets.sparsity import Sparse
from lrfjax.solvers.stopping import AnyOf, SmallChange, SmallGradient, Stalled, Stop
from lrfjax.types import History

T = TypeVar("T")

_NEEDED_OF_SETS = (
    "is_cone", "is_discrete", "is_convex", "has_bounds", "for_column", "wider_side", "project",
    "update", "neighbours", "reach", "relaxed", "at_bound", "projected_gradient",
)  # fmt: skip


def check_part(name: str, part: Any, kind: type[T], dtype: Any) -> T:
    """Return a part with its numbers as arrays of the dtype of X.

    Raises:
        InputTypeError: the part is of another kind, or JAX does not know its type.
    """
    if not isinstance(part, kind):
        raise InputTypeError(f"{name} must be a {kind.__name__}, got {part!r}")
    return _with_array_leaves(name, part, dtype)


def _with_array_leaves(name: str, part: Any, dtype: Any) -> Any:
    def convert(leaf: Any) -> Any:
        if leaf is part or not isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int):
            raise InputTypeError(
                f"{name} must hold numbers and arrays, and its class be registered with "
                f"jax.tree_util.register_dataclass, got {part!r} with {leaf!r}"
            )
        if isinstance(leaf, jax.Array) and not checks.is_concrete(leaf):
            return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
        if isinstance(leaf, jax.Array) and not jnp.issubdtype(leaf.dtype, jnp.number):
            return leaf  # a key
        # NumPy arrays of a fixed dtype: Python numbers would compile once for each type.
        host = np.asarray(leaf)
        return host.astype(dtype) if np.issubdtype(host.dtype, np.floating) else host

    return jax.tree.map(convert, part)


def check_model(model: Any, x: Array, weights: Array | None, width: int, bucket: int) -> Model:
    """Check what is minimised, and pad values that are given by column to the bucket."""
    if not isinstance(model, Model):
        raise InputTypeError(f"model must be a Model, got {model!r}")
    loss = check_part("loss", model.loss, Loss, x.dtype)
    sides = [
        _check_side(name, side, x.shape[-1 - index], x.dtype, width, bucket)
        for index, (name, side) in enumerate(zip("uv", model.sides, strict=True))
    ]
    for name in ("fit_scale", "fit_offset"):
        if not isinstance(getattr(model, name), bool | np.bool_):
            raise InputTypeError(f"{name} must be True or False, got {getattr(model, name)!r}")
    checked = Model(sides[0], sides[1], loss, bool(model.fit_scale), bool(model.fit_offset))
    if (model.fit_scale or model.fit_offset) and not checked.is_squared:
        raise InputError(f"fit_scale and fit_offset need the squared error, got {loss!r}")
    # Only the type of the reach matters, so nothing is computed.
    if model.fit_scale and any(jax.eval_shape(c.reach) is None for c in checked.constraints):
        raise InputError("fit_scale needs both factors bounded, got constraints without bounds")
    loss.check(x if weights is None else _known(x, weights), checked.constraints)
    return checked


def _known(x: Array, weights: Array) -> Any:
    """Return X with its largest entry where the weight is zero, so that no check minds it."""
    if not checks.is_concrete((x, weights)):
        return x
    if checks.lies_on_several_devices(x):
        return jnp.where(weights > 0, x, jnp.max(x))
    host = np.asarray(x)
    return np.where(np.asarray(weights) > 0, host, host.max())


def _check_side(
    name: str, side: FactorModel, other_length: int, dtype: Any, width: int, bucket: int
) -> FactorModel:
    """Check the model of one factor."""
    constraint = check_constraint(name, side.constraint, dtype)
    if not isinstance(side.penalties, tuple):
        raise InputTypeError(f"penalties must be a tuple, got {side.penalties!r}")
    penalties = []
    for penalty in side.penalties:
        penalty = check_part("penalties", penalty, Penalty, dtype)
        if checks.is_concrete(penalty.weight):
            checks.real(f"the weight of {type(penalty).__name__}", penalty.weight, 0.0)
        if is_off(penalty):
            continue
        fitted = _with_array_leaves("penalties", penalty.fitted_to(constraint), dtype)
        rows = list(np.shape(fitted.costs)[:-1]) if isinstance(fitted, BitCosts) else []
        if rows not in ([], [width]):
            raise InputError(f"costs must have one row for each of {width} columns, got {rows[0]}")
        growth = np.asarray(other_length, dtype) if fitted.grows_with_data else None
        penalties.append(fitted if growth is None else fitted.scaled(growth))
    pad = partial(_pad_column_values, width=width, bucket=bucket)
    frozen = side.frozen
    if frozen is not None:
        if np.ndim(frozen) != 1 or jnp.asarray(frozen).dtype != bool:
            raise InputTypeError(f"frozen must be None or an array of bool, got {frozen!r}")
        frozen = pad("frozen", frozen)
    if not isinstance(side.is_fixed, bool):
        raise InputTypeError(f"is_fixed must be True or False, got {side.is_fixed!r}")
    by_column = jax.tree.map(partial(pad, name), constraint)
    return FactorModel(by_column, tuple(penalties), frozen, side.is_fixed)


def check_constraint(name: str, constraint: Any, dtype: Any) -> Constraint:
    """Return a set whose bounds have the dtype of the factors."""
    # The class passes hasattr, too. Users pass it when they forget the ().
    if isinstance(constraint, type) or not hasattr(constraint, "project"):
        raise InputTypeError(f"{name} must be a set or a FactorModel, got {constraint!r}")
    if missing := [need for need in _NEEDED_OF_SETS if not hasattr(constraint, need)]:
        raise InputTypeError(f"{name} must have {', '.join(missing)}, got {constraint!r}")
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
        if checks.is_concrete(base):
            with jax.ensure_compile_time_eval():  # also while a caller's jit traces
                nearest_to_zero = np.asarray(base.project(jnp.zeros((rows, 1))))
            if np.any(nearest_to_zero):
                raise InputError(f"{name} must have zero in the base of Sparse, got {constraint!r}")
        constraint = replace(constraint, base=base)
    # Integer bounds become floats, like the factors.
    return jax.tree.map(
        lambda a: np.asarray(a, dtype) if checks.is_concrete(a) else a.astype(dtype), constraint
    )


def _pad_column_values(name: str, values: Any, *, width: int, bucket: int) -> Any:
    """Pad ``width`` per-column values to the bucket with the last one; return scalars as is."""
    if np.ndim(values) == 0:
        return values
    if np.shape(values) != (width,):
        raise InputError(f"{name} must have one value for each of {width} columns, got {values!r}")
    pad: Any = np.pad if checks.is_concrete(values) else jnp.pad
    return pad(values, (0, bucket - width), mode="edge")


def check_method(method: Any, model: Model, is_weighted: bool, dtype: Any) -> Method:
    """Return the method, which has accepted the model."""
    checked = check_part("method", method, Method, dtype)
    checked.check(model, is_weighted)
    return checked


def check_stop(
    stop: Any, model: Model, dtype: Any, fixed_length: bool
) -> tuple[Stop | None, tuple[str, ...]]:
    """Return the stopping rule, and the fields of the history that it and the loop need."""
    watch = [f for f in ("num_changed",) if records.makes_sense(f, model)]
    watch += [f for f in ("affine_change",) if watch and records.makes_sense(f, model)]
    if stop is None:
        return None, tuple(watch)
    _check_rule(stop)
    checked = check_part("stop", stop, Stop, dtype)
    for leaf in jax.tree.leaves(checked):
        if checks.is_concrete(leaf) and np.issubdtype(leaf.dtype, np.floating):
            checks.finite("stop", leaf)
    if fixed_length:
        raise InputError(f"fixed_length=True runs all sweeps without a stop, got stop={stop!r}")
    for field in checked.fields:
        checks.one_of("stop.fields", field, records.RECORDABLE)
        # Scale and offset may be fitted or not; everything else has to be there.
        if not records.makes_sense(field, model) and field != "affine_change":
            raise InputError(f"stop needs {field!r}, which does not apply to these sets: {stop!r}")
        if records.makes_sense(field, model):
            watch.append(field)
    _check_answer(checked, tuple(watch), dtype)
    return checked, tuple(dict.fromkeys(watch))


def _check_rule(stop: Any) -> None:
    """Raise for what is no rule, or has a negative tolerance; other rules may have any numbers."""
    if not isinstance(stop, Stop):
        raise InputTypeError(f"stop must be a Stop, got {stop!r}")
    if isinstance(stop, AnyOf):
        if not isinstance(stop.rules, tuple) or not all(isinstance(r, Stop) for r in stop.rules):
            raise InputTypeError(f"stop must hold rules in a tuple, got {stop!r}")
        for rule in stop.rules:
            _check_rule(rule)
    elif isinstance(stop, Stalled | SmallChange | SmallGradient) and checks.is_concrete(stop.tol):
        checks.real("stop", stop.tol, 0.0)


def tolerance_rule(name: str, tol: Any, rule: Callable[[Any], Stop]) -> Stop | None:
    """Return the rule for a tolerance; None for 0."""
    if checks.is_concrete(tol):
        tol = checks.real(name, tol, 0.0)
        return None if tol == 0 else rule(tol)
    if np.ndim(tol):
        raise InputTypeError(f"{name} must be a scalar, got shape {np.shape(tol)}")
    return rule(tol)


def _check_answer(stop: Stop, fields: tuple[str, ...], dtype: Any) -> None:
    """Raise if a stopping rule does not answer with one boolean."""
    number, count = jax.ShapeDtypeStruct((), dtype), jax.ShapeDtypeStruct((), np.int32)
    optional = {f: count if f == "num_changed" else number for f in fields if f != "factors"}
    entry = History(count, number, number, **optional)  # type: ignore[arg-type]

    def ask(rule: Stop, *entries: History) -> None:
        answer = rule(*entries)
        kind = (np.shape(answer), getattr(answer, "dtype", type(answer)))
        if kind not in (((), np.bool_), ((), bool)):
            raise InputTypeError(f"stop must return a boolean scalar, got {answer!r} from {stop!r}")

    jax.eval_shape(ask, stop, entry, entry, entry)


def check_record(record: Any, model: Model) -> Record:
    """Return what is recorded, with all names; by default all scalars that apply."""
    if not isinstance(record, Record):
        record = Record(record)
    fields = record.fields
    if fields is None:
        fields = tuple(f for f in records.SCALARS if records.makes_sense(f, model))
    if isinstance(fields, str) or not isinstance(fields, Sequence):
        raise InputTypeError(f"record must be a sequence of names, got {fields!r}")
    for field in fields:
        checks.one_of("record", field, (*records.ALWAYS, *records.RECORDABLE))
        if not records.makes_sense(field, model):
            raise InputError(f"record names {field!r}, which does not apply to these constraints")
    if not isinstance(record.own, Sequence):
        raise InputTypeError(
            f"record.own must be pairs of a name and a function, got {record.own!r}"
        )
    for pair in record.own:
        is_pair = isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
        if not is_pair or not callable(pair[1]):
            raise InputTypeError(f"record.own must be pairs of a name and a function, got {pair!r}")
    if len({name for name, _ in record.own}) < len(record.own):
        raise InputError(f"record.own must have different names, got {record.own!r}")
    return Record(tuple(f for f in records.RECORDABLE if f in fields), tuple(record.own))
