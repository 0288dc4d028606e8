"""Lossless coding of the alpha channel: rows filtered as in PNG (W3C PNG, section 9), deflated."""

from __future__ import annotations

import zlib

import numpy as np

from lrfjax.errors import FormatError


def encode_alpha(alpha: np.ndarray) -> bytes:
    """Return the coded channel.

    Args:
        alpha: shape (H, W), uint8.
    """
    # The "up" filter of PNG: the difference to the row above.
    rows = alpha.copy()
    rows[1:] -= alpha[:-1]
    return zlib.compress(rows.tobytes(), 9)


def decode_alpha(body: bytes, size: tuple[int, int]) -> np.ndarray:
    """Return the channel: the inverse of ``encode_alpha``.

    Raises:
        FormatError: if the bytes do not hold a channel of this size.
    """
    height, width = size
    decoder = zlib.decompressobj()
    try:
        data = decoder.decompress(body, height * width + 1)
    except zlib.error as error:
        raise FormatError(f"the alpha channel is damaged: {error}") from error
    if len(data) != height * width or not decoder.eof or decoder.unused_data:
        raise FormatError(f"the alpha channel does not hold {height} x {width} pixels")
    return np.add.accumulate(np.frombuffer(data, np.uint8).reshape(size), axis=0, dtype=np.uint8)
