"""RGB and YCbCr (BT.601, full range, as in JFIF): a float forward and an integer inverse.

The encoder may compute in floats. The decoder may not, since its pixels must be the same on every
backend. So the inverse is fixed-point integer arithmetic.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_FORWARD = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_SHIFT = 16
_R_CR, _G_CB, _G_CR, _B_CB = (round(c * 2**_SHIFT) for c in (1.402, -0.344136, -0.714136, 1.772))


def rgb_to_ycbcr(image: Array) -> Array:
    """Convert RGB to YCbCr without rounding (JFIF 1.02, page 3).

    Args:
        image: shape (..., H, W, 3), values in [0, 255], any real dtype.

    Returns:
        Same shape, float32: Y in [0, 255], Cb and Cr in [0, 256) around 128.
    """
    pixels = image.astype(jnp.float32)
    rotated = jnp.matmul(pixels, _FORWARD.T, precision=lax.Precision.HIGHEST)
    return rotated + jnp.broadcast_to(np.array([0, 128, 128], np.float32), rotated.shape)


def ycbcr_to_rgb(y: Array, cb: Array, cr: Array) -> Array:
    """Convert integer YCbCr planes to RGB, rounded and clipped.

    Coefficients have 16 fractional bits. So for chroma within [0, 255], a channel differs from the
    rounded real-valued conversion only if the real value is within 2^-8 of a tie.

    Args:
        y: shape (..., H, W), int32; values may leave [0, 255].
        cb: same shape, centred on 128, at most 2^13 in magnitude.
        cr: likewise.

    Returns:
        Shape (..., H, W, 3), uint8.
    """
    blue, red = cb - 128, cr - 128
    half = 1 << (_SHIFT - 1)
    channels = [
        y + ((_R_CR * red + half) >> _SHIFT),
        y + ((_G_CB * blue + _G_CR * red + half) >> _SHIFT),
        y + ((_B_CB * blue + half) >> _SHIFT),
    ]
    return to_uint8(jnp.stack(channels, axis=-1))


def to_uint8(x: Array) -> Array:
    """Clip an integer array to [0, 255] and return it as uint8."""
    return jnp.clip(x, 0, 255).astype(jnp.uint8)
