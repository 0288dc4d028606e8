"""Argument checks, made before any long work. Every message names the argument and its value.

Shapes and types are always checked. Values are checked if they are concrete. Traced values (inside
``jit`` or ``vmap``) are the caller's responsibility.
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
    """Return True if no leaf of the arguments is traced."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def lies_on_several_devices(x: Any) -> bool:
    """Return True if ``x`` is a concrete array, sharded or replicated over several devices."""
    return isinstance(x, jax.Array) and is_concrete(x) and len(x.sharding.device_set) > 1


def at_hand(x: Any) -> Any:
    """Return a concrete array as a NumPy array, or unchanged if it lies on several devices.

    The host may lack the memory for an array on several devices, or see only a part of it if the
    devices belong to several processes. Use only operations that NumPy and JAX arrays share.
    """
    return x if lies_on_several_devices(x) else np.asarray(x)


def real_array(name: str, x: Any) -> Any:
    """Return ``x`` as a NumPy or JAX array of real numbers; booleans become 0 and 1.

    Raises:
        InputTypeError: if ``x`` is not such an array: complex numbers, sparse matrices, or a mask
            that would be lost.
    """
    if type(x).__module__.startswith(("scipy.sparse", "jax.experimental.sparse")):
        way = "toarray" if hasattr(x, "toarray") else "todense"
        raise InputTypeError(
            f"{name} must be a dense array, got a sparse {type(x).__name__}: pass {name}.{way}()"
        )
    if np.ma.is_masked(x):
        raise InputTypeError(
            f"{name} must be without a mask here, got a masked array: pass its data and weights"
        )
    if not isinstance(x, jax.Array):
        try:
            x = np.asarray(x)
        except (ValueError, TypeError) as error:
            raise InputTypeError(f"{name} must be an array, got {type(x).__name__}") from error
    if x.dtype == bool:
        return x.astype(np.uint8)
    if not (jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.floating)):
        raise InputTypeError(f"{name} must hold real numbers, got dtype {x.dtype}")
    return x


def matrix(name: str, x: Any) -> Array:
    """Return ``x`` as a floating-point array of at least two axes, none of them empty.

    Integers and half precision become float32; float64 is kept if x64 is enabled.

    Raises:
        InputTypeError: if ``x`` is not a real numeric array.
        InputError: if ``x`` has fewer than two axes, is empty, or holds NaN, infinity, or a number
            outside the range of the new dtype.
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
    # device_put, unlike jnp.asarray, does not compile for each new shape.
    return converted if isinstance(x, jax.Array) else jax.device_put(converted)


def working_dtype(x: Any) -> np.dtype:
    """Return the dtype of the computation.

    It is float64 for float64 and for 64-bit integers if x64 is on, otherwise float32.
    """
    if x.dtype not in (np.float64, np.int64, np.uint64):
        return np.dtype(np.float32)
    return jax.dtypes.canonicalize_dtype(np.float64)


def finite(name: str, x: Any, given: Any = None) -> None:
    """Raise InputError if a concrete array holds NaN or infinity.

    Args:
        name: name of the argument in the message.
        x: the array.
        given: the array before conversion, quoted in the message; ``x`` by default.
    """
    if lies_on_several_devices(x):
        _finite_on_devices(name, x, x if given is None else given)
        return
    host = np.asarray(x)
    # A finite sum proves in one cheap pass that all entries are finite. An infinite sum may be
    # overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(host)):
            return
    bad = ~np.isfinite(host)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        value = np.asarray(host if given is None else given)[index]
        raise InputError(f"{name} must be finite in {host.dtype}, got {value} at index {index}")


def _finite_on_devices(name: str, x: Array, given: Any) -> None:
    """Check an array on several devices like ``finite``, with only scalars moved to the host."""
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
    """Return one JAX PRNG key, of the new or the old style; an integer seed becomes one.

    Raises:
        InputError: if a seed is negative or above 2^63 - 1.
        InputTypeError: if ``key`` is something else, or an array of keys.
    """
    if isinstance(key, numbers.Integral) and not isinstance(key, bool):
        return jax.random.key(integer(name, key, 0, 2**63 - 1))
    dtype, shape = getattr(key, "dtype", None), np.shape(key)
    is_new = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    is_old = dtype == np.uint32 and len(shape) == 1 and shape[0] in (2, 4)
    if not (is_new or is_old):
        raise InputTypeError(f"{name} must be one JAX PRNG key or an integer, got {key!r}")
    return key


def integer(name: str, value: Any, low: int, high: float = math.inf) -> int:
    """Return ``value`` as an int in [low, high].

    Raises:
        InputTypeError: if ``value`` is not an integer; booleans are refused.
        InputError: if ``value`` is out of range.
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
    """Return ``value`` as a float in [low, high].

    Raises:
        InputTypeError: if ``value`` is not a real number; booleans are refused.
        InputError: if ``value`` is NaN or out of range.
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
    """Return ``value`` as a pair of ints in [low, high].

    Raises:
        InputTypeError: if ``value`` is not a pair of integers.
        InputError: if one of them is out of range.
    """
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise InputTypeError(f"{name} must be a pair of integers, got {value!r}")
    return integer(name, value[0], low, high), integer(name, value[1], low, high)


def integer_bounds(name: str, bounds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return ``bounds`` as a pair (lower, upper) of float64 arrays of integers, 0-d or 1-d.

    Raises:
        InputTypeError: if a bound is traced or not an integer (2.0 counts as one, 2.5 does not).
        InputError: if lower exceeds upper, or a magnitude exceeds 2^24, the limit of exact float32.
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
        raise InputError(f"{name} must be (lower, upper) with lower <= upper, got {bounds!r}")
    if max(np.max(np.abs(lower)), np.max(np.abs(upper))) > 2**24:
        raise InputError(f"{name} must not exceed 2^24 in magnitude, got {bounds!r}")
    return lower, upper


def one_of(name: str, value: T, choices: Sequence[T]) -> T:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        InputError: if ``value`` is not among them.
    """
    if not any(type(value) is type(c) and value == c for c in choices):
        raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
