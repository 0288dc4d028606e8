"""Rate control: the search for the quantization step of a target size or PSNR.

One real number, the dial, is the step in 1/16 gray levels. The dictionaries have integer steps.
There the fractional part of the dial raises the Lagrange multiplier, so that the rate falls
steadily from one step to the next. Targets can therefore be met as closely at small steps as at
large ones.
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

LAGRANGIAN = 0.1
"""The Lagrange multiplier of the rate at an integer dial, in squared steps per bit."""

MAX_WEIGHT = 64.0
"""The largest weight of the Lagrange multiplier, and the inverse of the least one. Weights other
than 1 are for targets that the dial alone does not meet."""

MAX_ATTEMPTS = 40
"""The most encodings of a search. It is a safety net: brackets are empty before."""

_RATE_TOLERANCE, _PSNR_TOLERANCE = 0.02, 0.1
# A bracket of the logarithm of the dial is empty below this width.
_LEAST_WIDTH = 0.002
# The dials around a jump that are tried last.
_CHANGES = tuple(1 + sign * share / 100 for share in range(1, 11) for sign in (1, -1))
# The rate is roughly proportional to step^-0.9 and to lagrangian^-0.15.
_EXPONENT = 6
_RATE_SLOPE, _PSNR_SLOPE = -0.9, -5.0


def dial_settings(dial: float) -> tuple[int, float]:
    """Return the step, in 1/16 gray levels, and the Lagrange multiplier, in squared steps per bit.

    Example:
        >>> dial_settings(100.0)
        (100, 0.1)
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


Encode = Callable[[float, float], Attempt[T]]
"""A function from a dial and a weight of the Lagrange multiplier to an attempt."""


def meet_bytes(encode: Encode[T], target: float) -> T:
    """Return the result with at most ``target`` bytes, and within 2 % of them where possible.

    The rate of very small images has steps: an entry of a learned V takes one or two. If no
    result comes that close, the result is the largest one below the target. It is also the one at
    the smallest step, if that takes less.

    Args:
        encode: function from a dial and a weight to a result whose value is the number of bytes.
        target: largest number of bytes.

    Raises:
        InputError: if the result exceeds the target at the largest step.
    """
    if not target > 0:
        raise InputError(f"target_bpp must be positive, got a target of {target} bytes")
    found = _meet(
        encode,
        math.log,
        # Aim slightly below the target, so that rounding does not exceed it.
        math.log(target * (1 - 0.3 * _RATE_TOLERANCE)),
        lambda value, _: (1 - _RATE_TOLERANCE) * target <= value <= target,
        slope=_RATE_SLOPE,
    )
    fitting = [a for a in found if a.value <= target]
    if not fitting:
        least = min(a.value for a in found)
        raise InputError(
            f"target_bpp allows {target:.0f} bytes, this image takes at least {least:.0f}"
        )
    return max(fitting, key=lambda a: a.value).result


def meet_psnr(encode: Encode[T], target: float) -> T:
    """Return the result whose PSNR is within 0.1 dB of ``target``.

    If the PSNR exceeds the target even at the largest step, the result is the one at that step.

    Args:
        encode: function from a dial and a weight to a result whose value is the PSNR in dB.
        target: PSNR in dB.

    Raises:
        InputError: if the PSNR stays below the target at the smallest step, or no result comes
            that close.
    """
    found = _meet(
        encode,
        # The PSNR of nearly lossless images jumps to infinity, so cap it above the target.
        lambda value: min(value, target + 10),
        target,
        lambda value, share: abs(value - target) <= share * _PSNR_TOLERANCE,
        slope=_PSNR_SLOPE,
    )
    nearest = min(found, key=lambda a: abs(a.value - target))
    if abs(nearest.value - target) <= _PSNR_TOLERANCE:
        return nearest.result
    above = [a for a in found if a.value > target]
    if not above:
        raise InputError(
            f"target_psnr is {target} dB, this image reaches at most {nearest.value:.2f}"
        )
    if len(above) == len(found):
        return min(above, key=lambda a: a.value).result
    below = max(a.value for a in found if a.value <= target)
    raise InputError(
        f"target_psnr is {target} dB, this image reaches {below:.2f} and "
        f"{min(a.value for a in above):.2f}, nothing between"
    )


