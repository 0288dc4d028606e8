"""Pillow's codecs as ``Codec`` objects, for comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from lrfjax import checks
from lrfjax.codec.codec import Codec, Rate, check_rate
from lrfjax.codec.codecs.pil import pil_decode, pil_encode
from lrfjax.errors import InputError

_QUALITIES = (0, 3, 7, 12, 18, 25, 33, 42, 52, 62, 72, 80, 86, 92)


@dataclass(frozen=True)
class _Pillow(Codec):
    """A codec of Pillow, with whole qualities.

    Attributes:
        format: name of the format in Pillow.
        fixed: arguments of ``PIL.Image.Image.save``.
    """

    format: ClassVar[str]
    fixed: ClassVar[Mapping[str, Any]] = {}
    levels: ClassVar[tuple[float, ...]] = _QUALITIES
    is_continuous: ClassVar[bool] = False

    def check_available(self) -> None:
        """Raise InputError if this Pillow was built without the format."""
        Image.init()
        if self.format not in Image.SAVE:
            raise InputError(f"codec {self.name!r} is missing: this Pillow was built without it")

    def encode(self, image: np.ndarray, rate: Rate) -> bytes:
        """Return the file at a quality."""
        check_rate(self, rate)
        # Pillow takes names of presets, too.
        quality = checks.real("quality", rate.quality, 0.0, 100.0)
        return pil_encode(image, self.format, quality=quality, **self.fixed)

    def decode(self, data: bytes) -> np.ndarray:
        """See ``pil_decode``."""
        return pil_decode(data)


@dataclass(frozen=True)
class JPEG(_Pillow):
    """JPEG with Pillow's default settings, the anchor of BD-rates."""

    name: ClassVar[str] = "jpeg"
    label: ClassVar[str] = "JPEG"
    format: ClassVar[str] = "JPEG"
    levels: ClassVar[tuple[float, ...]] = (
        0, 3, 5, 7, 9, 12, 15, 18, 22, 26, 31, 37, 44, 52, 60, 70, 80, 86, 90, 94,
    )  # fmt: skip


@dataclass(frozen=True)
class WebP(_Pillow):
    """WebP at its slowest method."""

    name: ClassVar[str] = "webp"
    label: ClassVar[str] = "WebP"
    format: ClassVar[str] = "WEBP"
    fixed: ClassVar[Mapping[str, Any]] = {"method": 6}


@dataclass(frozen=True)
class AVIF(_Pillow):
    """AVIF at Pillow's default speed."""

    name: ClassVar[str] = "avif"
    label: ClassVar[str] = "AVIF"
    format: ClassVar[str] = "AVIF"
    fixed: ClassVar[Mapping[str, Any]] = {"speed": 6}


@dataclass(frozen=True)
class AVIFForPSNR(_Pillow):
    """AVIF as its users tune it for PSNR over RGB: chroma at full resolution, tuned for PSNR."""

    name: ClassVar[str] = "avif-psnr"
    label: ClassVar[str] = "AVIF, tuned for PSNR"
    format: ClassVar[str] = "AVIF"
    fixed: ClassVar[Mapping[str, Any]] = {
        "speed": 6,
        "subsampling": "4:4:4",
        "advanced": {"tune": "psnr"},
    }


@dataclass(frozen=True)
class JPEG2000(_Pillow):
    """Irreversible JPEG 2000, with the colour transform that Pillow leaves out by default."""

    name: ClassVar[str] = "jpeg2000"
    label: ClassVar[str] = "JPEG 2000"
    format: ClassVar[str] = "JPEG2000"
    rates: ClassVar[tuple[str, ...]] = ("target_bpp",)
    levels: ClassVar[tuple[float, ...]] = (
        0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0,
    )  # fmt: skip
    is_continuous: ClassVar[bool] = True

    def encode(self, image: np.ndarray, rate: Rate) -> bytes:
        """Return the file at a rate."""
        check_rate(self, rate)
        bpp = checks.real("target_bpp", rate.target_bpp, 1e-6)
        ratio = 8 * image.size / (image.shape[0] * image.shape[1]) / bpp
        return pil_encode(
            image,
            self.format,
            quality_mode="rates",
            quality_layers=[ratio],
            irreversible=True,
            mct=int(image.ndim == 3),
        )
