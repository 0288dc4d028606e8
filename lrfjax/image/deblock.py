"""Deblocking: smooth the borders between patches, in integers.

Quantization changes each patch on its own, which shows as steps at the borders. If a step is small
against the quantization step and both sides are smooth, it is spread over three pixels on either
side, which take 0.35, 0.15 and 0.05 of it. Both limits are ramps, not thresholds.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

_SHARES = (22, 10, 3)
"""Shares of a step that the three pixels take, in 1/64."""

STRENGTH_UNIT = 16
"""Strength at which steps up to the quantization step are smoothed."""


def deblock(patches: Array, steps: Array, strength: Array) -> Array:
    """Smooth the borders between patches: first left to right, then top to bottom.

    Args:
        patches: planes as patches, shape (planes, P, Q, rows, columns), int32, at most 2^18 in
            magnitude. P and Q, at least 8, are the size of a patch; rows and columns are the grid
            of patches.
        steps: quantization steps in the unit of the pixels, shape (planes,), int32, from 1 to 2^17.
        strength: scalar int32, from 0 (no change) to 255.

    Returns:
        Same shape, int32.
    """
    limits = jnp.maximum(steps * strength // STRENGTH_UNIT, 1)[:, None, None, None, None]
    patches = _smooth(patches, limits, 2, 4)
    return _smooth(patches, limits, 1, 3)


def _smooth(x: Array, limit: Array, pixel_axis: int, patch_axis: int) -> Array:
    """Smooth along one direction: an axis of the pixels in a patch and one of the patches."""
    if x.shape[patch_axis] == 1:
        return x

    def pixels(start: int, stop: int) -> Array:
        return lax.slice_in_dim(x, start, stop, axis=pixel_axis)

    size, count = x.shape[pixel_axis], x.shape[patch_axis]
    p = [
        lax.slice_in_dim(pixels(size - 1 - i, size - i), 0, count - 1, axis=patch_axis)
        for i in range(4)
    ]
    q = [lax.slice_in_dim(pixels(i, i + 1), 1, count, axis=patch_axis) for i in range(4)]
    jump = (4 * (q[0] - p[0]) - (p[0] - p[1]) - (q[1] - q[0])) >> 2
    rough = (
        jnp.abs(p[0] - 2 * p[1] + p[2])
        + jnp.abs(q[0] - 2 * q[1] + q[2])
        + ((jnp.abs(p[1] - p[3]) + jnp.abs(q[1] - q[3])) >> 1)
    )
    # Both weights fall from 32 to 0 over the second half of their range. Divisions are slow, so
    # there is only one per plane.
    slope = (64 << 16) // limit
    by_jump = jnp.minimum((jnp.maximum(limit - jnp.abs(jump), 0) * slope) >> 16, 32)
    by_rough = jnp.minimum((jnp.maximum(2 * limit - 3 * rough, 0) * slope) >> 17, 32)
    moved = (((by_jump * by_rough + 16) >> 5) * jump + 16) >> 5
    parts = [(share * moved + 32) >> 6 for share in _SHARES]
    width = len(_SHARES)

    def shifted(order: list[Array], before: int) -> Array:
        padding = [(0, 0)] * x.ndim
        padding[patch_axis] = (before, 1 - before)
        return jnp.pad(jnp.concatenate(order, axis=pixel_axis), padding)

    first = pixels(0, width) - shifted(parts, 1)
    last = pixels(size - width, size) + shifted(parts[::-1], 0)
    return jnp.concatenate([first, pixels(width, size - width), last], axis=pixel_axis)