def _meet(
    encode: Encode[T],
    transform: Callable[[float], float],
    aim: float,
    is_near: Callable[[float, float], bool],
    *,
    slope: float,
) -> list[Attempt[T]]:
    """Return the attempts to meet a target: over the dial, and then over the weight if need be.

    The value may jump across the target at some dial, for instance where a column is dropped. Then
    the dial stays on either side of the jump, and the weight moves the value towards the target.
    If it jumps, too, the value of neighbouring dials may be a better one by chance.

    Args:
        encode: see ``meet_bytes``.
        transform: monotone function of the value that is nearly a line over the logarithm of the
            dial.
        aim: transformed value that is searched for.
        is_near: whether a value is within a share of the tolerance. The search over the dial aims
            at a part of it only, since that takes few attempts.
        slope: expected slope of the transformed value.
    """
    # Start in the middle of the usual range.
    dials = _Search(math.log(MIN_DIAL), math.log(MAX_DIAL), aim, slope, math.log(16 * 30.0))
    found = _run(
        dials, lambda x: encode(math.exp(x), 1.0), transform, lambda value: is_near(value, 0.6)
    )

    def is_met(value: float) -> bool:
        return is_near(value, 1.0)

    if any(is_met(a.value) for a in found) or not (dials.above and dials.below):
        return found
    most = math.log(MAX_WEIGHT)
    for (x, y), low, high in ((dials.above, 0.0, most), (dials.below, -most, 0.0)):
        weights = _Search(low, high, aim, slope / _EXPONENT)
        weights.add(0.0, y)

        def weighted(logarithm: float, dial: float = math.exp(x)) -> Attempt[T]:
            return encode(dial, math.exp(logarithm))

        found += _run(weights, weighted, transform, is_met)
        if is_met(found[-1].value):
            return found
    dial = math.exp(dials.above[0])
    for change in _CHANGES:
        found.append(encode(min(max(dial * change, MIN_DIAL), MAX_DIAL), 1.0))
        if is_met(found[-1].value):
            break
    return found


def _run(
    search: _Search,
    attempt: Callable[[float], Attempt[T]],
    transform: Callable[[float], float],
    is_met: Callable[[float], bool],
) -> list[Attempt[T]]:
    """Return the attempts of a search until one meets the target or the search ends."""
    found: list[Attempt[T]] = []
    while search.is_open and len(found) < MAX_ATTEMPTS:
        found.append(attempt(search.x))
        if is_met(found[-1].value):
            break
        search.add(search.x, transform(found[-1].value))
    return found


class _Search:
    """The search for the place where a decreasing function, nearly a line, meets an aim.

    While all points are on one side of the aim, the next one follows the slope. Then the bracket
    shrinks by secants. They keep away from its ends, by a wider margin if it hardly shrank in the
    last step.

    Args:
        low, high: range of the argument.
        aim: value that is searched for.
        slope: expected slope.
        start: first argument.

    Attributes:
        x: next argument.
        is_open: whether another point can come closer.
        above: the point of the bracket whose value is above the aim, as (argument, value).
        below: the other one.
    """

    def __init__(
        self, low: float, high: float, aim: float, slope: float, start: float = 0.0
    ) -> None:
        self.low, self.high, self.aim, self.slope = low, high, aim, slope
        self.x = start
        self.is_open = True
        self.above: tuple[float, float] | None = None
        self.below: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None
        self._width = math.inf

    def add(self, x: float, y: float) -> None:
        """Take the value at an argument, and set the next argument."""
        if y > self.aim:
            self.above = x, y
        else:
            self.below = x, y
        if self.above and self.below:
            (x0, y0), (x1, y1) = self.above, self.below
            margin = 0.05 if x1 - x0 < 0.6 * self._width else 0.4
            self._width = x1 - x0
            share = min(max((y0 - self.aim) / (y0 - y1), margin), 1 - margin)
            self.x = x0 + share * self._width
            self.is_open = self._width > _LEAST_WIDTH
            return
        if self._last and self._last[0] != x:
            self.slope = min((y - self._last[1]) / (x - self._last[0]), 0.3 * self.slope)
        self._last = x, y
        ahead = (self.aim - y) / self.slope
        self.x = min(max(x + ahead + math.copysign(0.02, ahead), self.low), self.high)
        self.is_open = self.x != x
