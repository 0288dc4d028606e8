"""Checks of where a solve begins: a named start, a start of the caller, or given factors."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.execute.part_checks import check_part
from lrfjax.solvers.model import Model
from lrfjax.solvers.starts.random_start import RandomStart
from lrfjax.solvers.starts.start import Start
from lrfjax.solvers.starts.svd_starts import BalancedStart, NNDSVDStart, SVDStart
from lrfjax.types import Factors, factors_of

_NAMED = {"svd": SVDStart(), "balanced": BalancedStart(), "nndsvd": NNDSVDStart()}
NAMES = (*_NAMED, "random")


def resolve_start(name: str, start: Any, key: Any) -> Start | Factors:
    """Return a start or factors for what the caller gives: a name, a start, factors, a result.

    Args:
        name: name of the argument, for messages.
        start: what the caller gives.
        key: a PRNG key or a seed for random draws, or None.
    """
    start = factors_of(start)
    if isinstance(start, RandomStart):
        return RandomStart(checks.prng_key("key", start.key))
    if isinstance(start, Factors | Start):
        return start
    if not isinstance(start, str):
        raise InputTypeError(f"{name} must be one of {NAMES}, a Start or Factors, got {start!r}")
    checks.one_of(name, start, NAMES)
    if start != "random":
        return _NAMED[start]
    if key is None:
        raise InputError(f'key must be given with {name}="random", got None')
    return RandomStart(checks.prng_key("key", key))


def check_start(
    name: str,
    start: Start | Factors,
    model: Model,
    num_restarts: int,
    shape: tuple[int, ...],
    width: int,
    bucket: int,
    dtype: Any,
) -> tuple[Start | None, Factors | None]:
    """Return the start, or given factors padded to the bucket."""
    if any(s.is_fixed or s.frozen is not None for s in model.sides) and isinstance(start, Start):
        raise InputError(f"frozen columns need {name} to be Factors, got {start!r}")
    if isinstance(start, Factors):
        if num_restarts > 1:
            raise InputError(f"num_restarts={num_restarts} needs a start that varies, got Factors")
        return None, _padded_factors(name, start, model, shape, width, bucket)
    checked = check_part(name, start, Start, dtype)
    if num_restarts > 1:
        checked.variants(num_restarts, model)  # raises where there is only one
    return checked, None


def _padded_factors(
    name: str, factors: Factors, model: Model, shape: tuple[int, ...], width: int, bucket: int
) -> Factors:
    *batch, num_rows, num_columns = shape
    padded = []
    for side, part, length in (("u", factors.u, num_rows), ("v", factors.v, num_columns)):
        given = checks.real_array(f"{name}.{side}", part)
        if given.shape != (expected := (*batch, length, width)):
            raise InputError(f"{name}.{side} must have shape {expected}, got {given.shape}")
        padding = [(0, 0)] * (len(batch) + 1) + [(0, bucket - width)]
        if checks.is_concrete(given):
            checks.finite(f"{name}.{side}", given)
            given = checks.at_hand(given)
        # NumPy does not compile.
        pad: Any = np.pad if isinstance(given, np.ndarray) else jnp.pad
        padded.append(pad(given, padding))
    affine = []
    for side, value, is_fitted in (
        ("scale", factors.scale, model.fit_scale),
        ("offset", factors.offset, model.fit_offset),
    ):
        affine.append(value)
        if value is None:
            continue
        if not is_fitted:
            raise InputError(f"{name}.{side} is given, so fit_{side} must be True, got False")
        if jnp.shape(value) != tuple(batch):
            raise InputError(
                f"{name}.{side} must have shape {tuple(batch)}, got {jnp.shape(value)}"
            )
        if checks.is_concrete(value):
            checks.finite(f"{name}.{side}", value)
            if side == "scale" and not (checks.at_hand(value) > 0).all():
                raise InputError(f"{name}.scale must be positive, got {value}")
    return Factors(padded[0], padded[1], affine[0], affine[1])
