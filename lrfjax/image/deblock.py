"""Deblocking: smooth the borders between patches, in integers.

Quantization changes each patch on its own, which shows as steps at the borders. If a step is small
against the quantization step and both sides are smooth, it is spread over three pixels on either
side, which take 0.35, 0.15 and 0.05 of it. Both limits are ramps, not thresholds.

NumPy computes it on the host: a compiled program would serve one size of image only.
"""

from __future__ import annotations

import numpy as np

_SHARES = (22, 10, 3)
"""Shares of a step that the three pixels take, in 1/64."""

STRENGTH_UNIT = 16
"""Strength at which steps up to the quantization step are smoothed."""


def deblock(patches: np.ndarray, steps: np.ndarray, strength: int) -> np.ndarray:
    """Smooth the borders between patches: first left to right, then top to bottom.

    Args:
        patches: planes as patches, shape (planes, P, Q, rows, columns), integers of at most 2^18 in
            magnitude. P and Q, at least 8, are the size of a patch; rows and columns are the grid
            of patches.
        steps: quantization steps in the unit of the pixels, shape (planes,), from 1 to 2^17.
        strength: from 0 (no change) to 255.

    Returns:
        Same shape, int32, a new array.
    """
    out = patches.astype(np.int32)
    for plane, step in zip(out, steps, strict=True):
        limit = np.int32(max(int(step) * int(strength) // STRENGTH_UNIT, 1))
        by_column = plane.swapaxes(0, 1)
        _smooth(by_column[..., :-1], by_column[..., 1:], limit)
        _smooth(plane[:, :, :-1], plane[:, :, 1:], limit)
    return out


def _smooth(before: np.ndarray, after: np.ndarray, limit: np.int32) -> None:
    """Smooth in place the borders between patches and those that follow them in one direction.

    Args:
        before: the patches before the borders, int32; the first axis is that of the pixels across
            the border.
        after: the patches after the borders, same shape.
        limit: largest step that is smoothed.
    """
    p, q = [before[-1 - i] for i in range(4)], [after[i] for i in range(4)]
    jump = (4 * (q[0] - p[0]) - (p[0] - p[1]) - (q[1] - q[0])) >> 2
    rough = (
        np.abs(p[0] - 2 * p[1] + p[2])
        + np.abs(q[0] - 2 * q[1] + q[2])
        + ((np.abs(p[1] - p[3]) + np.abs(q[1] - q[3])) >> 1)
    )
    # Both weights fall from 32 to 0 over the second half of their range.
    slope = np.int32((64 << 16) // limit)
    by_jump = np.minimum((np.maximum(limit - np.abs(jump), 0) * slope) >> 16, 32)
    by_rough = np.minimum((np.maximum(2 * limit - 3 * rough, 0) * slope) >> 17, 32)
    moved = (((by_jump * by_rough + 16) >> 5) * jump + 16) >> 5
    for near, far, share in zip(p, q, _SHARES, strict=False):
        part = (share * moved + 32) >> 6
        near += part
        far -= part
