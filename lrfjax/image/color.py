"""RGB and YCbCr (BT.601, full range, as in JFIF): a float forward and an integer inverse.

The encoder may compute in floats. The decoder may not, since its pixels must be the same on every
backend. So the inverse is fixed-point integer arithmetic. Both run on the host, in NumPy, so no
size of image needs a compilation.
"""

from __future__ import annotations

import numpy as np

_FORWARD = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_SHIFT = 16
_R_CR, _G_CB, _G_CR, _B_CB = (round(c * 2**_SHIFT) for c in (1.402, -0.344136, -0.714136, 1.772))

_ROWS = 16
"""Rows that are converted at a time: their values stay in the cache."""


def rgb_to_ycbcr(image: np.ndarray) -> np.ndarray:
    """Convert RGB to YCbCr without rounding (JFIF 1.02, page 3).

    Args:
        image: shape (..., H, W, 3), values in [0, 255], any real dtype.

    Returns:
        Same shape, float32: Y in [0, 255], Cb and Cr in [0, 256) around 128.
    """
    red, green, blue = np.moveaxis(image.astype(np.float32), -1, 0)
    # No matrix product: BLAS fuses multiplications and additions, but not on every machine.
    planes = [r * red + g * green + b * blue for r, g, b in _FORWARD]
    return np.stack([planes[0], planes[1] + np.float32(128), planes[2] + np.float32(128)], axis=-1)


def ycbcr_to_rgb(y: np.ndarray, cb: np.ndarray, cr: np.ndarray) -> np.ndarray:
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
    image = np.empty((*y.shape, 3), np.uint8)
    height = y.shape[-2]
    for top in range(0, height, _ROWS):
        rows = (..., slice(top, top + _ROWS), slice(None))
        blue, red = cb[rows] - 128, cr[rows] - 128
        terms = _R_CR * red, _G_CB * blue + _G_CR * red, _B_CB * blue
        for channel, term in enumerate(terms):
            term += 1 << (_SHIFT - 1)
            term >>= _SHIFT
            term += y[rows]
            image[(*rows, channel)] = np.clip(term, 0, 255, out=term)
    return image
