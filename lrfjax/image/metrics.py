"""Image quality (PSNR, SSIM, MS-SSIM) and file size (bits per pixel, compression ratio)."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.errors import InputError

_WINDOW = 11
_SIGMA = 1.5
_MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST_MULTI_SCALE = _WINDOW * 2 ** (len(_MS_WEIGHTS) - 1)


def psnr(a: Any, b: Any, data_range: float = 255.0) -> Array:
    """Return the peak signal-to-noise ratio, 10 log10(data_range^2 / MSE), in dB.

    Args:
        a: shape (..., H, W) or, with channels, (..., H, W, 3).
        b: same shape.
        data_range: largest possible difference.

    Returns:
        A scalar for one image (two axes, or three of which the last has length 3), else one value
        for each image of the batch, shape (...). Infinite for equal images.

    Raises:
        InputError: if the shapes differ or are not those of images.

    Example:
        >>> import numpy as np
        >>> print(round(float(psnr(np.zeros((4, 4)), np.full((4, 4), 255.0))), 3))
        0.0
    """
    x, y = _channels_first(a, b)
    return _psnr(x, y, jnp.float32(data_range))


def ssim(a: Any, b: Any, data_range: float = 255.0) -> Array:
    """Return the structural similarity (Wang et al., 2004), averaged over pixels and channels.

    It uses a Gaussian window of 11 x 11 pixels with sigma 1.5, the population covariance, K =
    (0.01, 0.03), and all positions of the window inside the image. The values are those of
    scikit-image with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``.

    Args:
        a: shape (..., H, W) or (..., H, W, 3), H and W at least 11.
        b: same shape.
        data_range: largest possible difference.

    Returns:
        As for ``psnr``; values in [-1, 1].

    Raises:
        InputError: if the shapes differ, are not those of images or are smaller than the window.
    """
    x, y = _channels_first(a, b)
    if min(x.shape[-2:]) < _WINDOW:
        raise InputError(f"a must be at least {_WINDOW} pixels wide and high, got {np.shape(a)}")
    return jnp.mean(_similarity(x, y, jnp.float32(data_range))[0], axis=-1)


def ms_ssim(a: Any, b: Any, data_range: float = 255.0) -> Array:
    """Return the multi-scale structural similarity (Wang, Simoncelli and Bovik, 2003).

    It has five scales with the weights of the paper and 2 x 2 means between them. Negative terms
    count as zero. The result is averaged over channels.

    Args:
        a: shape (..., H, W) or (..., H, W, 3), H and W at least 176 = 11 x 2^4.
        b: same shape.
        data_range: largest possible difference.

    Returns:
        As for ``psnr``; values in [0, 1].

    Raises:
        InputError: if the shapes differ, are not those of images or are too small.
    """
    x, y = _channels_first(a, b)
    if min(x.shape[-2:]) < _SMALLEST_MULTI_SCALE:
        least = _SMALLEST_MULTI_SCALE
        raise InputError(f"a must be at least {least} pixels wide and high, got {np.shape(a)}")
    return _ms_ssim(x, y, jnp.float32(data_range))


class Fidelity(NamedTuple):
    """Quality of images against their originals, one value per image.

    Attributes:
        psnr_db: see ``psnr``.
        ssim: see ``ssim``; NaN where images are too small for it.
        ms_ssim: see ``ms_ssim``; NaN where images are too small for it.
    """

    psnr_db: Array
    ssim: Array
    ms_ssim: Array


def fidelity(a: Any, b: Any) -> Fidelity:
    """Return PSNR, SSIM and MS-SSIM of a batch of 8-bit images, in one compiled program.

    Args:
        a: shape (B, H, W) or (B, H, W, 3), values 0 to 255.
        b: same shape.

    Returns:
        Arrays of shape (B,).

    Raises:
        InputError: if the shapes differ or are not those of a batch of images.

    Example:
        >>> import numpy as np
        >>> a = np.zeros((2, 16, 16), np.uint8)
        >>> print([len(values) for values in fidelity(a, a + np.uint8(5))])
        [2, 2, 2]
    """
    if np.shape(a) != np.shape(b):
        raise InputError(f"a and b must have one shape, got {np.shape(a)} and {np.shape(b)}")
    if np.ndim(a) == 3:
        a, b = np.asarray(a)[..., None], np.asarray(b)[..., None]
    if np.ndim(a) != 4 or 0 in np.shape(a):
        raise InputError(f"a must have shape (B, H, W) or (B, H, W, 3), got {np.shape(a)}")
    return _fidelity(a, b)


@jax.jit
def _fidelity(a: Array, b: Array) -> Fidelity:
    def single(pair: tuple[Array, Array]) -> Fidelity:
        x, y = (jnp.moveaxis(image.astype(jnp.float32), -1, 0) for image in pair)
        peak, smallest = jnp.float32(255), min(x.shape[-2:])
        nan = jnp.full((), jnp.nan, jnp.float32)
        similarity = nan
        multi_scale = nan
        if smallest >= _WINDOW:
            similarity = jnp.mean(_similarity(x, y, peak)[0])
        if smallest >= _SMALLEST_MULTI_SCALE:
            multi_scale = _ms_ssim(x, y, peak)
        return Fidelity(_psnr(x, y, peak), similarity, multi_scale)

    # One image at a time: each is enough work for a device, and memory is that of one image.
    return lax.map(single, (a, b))


def bits_per_pixel(size: tuple[int, ...], encoded: bytes) -> float:
    """Return the bits per pixel of a whole file, 8 x bytes / (H x W).

    Args:
        size: shape of the image, (H, W) or (H, W, 3).
        encoded: bytes of the file.

    Example:
        >>> bits_per_pixel((10, 8, 3), b"x" * 20)
        2.0
    """
    return 8 * len(encoded) / (size[0] * size[1])


def compression_ratio(image: Any, encoded: bytes) -> float:
    """Return the bytes of the image in memory over the bytes of the file.

    Example:
        >>> import numpy as np
        >>> compression_ratio(np.zeros((10, 8, 3), np.uint8), b"x" * 24)
        10.0
    """
    return int(np.prod(np.shape(image))) * np.dtype(image.dtype).itemsize / len(encoded)


def _channels_first(a: Any, b: Any) -> tuple[Array, Array]:
    """Return both images as float32 of shape (..., C, H, W)."""
    if np.shape(a) != np.shape(b):
        raise InputError(f"a and b must have one shape, got {np.shape(a)} and {np.shape(b)}")
    shape = np.shape(a)
    if len(shape) < 2 or 0 in shape:
        raise InputError(f"a must have shape (..., H, W) or (..., H, W, 3), got {shape}")
    has_channels = len(shape) >= 3 and shape[-1] == 3

    def convert(x: Any) -> Array:
        x = jnp.asarray(x, jnp.float32)
        return jnp.moveaxis(x, -1, -3) if has_channels else x[..., None, :, :]

    return convert(a), convert(b)


@jax.jit
def _psnr(x: Array, y: Array, data_range: Array) -> Array:
    mse = jnp.mean((x - y) ** 2, axis=(-3, -2, -1))
    return 10 * jnp.log10(data_range**2 / mse)


def _blur(x: Array) -> Array:
    """Filter with the separable window at all positions where it lies inside the image."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    window = (window / window.sum()).astype(np.float32)
    for axis in (x.ndim - 2, x.ndim - 1):
        length = x.shape[axis] - _WINDOW + 1
        parts = [w * lax.slice_in_dim(x, i, i + length, axis=axis) for i, w in enumerate(window)]
        x = sum(parts[1:], start=parts[0])
    return x


