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


def lies_on_several_devices(x: Any) -> bool:
    """Return whether a concrete array is spread or copied over more than one device."""
    return isinstance(x, jax.Array) and is_concrete(x) and len(x.sharding.device_set) > 1


def at_hand(x: Any) -> Any:
    """Return a concrete array on the host, or as it is where it lies on several devices.

    Of such an array the host may not have room for the whole, and may not even see the whole: its
    devices may belong to several processes. What NumPy and JAX arrays both do is done there.
    """
    return x if lies_on_several_devices(x) else np.asarray(x)


def real_array(name: str, x: Any) -> Any:
    """Return ``x`` as a NumPy or JAX array of real numbers.

    Raises:
        InputTypeError: if it is not one (booleans and complex numbers are not).
    """
    if not isinstance(x, jax.Array):
        try:
            x = np.asarray(x)
        except (ValueError, TypeError) as error:
            raise InputTypeError(f"{name} must be an array, got {type(x).__name__}") from error
    if not (jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.floating)):
        raise InputTypeError(f"{name} must hold real numbers, got dtype {x.dtype}")
    return x


def matrix(name: str, x: Any) -> Array:
    """Return ``x`` as a floating-point array of at least two axes, none of them empty.

    Integers and half precision become float32; float64 stays where x64 is enabled.

    Raises:
        InputTypeError: if it is not a real numeric array.
        InputError: if it has fewer than two axes, is empty, or holds NaN, infinity, or a number
            beyond the range of the dtype that it becomes.
    """
    x = real_array(name, x)
    if x.ndim < 2:
        raise InputError(f"{name} must have at least 2 axes (..., M, N), got shape {x.shape}")
    if 0 in x.shape:
        raise InputError(f"{name} must not be empty, got shape {x.shape}")
    with np.errstate(over="ignore"):
        converted = x.astype(working_dtype(x))
    if is_concrete(x):
        finite(name, converted, x)
    # device_put, unlike jnp.asarray, compiles nothing for a new shape.
    return converted if isinstance(x, jax.Array) else jax.device_put(converted)


def working_dtype(x: Any) -> np.dtype:
    """Return the dtype that an array is computed in: float64 if it is and x64 is on, or float32."""
    if x.dtype != np.float64:
        return np.dtype(np.float32)
    return jax.dtypes.canonicalize_dtype(np.float64)


def finite(name: str, x: Any, given: Any = None) -> None:
    """Raise InputError if a concrete array holds NaN or infinity.

    Args:
        name: what to call it.
        x: the array.
        given: the same before conversion, to quote from; ``x`` by default.
    """
    if lies_on_several_devices(x):
        _finite_on_devices(name, x, x if given is None else given)
        return
    host = np.asarray(x)
    # A finite sum proves that all is finite, in one cheap pass; an infinite one may be overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(host)):
            return
    bad = ~np.isfinite(host)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        value = np.asarray(host if given is None else given)[index]
        raise InputError(f"{name} must be finite in {host.dtype}, got {value} at index {index}")


def _finite_on_devices(name: str, x: Array, given: Any) -> None:
    """Do as ``finite`` for an array over several devices, of which scalars come to the host."""
    bad = ~jnp.isfinite(x)
    if not bool(bad.any()):
        return
    index: list[int] = []
    while bad.ndim:
        index.append(int(jnp.argmax(bad.any(axis=tuple(range(1, bad.ndim))))))
        bad = bad[index[-1]]
    value = given[tuple(index)]
    raise InputError(f"{name} must be finite in {x.dtype}, got {value} at index {tuple(index)}")


def prng_key(name: str, key: Any) -> Array:
    """Return ``key`` if it is one JAX PRNG key, of the new or the old style.

    Raises:
        InputTypeError: if it is not, or is an array of keys.
    """
    dtype, shape = getattr(key, "dtype", None), np.shape(key)
    is_new = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    is_old = dtype == np.uint32 and len(shape) == 1 and shape[0] in (2, 4)
    if not (is_new or is_old):
        raise InputTypeError(f"{name} must be one JAX PRNG key, got {key!r}")
    return key


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


def integer_pair(name: str, value: Any, low: int, high: int) -> tuple[int, int]:
    """Return ``value`` as a pair of ints within [low, high].

    Raises:
        InputTypeError: if it is not a pair of integers.
        InputError: if one is out of range.
    """
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise InputTypeError(f"{name} must be a pair of integers, got {value!r}")
    return integer(name, value[0], low, high), integer(name, value[1], low, high)


def integer_bounds(name: str, bounds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair (lower, upper) of integers, or of arrays of them, in order, as float64.

    Raises:
        InputTypeError: if it is not a pair of integers (2.0 counts as one, 2.5 does not).
        InputError: if they are reversed, or too large to be exact in float32.
    """
    if not is_concrete(bounds):
        raise InputTypeError(f"{name} must be concrete, not traced, got {bounds!r}")
    try:
        lower, upper = (np.asarray(real_array(name, b), np.float64) for b in bounds)
    except InputTypeError as error:
        raise InputTypeError(f"{name} must be a pair of integers, got {bounds!r}") from error
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} must be a pair of integers, got {bounds!r}") from error
    for bound in (lower, upper):
        if bound.ndim > 1 or not np.all(np.isfinite(bound) & (bound == np.round(bound))):
            raise InputTypeError(f"{name} must be a pair of integers, got {bounds!r}")
    if np.any(lower > upper):
        raise InputError(f"{name} must be (lower, upper) in order, got {bounds!r}")
    if max(np.max(np.abs(lower)), np.max(np.abs(upper))) > 2**24:
        raise InputError(f"{name} must not exceed 2^24 in magnitude, got {bounds!r}")
    return lower, upper


def one_of(name: str, value: T, choices: Sequence[T]) -> T:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        InputError: if it is not.
    """
    if not any(type(value) is type(c) and value == c for c in choices):
        raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
