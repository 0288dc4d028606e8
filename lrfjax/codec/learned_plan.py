"""The plan of a learned factorization: the rank, the norm of the columns of V, and the scale.

X ~ s U V^T with integer factors, where s = step / norm. Rounding V turns its columns a little out
of their place: what they turn away from the columns that are kept is lost. A larger norm rounds V
more finely, so the norm is chosen such that this loss stays small beside the other losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lrfjax.codec.entropy.magnitudes import MAX_ENTRY
from lrfjax.codec.planes import FRACTION_BITS
from lrfjax.codec.products import scaled_product
from lrfjax.codec.quantize import IntegerFactors, Scale, nearest_scale, scale_at_least

LEAST_NORM = 127
"""The least norm of the columns of V."""

LARGEST_PRODUCT = 2**27 - 1
"""The largest magnitude in U V^T; it leaves mantissas of the scale three bits."""

# Columns weaker than this share of the step would round to zero.
_WEAKEST = 0.25
# The loss from rounding V, as a share of the other losses.
_ROUNDING_LOSS = 0.3
# Entries of U may exceed those of the SVD by this factor, because columns of V are rounded.
_HEADROOM = 1.25


@dataclass(frozen=True)
class Plan:
    """The plan of the factors of one plane.

    Attributes:
        step: quantization step of U in 1/16 gray levels; coarser than asked for where the products
            would leave their range.
        rank: number of columns.
        norm: approximate norm of the columns of V, and the limit of their entries.
        largest: limit of the entries of U.
    """

    step: float
    rank: int
    norm: int
    largest: int

    def scale(self, depth: int) -> Scale:
        """Return the scale of the product, rounded up, with the fractional bits of the depth."""
        limit = self.largest * self.norm * self.rank
        return scale_at_least(self.step / 16 / self.norm * 2 ** FRACTION_BITS[depth], limit)

    def gray_scale(self, depth: int) -> float:
        """Return the scale of the product in gray levels."""
        return float(self.scale(depth)) / 2 ** FRACTION_BITS[depth]

    def missing(self, step: float) -> float:
        """Return the share of the planned step that a step asks for, at most 1."""
        return step / self.step


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What the plan of a plane depends on, besides the step; lengths in gray levels.

    Attributes:
        energies: mean squares of the columns of U S, in falling order.
        total: mean squared norm of the rows of X.
        peak: largest magnitude that U S may have.
        length: length of the columns of V.
    """

    energies: np.ndarray
    total: float
    peak: float
    length: int


def plan_of(spectrum: Spectrum, step: float, depth: int) -> Plan:
    """Return the plan with the smallest step from ``step`` on whose products stay in range.

    Args:
        spectrum: spectrum of the plane.
        step: step in 1/16 gray levels.
        depth: bits per channel, 8 or 16.
    """
    length = spectrum.length
    # Pixels are rounded in the end.
    rounding = length / 12 / (1 if depth == 8 else 257) ** 2
    while True:
        gray = step / 16
        rank = max(int(np.count_nonzero(np.sqrt(spectrum.energies) > _WEAKEST * gray)), 1)
        kept = float(spectrum.energies[:rank].sum())
        others = max(spectrum.total - kept, 0.0) + rank * gray**2 / 12 + rounding
        least = math.sqrt(kept * (length - rank) / (12 * _ROUNDING_LOSS * others))
        norm = LEAST_NORM << max(math.ceil(math.log2(max(least, 1) / LEAST_NORM)), 0)
        largest = math.ceil(_HEADROOM * spectrum.peak / gray) + 2
        if largest <= MAX_ENTRY and largest * norm * rank <= LARGEST_PRODUCT:
            return Plan(step, rank, norm, largest)
        # Whole steps, so that all finer ones end at the same.
        step = math.floor(step) + 1


def fit_scale(factors: IntegerFactors, x: np.ndarray) -> IntegerFactors:
    """Return the factors with the scale of the least squared error, if another one is better.

    Args:
        factors: factors of X.
        x: shape (M, N), in the unit of the scaled product.
    """
    product = scaled_product(replace(factors, scale=Scale())).astype(np.float32)
    square = float(np.square(product).sum(dtype=np.float64))
    if square == 0:
        return factors
    best = float((product * x).sum(dtype=np.float64)) / square
    fitted = nearest_scale(best, factors.largest_product)
    is_better = abs(float(fitted) - best) < abs(float(factors.scale) - best)
    return replace(factors, scale=fitted) if is_better else factors
