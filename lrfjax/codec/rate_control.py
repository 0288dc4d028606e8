"""The search for the step at which a file has a given rate or an image a given PSNR.

One real number, the dial, stands for step and Lagrangian together: its whole part is the step in
1/16 gray levels, and its fraction raises the Lagrangian by as much as makes the rate fall steadily
from one step to the next. So small steps can be met as finely as large ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lrfjax.errors import InputError

T = TypeVar("T")

MIN_DIAL, MAX_DIAL = 1.0, 16384.0
"""Steps of 1/16 gray level and of 1024."""

LAGRANGIAN = 0.12
"""What a bit is worth in squared steps, at a whole dial."""

MAX_ATTEMPTS = 7
"""A search takes at most so many, which leaves time for writing within that of eight encodings."""

_RATE_TOLERANCE, _PSNR_TOLERANCE = 0.02, 0.1
# The rate falls about as the step to the power of -0.9, as the Lagrangian to that of -0.15.
_EXPONENT = 6


def dial_settings(dial: float) -> tuple[int, float]:
    """Return the step in 1/16 gray levels, and the Lagrangian in squared steps.

    Example:
        >>> dial_settings(100.0)
        (100, 0.12)
    """
    step = math.floor(dial)
    return step, LAGRANGIAN * ((1 + 1 / step) ** (_EXPONENT * (dial - step)))


def quality_dial(quality: float, depth: int) -> float:
    """Return the dial of a quality: steps from 256 gray levels at 0 to 1 at 100 (16 bits: 1/16).

    Example:
        >>> quality_dial(50, 8), quality_dial(100, 8), quality_dial(100, 16)
        (256.0, 16.0, 1.0)
    """
    octaves = 8 if depth == 8 else 12
    return 4096 * 2.0 ** (-octaves * quality / 100)


@dataclass
class Attempt(Generic[T]):
    """What a dial gives.

    Attributes:
        value: of the target: bytes, or dB.
        result: what the caller made of it.
    """

    value: float
    result: T


def meet_bytes(attempt: Callable[[float], Attempt[T]], target: float) -> T:
    """Return the result with at most ``target`` bytes, and within 2 % of them where possible.

    Args:
        attempt: makes a result from a dial; its value is the number of bytes.
        target: in bytes.

    Raises:
        InputError: if even the largest step takes more.
    """
    if not target > 0:
        raise InputError(f"target_bpp must be positive, got a target of {target} bytes")
    found = _search(
        attempt,
        math.log,
        # Aim a little below, so that what rounding adds does not go above.
        math.log(target * (1 - 0.3 * _RATE_TOLERANCE)),
        lambda value: (1 - _RATE_TOLERANCE) * target <= value <= target,
        slope=-0.9,
    )
    fitting = [a for a in found if a.value <= target]
    if not fitting:
        least = min(a.value for a in found)
        raise InputError(
            f"target_bpp allows {target:.0f} bytes, the least for this image are {least:.0f}"
        )
    return max(fitting, key=lambda a: a.value).result


def meet_psnr(attempt: Callable[[float], Attempt[T]], target: float) -> T:
    """Return the result whose PSNR is within 0.1 dB of ``target``.

    Where an image has nothing between too little and too much (a few pixels, or nearly all of them
    exact), it is the least above the target.

    Args:
        attempt: makes a result from a dial; its value is the PSNR in dB.
        target: in dB.

    Raises:
        InputError: if no step comes as high.
    """
    found = _search(
        attempt,
        # Nearly lossless images leap to infinity; what is above the target does not matter.
        lambda value: min(value, target + 10),
        target,
        lambda value: abs(value - target) <= 0.6 * _PSNR_TOLERANCE,
        slope=-5.0,
    )
    found_above = [a for a in found if a.value >= target - _PSNR_TOLERANCE]
    if not found_above:
        most = max(a.value for a in found)
        raise InputError(f"target_psnr is {target} dB, the most for this image is {most:.2f}")
    return min(found_above, key=lambda a: abs(a.value - target)).result


def _search(
    attempt: Callable[[float], Attempt[T]],
    transform: Callable[[float], float],
    aim: float,
    is_met: Callable[[float], bool],
    *,
    slope: float,
) -> list[Attempt[T]]:
    """Return the attempts of a search for the dial at which a falling function meets a target.

    The function is nearly linear over the logarithm of the dial, so the next dial comes from the
    line through the closest attempts on both sides, or from the slope where there is one only.
    """
    low, high = math.log(MIN_DIAL), math.log(MAX_DIAL)
    points: list[tuple[float, float]] = []
    found: list[Attempt[T]] = []
    # A start in the middle of what is used.
    x = math.log(16 * 30.0)
    width = math.inf
    while len(found) < MAX_ATTEMPTS:
        one = attempt(math.exp(x))
        found.append(one)
        y = transform(one.value)
        points.append((x, y))
        if is_met(one.value):
            break
        above = [p for p in points if p[1] > aim]
        below = [p for p in points if p[1] <= aim]
        if (above and max(above)[0] >= high) or (below and min(below)[0] <= low):
            break
        if above and below:
            (x0, y0), (x1, y1) = max(above), min(below)
            if x1 <= x0:
                break
            # The secant, kept away from the ends so that the bracket shrinks, and more so when
            # the last step hardly did.
            margin = 0.05 if x1 - x0 < 0.6 * width else 0.4
            width = x1 - x0
            share = min(max((y0 - aim) / (y0 - y1), margin), 1 - margin)
            x = x0 + share * (x1 - x0)
        else:
            if len(points) > 1 and points[-1][0] != points[-2][0]:
                (x0, y0), (x1, y1) = points[-2:]
                slope = min((y1 - y0) / (x1 - x0), 0.3 * slope)
            ahead = (aim - y) / slope
            x = x + ahead + math.copysign(0.02, ahead)
        x = min(max(x, low), high)
    return found
