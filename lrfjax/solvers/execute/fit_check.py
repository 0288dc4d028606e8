"""A warning where X does not suit the bounds: an integer solver then converges to nothing."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lrfjax import checks
from lrfjax.errors import FitWarning
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.sets.boxes import IntegerBox
from lrfjax.types import Result

# A fit that leaves a quarter of the squared norm of X is no fit.
_BAD_ERROR = 0.5
# Between bounds this close, entries at the bounds are no sign of a wrong scale.
_LEAST_WIDTH = 4


@contextmanager
def without_fit_warnings() -> Iterator[None]:
    """Silence ``FitWarning`` for a caller that knows what it factorizes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        yield


def warn_of_scale(result: Result, model: Model) -> None:
    """Warn if a bad fit has a factor of zeros, or most entries of a factor at its bounds.

    Args:
        result: result without a fitted scale, concrete.
        model: what was minimised, concrete.

    Warns:
        FitWarning: the message names the remedy.
    """
    history = result.history.relative_error
    if checks.lies_on_several_devices(history) or any(map(_is_deliberate, model.sides)):
        return
    errors = np.asarray(history)[..., -1]
    is_bad = errors > _BAD_ERROR
    if not is_bad.any():
        return
    typical = float(np.median(errors[is_bad]))
    remedy = (
        'the start "balanced" with fit_scale=True finds the scale of X (and fit_offset=True the '
        "mean); "
        "or bring X to the range of products of two such integers"
    )
    for name, box in zip("uv", model.constraints, strict=True):
        if not isinstance(box, IntegerBox):
            continue
        factor = np.asarray(getattr(result.factors, name))[is_bad]
        if not factor.any():
            warnings.warn(
                f"all entries of {name} are 0 and the relative error is {typical:.2g}: X is too "
                f"small for integer factors. {remedy}",
                FitWarning,
                stacklevel=_frames_to_caller(),
            )
            return
        if (share := _share_at_bounds(factor, box)) > 0.5:
            warnings.warn(
                f"{share:.0%} of the entries of {name} lie at their bounds and the relative error "
                f"is {typical:.2g}: X is too large for them. {remedy}, or widen the bounds",
                FitWarning,
                stacklevel=_frames_to_caller(),
            )
            return


def _is_deliberate(side: FactorModel) -> bool:
    """Return True if the caller froze columns or asked for small entries by a penalty."""
    return side.is_fixed or side.frozen is not None or bool(side.penalties)


def _frames_to_caller() -> int:
    """Return the ``stacklevel`` of the first frame outside the solvers, for the function above."""
    level, frame = 0, sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith("lrfjax.solvers") and frame.f_back:
        level, frame = level + 1, frame.f_back
    return level + 1


def _share_at_bounds(factor: np.ndarray, box: Any) -> float:
    """Return the share of entries at a bound other than 0; 0 if the bounds are close."""
    lower, upper = (np.atleast_1d(b)[: factor.shape[-1]] for b in (box.lower, box.upper))
    if np.min(upper - lower) < _LEAST_WIDTH:
        return 0.0
    return float(np.mean((factor != 0) & ((factor == lower) | (factor == upper))))
