"""Padding to whole patches and the patch matrix: function/inverse pairs.

A row of the patch matrix is one patch; the patches run row by row over the image. Within a row the
channel varies slowest, then the row of pixels. All of it is NumPy on the host, so no size of image
needs a compilation.
"""

from __future__ import annotations

import numpy as np


def patch_grid(size: tuple[int, int], patch_size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of patches that cover an image.

    Example:
        >>> patch_grid((17, 16), (8, 8))
        (3, 2)
    """
    return -(-size[0] // patch_size[0]), -(-size[1] // patch_size[1])


def padded_size(size: tuple[int, int], patch_size: tuple[int, int]) -> tuple[int, int]:
    """Return the size, rounded up to whole patches.

    Example:
        >>> padded_size((17, 16), (8, 8))
        (24, 16)
    """
    rows, columns = patch_grid(size, patch_size)
    return rows * patch_size[0], columns * patch_size[1]


def pad(plane: np.ndarray, patch_size: tuple[int, int]) -> np.ndarray:
    """Reflect a plane at its borders until whole patches fit.

    The padding is split evenly between both sides; an odd pixel goes to the end. A side shorter
    than the padding is reflected repeatedly.

    Args:
        plane: shape (..., H, W), H and W at least 1.
        patch_size: (P, Q).

    Returns:
        Shape (..., H', W'), multiples of P and Q.
    """
    target = padded_size((plane.shape[-2], plane.shape[-1]), patch_size)
    for axis, length in zip((-2, -1), target, strict=True):
        size = plane.shape[axis]
        if length != size:
            before = (length - size) // 2
            index = np.pad(np.arange(size), (before, length - size - before), mode="reflect")
            plane = np.take(plane, index, axis=axis)
    return plane


def unpad(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut the padding off again: the inverse of ``pad``.

    Args:
        plane: shape (..., H', W').
        size: (H, W) before padding.

    Returns:
        Shape (..., H, W).
    """
    top, left = ((n - m) // 2 for n, m in zip(plane.shape[-2:], size, strict=True))
    return plane[..., top : top + size[0], left : left + size[1]]


def patchify(planes: np.ndarray, patch_size: tuple[int, int]) -> np.ndarray:
    """Return the patch matrix of one or more planes.

    Args:
        planes: shape (C, H, W), H and W multiples of P and Q.
        patch_size: (P, Q).

    Returns:
        Shape (H W / (P Q), C P Q).
    """
    channels, height, width = planes.shape
    p, q = patch_size
    blocks = planes.reshape(channels, height // p, p, width // q, q)
    return blocks.transpose(1, 3, 0, 2, 4).reshape(-1, channels * p * q)


def unpatchify(
    matrix: np.ndarray, shape: tuple[int, int, int], patch_size: tuple[int, int]
) -> np.ndarray:
    """Put the patches back: the inverse of ``patchify``.

    Args:
        matrix: shape (H W / (P Q), C P Q).
        shape: (C, H, W).
        patch_size: (P, Q).

    Returns:
        Shape (C, H, W).
    """
    channels, height, width = shape
    p, q = patch_size
    blocks = matrix.reshape(height // p, width // q, channels, p, q)
    return blocks.transpose(2, 0, 3, 1, 4).reshape(shape)