@jax.jit
def _similarity(x: Array, y: Array, data_range: Array) -> tuple[Array, Array]:
    """Return SSIM and its contrast-structure part, means over the pixels, shape (..., C)."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y, square_x, square_y, cross = _blur(jnp.stack([x, y, x * x, y * y, x * y]))
    var_x, var_y = square_x - mean_x * mean_x, square_y - mean_y * mean_y
    cov = cross - mean_x * mean_y
    structure = (2 * cov + c2) / (var_x + var_y + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return jnp.mean(luminance * structure, axis=(-2, -1)), jnp.mean(structure, axis=(-2, -1))


@jax.jit
def _ms_ssim(x: Array, y: Array, data_range: Array) -> Array:
    value = jnp.ones(x.shape[:-2], jnp.float32)
    for scale, weight in enumerate(_MS_WEIGHTS):
        full, structure = _similarity(x, y, data_range)
        term = full if scale == len(_MS_WEIGHTS) - 1 else structure
        value = value * jnp.maximum(term, 0) ** weight
        x, y = _halve(x), _halve(y)
    return jnp.mean(value, axis=-1)


@partial(jax.jit, inline=True)
def _halve(x: Array) -> Array:
    """Return the means over 2 x 2 blocks; an odd last row or column is dropped."""
    height, width = (n // 2 * 2 for n in x.shape[-2:])
    x = x[..., :height, :width]
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
