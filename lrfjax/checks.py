"""Checks of arguments, made before any long work; every message names the argument and value.

Shapes and types are checked always. Values are checked where they are concrete, and left to the
caller where they are traced (inside ``jit`` or ``vmap``).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax.errors import InputError, InputTypeError

T = TypeVar("T")


def is_concrete(*values: Any) -> bool:
    """Return whether no leaf of the arguments is traced."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def matrix(name: str, x: Any) -> Array:
    """Return ``x`` as a floating-point array of at least two axes, none of them empty.

    Integers and half precision become float32; float64 stays where x64 is enabled.

    Raises:
        InputTypeError: if it is not a real numeric array.
        InputError: if it has fewer than two axes, is empty, or holds NaN or infinity.
    """
    if not isinstance(x, jax.Array):
        try:
            x = np.asarray(x)
        except (ValueError, TypeError) as error:
            raise InputTypeError(f"{name} must be an array, got {type(x).__name__}") from error
    if not (jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.floating)):
        raise InputTypeError(f"{name} must hold real numbers, got dtype {x.dtype}")
    if x.ndim < 2:
        raise InputError(f"{name} must have at least 2 axes (..., M, N), got shape {x.shape}")
    if 0 in x.shape:
        raise InputError(f"{name} must not be empty, got shape {x.shape}")
    # canonicalize_dtype makes float64 what it is where x64 is on, and float32 elsewhere.
    is_double = x.dtype == np.float64
    wide = jax.dtypes.canonicalize_dtype(np.float64) if is_double else np.dtype(np.float32)
    if is_concrete(x):
        finite(name, x)
    # device_put, unlike jnp.asarray, compiles nothing for a new shape.
    return x.astype(wide) if isinstance(x, jax.Array) else jax.device_put(x.astype(wide))


def finite(name: str, x: Any) -> None:
    """Raise InputError if a concrete array holds NaN or infinity."""
    host = np.asarray(x)
    # A finite sum proves that all is finite, in one cheap pass; an infinite one may be overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(host)):
            return
    bad = ~np.isfinite(host)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(f"{name} must be finite, got {host[index]} at index {index}")


def integer(name: str, value: Any, low: int, high: float = math.inf) -> int:
    """Return ``value`` as an int within [low, high].

    Raises:
        InputTypeError: if it is not an integer (booleans are not).
        InputError: if it is out of range.
    """
    if isinstance(value, (jax.Array, np.ndarray)) and value.ndim == 0:
        value = value.item() if is_concrete(value) else value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise InputTypeError(f"{name} must be an integer, got {value!r}")
    value = int(value)
    if not low <= value <= high:
        span = f"at least {low}" if high == math.inf else f"between {low} and {high}"
        raise InputError(f"{name} must be {span}, got {value}")
    return value


def real(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """Return ``value`` as a float within [low, high].

    Raises:
        InputTypeError: if it is not a real number (booleans are not).
        InputError: if it is NaN or out of range.
    """
    if isinstance(value, (jax.Array, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise InputTypeError(f"{name} must be a real number, got {value!r}")
    value = float(value)
    if not low <= value <= high:
        span = f"at least {low}" if high == math.inf else f"between {low} and {high}"
        raise InputError(f"{name} must be {span}, got {value}")
    return value


def integer_bounds(name: str, bounds: Any) -> tuple[int, int]:
    """Return a pair of integers (lower, upper) in order.

    Raises:
        InputTypeError: if it is not a pair of integers (2.0 counts as one, 2.5 does not).
        InputError: if they are reversed, or too large to be exact in float32.
    """
    try:
        lower, upper = (float(b) for b in bounds)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} must be a pair of integers, got {bounds!r}") from error
    if not (lower.is_integer() and upper.is_integer()):
        raise InputTypeError(f"{name} must be a pair of integers, got {bounds!r}")
    if lower > upper:
        raise InputError(f"{name} must be (lower, upper) in order, got {bounds!r}")
    if max(abs(lower), abs(upper)) > 2**24:
        raise InputError(f"{name} must not exceed 2^24 in magnitude, got {bounds!r}")
    return int(lower), int(upper)


def one_of(name: str, value: T, choices: Sequence[T]) -> T:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        InputError: if it is not.
    """
    if not any(type(value) is type(c) and value == c for c in choices):
        raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
