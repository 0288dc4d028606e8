"""One image through one codec: rate, distortion and time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lrfjax.errors import InputError, InputTypeError
from lrfjax.image.metrics import bits_per_pixel, compression_ratio, ms_ssim, psnr, ssim
from lrfjax.image.reading import check_image, read_image


def eval_compression(
    image: Any,
    encoder: Callable[..., bytes],
    decoder: Callable[[bytes], np.ndarray],
    reconstruct: bool = False,
    *,
    warm_up: bool = True,
    **params: Any,
) -> dict[str, Any]:
    """Encode and decode an image once, and measure rate, distortion and time.

    Args:
        image: shape (H, W) or (H, W, 3), uint8, or the path of an image file.
        encoder: function called as ``encoder(image, **params)``, which returns bytes.
        decoder: function of these bytes, which returns a uint8 image of the same shape, or an RGB
            image for a gray one.
        reconstruct: whether to return the decoded image as well.
        warm_up: whether to run both once before timing, so that the times exclude compilation.
        **params: passed to the encoder.

    Returns:
        A dict with the keys ``"compression ratio"``, ``"bit rate (bpp)"``, ``"PSNR (dB)"``,
        ``"SSIM"``, ``"MS-SSIM"`` (NaN where the image is too small for either), ``"encoding time
        (ms)"``, ``"decoding time (ms)"``, and with ``reconstruct`` also ``"reconstructed"``.

    Raises:
        InputError: if the image cannot be read or has an impossible shape, the encoder returns no
            bytes, or the decoder another shape.
        InputTypeError: if the image has the wrong dtype, encoder or decoder is not a function, the
            encoder returns something else than bytes, or the decoder another dtype.

    Example:
        >>> import numpy as np, lrfjax
        >>> image = np.tile(np.arange(32, dtype=np.uint8), (32, 1))
        >>> row = eval_compression(image, lrfjax.pil_encode, lrfjax.pil_decode, format="PNG")
        >>> row["PSNR (dB)"], round(row["SSIM"], 6)
        (inf, 1.0)
    """
    for name, function in (("encoder", encoder), ("decoder", decoder)):
        if not callable(function):
            raise InputTypeError(f"{name} must be a function, got {function!r}")
    pixels = read_image(image) if isinstance(image, (str, os.PathLike)) else check_image(image)
    if warm_up:
        decoder(checked_file(encoder(pixels, **params)))
    start = time.perf_counter()
    encoded = checked_file(encoder(pixels, **params))
    middle = time.perf_counter()
    decoded = decoder(encoded)
    end = time.perf_counter()
    decoded = checked_pixels(decoded, pixels.shape)
    original = pixels
    if pixels.ndim < decoded.ndim:
        original = np.repeat(pixels[..., None], 3, axis=2)
    smallest = min(pixels.shape[:2])
    row: dict[str, Any] = {
        "compression ratio": compression_ratio(pixels, encoded),
        "bit rate (bpp)": bits_per_pixel(pixels.shape, encoded),
        "PSNR (dB)": float(psnr(original, decoded)),
        "SSIM": float(ssim(original, decoded)) if smallest >= 11 else float("nan"),
        "MS-SSIM": float(ms_ssim(original, decoded)) if smallest >= 176 else float("nan"),
        "encoding time (ms)": 1e3 * (middle - start),
        "decoding time (ms)": 1e3 * (end - middle),
    }
    if reconstruct:
        row["reconstructed"] = decoded
    return row


def checked_file(data: Any) -> bytes:
    """Return what an encoder returned; raise InputError unless it is bytes, and not empty."""
    if not isinstance(data, bytes):
        raise InputTypeError(f"the encoder must return bytes, got {type(data).__name__}")
    if not data:
        raise InputError("the encoder must return bytes, got none")
    return data


def checked_pixels(decoded: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return what a decoder returned; raise InputError unless it is an image of a shape, uint8.

    A gray image may come back as RGB, since some formats have no gray.
    """
    pixels = np.asarray(decoded)
    if pixels.shape not in (shape, (*shape[:2], 3)):
        raise InputError(f"the decoder must return shape {shape}, got {pixels.shape}")
    if pixels.dtype != np.uint8:
        raise InputTypeError(f"the decoder must return uint8, got {pixels.dtype}")
    return pixels
