"""The codecs that benchmarks compare: lrfjax's, and those that Pillow writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import features

import lrfjax

ANCHOR = "JPEG"


@dataclass(frozen=True)
class Codec:
    """An encoder with a quality, and its decoder.

    Attributes:
        encode: called as ``encode(image, quality=q)``; the file grows with q, which is at most 100.
        decode: called with the file.
        lowest: the least quality.
        step: the least difference of two qualities.
    """

    encode: Callable[..., bytes]
    decode: Callable[[bytes], np.ndarray]
    lowest: float = 0.0
    step: float = 1.0


def ours(codec: lrfjax.Codec) -> Codec:
    """Return a codec of lrfjax."""

    def encode(image: np.ndarray, quality: float) -> bytes:
        return lrfjax.encode(image, codec, quality=quality)

    return Codec(encode, codec.decode, step=0.25)


def pillow(format: str, lowest: float = 0.0, **settings: Any) -> Codec:
    """Return a codec of Pillow with integer qualities up to 100."""

    def encode(image: np.ndarray, quality: float) -> bytes:
        return lrfjax.pil_encode(image, format, quality=quality, **settings)

    return Codec(encode, lrfjax.pil_decode, lowest)


def jpeg2000(color_transform: bool = True) -> Codec:
    """Return JPEG 2000; qualities 0 to 100 are target rates from 0.05 to 2 bpp in equal ratios.

    Without the colour transform, which is Pillow's default, it loses some 3 dB.
    """

    def encode(image: np.ndarray, quality: float) -> bytes:
        bpp = 0.05 * 40 ** (quality / 100)
        settings = {
            "quality_mode": "rates",
            "quality_layers": [8 * image.size / (image.shape[0] * image.shape[1]) / bpp],
            "irreversible": True,
            "mct": int(color_transform and image.ndim == 3),
        }
        return lrfjax.pil_encode(image, "JPEG2000", **settings)

    return Codec(encode, lrfjax.pil_decode, step=0.25)


def peers() -> dict[str, Codec]:
    """Return Pillow's codecs; AVIF only if this Pillow can write it."""
    found = {
        ANCHOR: pillow("JPEG", 1.0),
        "JPEG 2000": jpeg2000(),
        "WebP": pillow("WEBP", method=6),
    }
    if features.check("avif"):
        tuned: dict[str, Any] = {"subsampling": "4:4:4", "advanced": {"tune": "psnr"}}
        return found | {
            "AVIF": pillow("AVIF", speed=6),
            "AVIF, tuned for PSNR": pillow("AVIF", speed=6, **tuned),
        }
    print("AVIF is left out: this Pillow was built without it")
    return found
