"""Pillow's codecs as an encode/decode pair, for comparisons."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lrfjax import checks
from lrfjax.errors import FormatError, InputError, InputTypeError
from lrfjax.image.reading import check_image


def pil_encode(image: Any, format: str = "JPEG", **params: Any) -> bytes:
    """Compress an image with Pillow.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        format: name of a format that Pillow writes, such as ``"JPEG"``, ``"WEBP"``, ``"PNG"``.
        **params: keyword arguments of ``PIL.Image.Image.save``, such as ``quality`` or ``method``.

    Returns:
        The file.

    Raises:
        InputError: if Pillow cannot write the format, or refuses a parameter.
        InputTypeError: if the image or a parameter has a wrong type.
    """
    pixels = check_image(image)
    if not isinstance(format, str):
        raise InputTypeError(f"format must be a string, got {format!r}")
    Image.init()
    checks.one_of("format", format.upper(), sorted(Image.SAVE))
    if "quality" in params and not isinstance(params["quality"], str):
        quality = params["quality"]
        params["quality"] = round(checks.real("quality", quality, 0.0, 100.0))
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, format=format, **params)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"format {format!r} with {params} failed: {error}") from error
    return buffer.getvalue()


def pil_decode(data: bytes) -> np.ndarray:
    """Decode a file of any format that Pillow reads.

    Args:
        data: the file.

    Returns:
        The image, shape (H, W) for gray and (H, W, 3) otherwise, uint8.

    Raises:
        FormatError: if Pillow cannot read the file.
        InputTypeError: if the data is not bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputTypeError(f"data must be bytes, got {type(data).__name__}")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image if image.mode == "L" else image.convert("RGB"))
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:
        raise FormatError(f"data is not an image that Pillow can read: {error}") from error
