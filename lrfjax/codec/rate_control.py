"""Rate control: the search for the quantization step of a target size or PSNR.

One real number, the dial, determines the step and the Lagrange multiplier. Its integer part is the
step in 1/16 gray levels. Its fractional part raises the multiplier, so that the rate falls steadily
from one step to the next. Targets can therefore be met as closely at small steps as at large ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lrfjax.errors import InputError

T = TypeVar("T")

MIN_DIAL, MAX_DIAL = 1.0, 16384.0
"""The range of the dial: steps from 1/16 to 1024 gray levels."""

LAGRANGIAN = 0.12
"""The Lagrange multiplier of the rate at an integer dial, in squared steps per bit."""

MAX_ATTEMPTS = 7
"""The most encodings of a search. With writing, it takes less time than eight encodings."""

_RATE_TOLERANCE, _PSNR_TOLERANCE = 0.02, 0.1
# The rate is roughly proportional to step^-0.9 and to lagrangian^-0.15.
_EXPONENT = 6


def dial_settings(dial: float) -> tuple[int, float]:
    """Return the step, in 1/16 gray levels, and the Lagrange multiplier, in squared steps per bit.

    Example:
        >>> dial_settings(100.0)
        (100, 0.12)
    """
    step = math.floor(dial)
    return step, LAGRANGIAN * ((1 + 1 / step) ** (_EXPONENT * (dial - step)))


def quality_dial(quality: float, depth: int) -> float:
    """Return the dial of a quality.

    The step falls geometrically from 256 gray levels at quality 0 to 1 gray level at quality 100,
    or to 1/16 gray level for 16 bits.

    Example:
        >>> quality_dial(50, 8), quality_dial(100, 8), quality_dial(100, 16)
        (256.0, 16.0, 1.0)
    """
    octaves = 8 if depth == 8 else 12
    return 4096 * 2.0 ** (-octaves * quality / 100)


@dataclass
class Attempt(Generic[T]):
    """The outcome of encoding at a dial.

    Attributes:
        value: value of the target quantity: bytes, or dB.
        result: encoded file.
    """

    value: float
    result: T


def meet_bytes(attempt: Callable[[float], Attempt[T]], target: float) -> T:
    """Return the result with at most ``target`` bytes, and within 2 % of them where possible.

    Args:
        attempt: function from a dial to a result whose value is the number of bytes.
        target: largest number of bytes.

    Raises:
        InputError: if the result exceeds the target at the largest step.
    """
    if not target > 0:
        raise InputError(f"target_bpp must be positive, got a target of {target} bytes")
    found = _search(
        attempt,
        math.log,
        # Aim slightly below the target, so that rounding does not exceed it.
        math.log(target * (1 - 0.3 * _RATE_TOLERANCE)),
        lambda value: (1 - _RATE_TOLERANCE) * target <= value <= target,
        slope=-0.9,
    )
    fitting = [a for a in found if a.value <= target]
    if not fitting:
        least = min(a.value for a in found)
        raise InputError(
            f"target_bpp allows {target:.0f} bytes, this image takes at least {least:.0f}"
        )
    return max(fitting, key=lambda a: a.value).result


def meet_psnr(attempt: Callable[[float], Attempt[T]], target: float) -> T:
    """Return the result whose PSNR is within 0.1 dB of ``target``.

    If no step comes that close (very small or nearly lossless images), the result is the one with
    the least PSNR above the target.

    Args:
        attempt: function from a dial to a result whose value is the PSNR in dB.
        target: PSNR in dB.

    Raises:
        InputError: if the PSNR stays below the target at the smallest step.
    """
    found = _search(
        attempt,
        # The PSNR of nearly lossless images jumps to infinity, so cap it above the target.
        lambda value: min(value, target + 10),
        target,
        lambda value: abs(value - target) <= 0.6 * _PSNR_TOLERANCE,
        slope=-5.0,
    )
    found_above = [a for a in found if a.value >= target - _PSNR_TOLERANCE]
    if not found_above:
        most = max(a.value for a in found)
        raise InputError(f"target_psnr is {target} dB, this image reaches at most {most:.2f}")
    return min(found_above, key=lambda a: abs(a.value - target)).result


def _search(
    attempt: Callable[[float], Attempt[T]],
    transform: Callable[[float], float],
    aim: float,
    is_met: Callable[[float], bool],
    *,
    slope: float,
) -> list[Attempt[T]]:
    """Return the attempts of a search for the dial where a decreasing function meets a target.

    The function is nearly linear in the logarithm of the dial. The next dial comes from the line
    through the closest attempts on both sides of the target, or from the slope if all attempts are
    on one side.
    """
    low, high = math.log(MIN_DIAL), math.log(MAX_DIAL)
    points: list[tuple[float, float]] = []
    found: list[Attempt[T]] = []
    # Start in the middle of the usual range.
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
            # The secant, kept away from the ends so that the bracket shrinks; by a wider margin
            # if the bracket hardly shrank in the last step.
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
