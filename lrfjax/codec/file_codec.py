"""Codecs whose files have the format of ``FORMAT.md``, and the dial that sets their rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from lrfjax import checks
from lrfjax.codec.codec import RATES, Codec, Rate, check_rate
from lrfjax.codec.decode import decode_file
from lrfjax.codec.file import container
from lrfjax.codec.file.alpha import encode_alpha
from lrfjax.codec.parallel import Progress, no_progress
from lrfjax.codec.rate_control import Attempt, meet_bytes, meet_psnr, quality_dial
from lrfjax.errors import InputTypeError
from lrfjax.image.reading import MAX_PIXELS


@dataclass(frozen=True)
class Extras:
    """What a file holds besides the image, and how the work is done; no settings of a codec.

    Attributes:
        icc_profile: ICC profile to store, or None.
        exif: EXIF block to store, or None.
        max_pixels: largest number of pixels.
        progress: callback after each tile.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    max_pixels: int = MAX_PIXELS
    progress: Progress = no_progress

    def __post_init__(self) -> None:
        for name in ("icc_profile", "exif"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, bytes):
                raise InputTypeError(f"{name} must be bytes, got {type(value).__name__}")
        if not callable(self.progress):
            raise InputTypeError(f"progress must be a function, got {self.progress!r}")


Coded = tuple[container.Header, tuple[bytes, ...]]
"""A header and the bodies of the factor chunks."""


@dataclass(frozen=True)
class FileCodec(Codec):
    """A codec whose files have the format of ``FORMAT.md``.

    Attributes:
        method: the name of its factorization in the header.
    """

    method: ClassVar[str]

    def encode(self, image: np.ndarray, rate: Rate, extras: Extras = Extras()) -> bytes:
        """Return the file of an image, which may have alpha; see ``lrfjax.encode``."""
        check_rate(self, rate)
        opaque = image[..., :3] if image.ndim == 3 else image

        def write(coded: Coded) -> bytes:
            has_alpha = image.ndim == 3 and image.shape[2] == 4
            alpha = encode_alpha(image[..., 3]) if has_alpha else None
            return container.write(container.File(*coded, alpha, extras.icc_profile, extras.exif))

        return self.encode_opaque(opaque, rate, extras, write)

    def encode_opaque(
        self, image: np.ndarray, rate: Rate, extras: Extras, write: Callable[[Coded], bytes]
    ) -> bytes:
        """Return the file of an image without alpha, as ``write`` makes it."""
        raise NotImplementedError

    def decode(
        self, data: bytes, *, max_pixels: int = MAX_PIXELS, progress: Progress = no_progress
    ) -> np.ndarray:
        """Return the image of a file; see ``lrfjax.decode``."""
        return decode_file(data, self.method, max_pixels, progress)


class Encoded(Protocol):
    """An image encoded at one dial."""

    @property
    def header(self) -> Any:
        """The header of the file."""

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """The bodies of the factor chunks."""


class Encoder(Protocol):
    """An encoder of one image at any dial and any weight of the Lagrange multiplier."""

    def encode(self, dial: float, weight: float = 1.0) -> Encoded:
        """Return the image encoded at a dial; see ``rate_control``."""

    def measure(self, dial: float, weight: float = 1.0) -> tuple[Encoded, float]:
        """Return the image encoded at a dial, and the mean squared error of the decoded image."""

    def dial_of_rank(self) -> float:
        """Return the dial at which quantization costs as much as dropping the other columns."""


@dataclass(frozen=True)
class DialCodec(FileCodec):
    """A codec whose quantization step, the dial, is free: any quality, rate or PSNR can be met."""

    rates: ClassVar[tuple[str, ...]] = ("quality", *(r for r in RATES if r != "quality"))

    def encoder(self, image: np.ndarray, rank: int | None, extras: Extras) -> Encoder:
        """Return the encoder of an image, after the checks of all settings.

        Args:
            image: shape (H, W) or (H, W, 3), uint8 or uint16.
            rank: largest number of columns for luma, or None for no limit; not yet checked.
            extras: see ``Extras``.
        """
        raise NotImplementedError

    def encode_opaque(
        self, image: np.ndarray, rate: Rate, extras: Extras, write: Callable[[Coded], bytes]
    ) -> bytes:
        """Return the file at the dial that meets the rate."""
        rank: Any = rate.rank
        target = _checked(rate, image)
        encoder = self.encoder(image, rank, extras)

        def file(encoded: Encoded) -> bytes:
            return write((encoded.header, encoded.bodies))

        if rate.kind == "target_bpp":

            def by_bytes(dial: float, weight: float) -> Attempt[bytes]:
                data = file(encoder.encode(dial, weight))
                return Attempt(len(data), data)

            return meet_bytes(by_bytes, target)
        if rate.kind == "target_psnr":
            peak = np.iinfo(image.dtype).max

            def by_psnr(dial: float, weight: float) -> Attempt[bytes]:
                encoded, error = encoder.measure(dial, weight)
                # Keep the file only: it is smaller than the factors.
                return Attempt(10 * np.log10(peak**2 / max(error, 1e-10)), file(encoded))

            return meet_psnr(by_psnr, target)
        return file(encoder.encode(target if rank is None else encoder.dial_of_rank()))


def _checked(rate: Rate, image: np.ndarray) -> float:
    """Return the target in bytes or dB, or the dial of a quality; 0 for a rank."""
    if rate.target_bpp is not None:
        target = checks.real("target_bpp", rate.target_bpp, 0.0)
        return target * image.shape[0] * image.shape[1] / 8
    if rate.target_psnr is not None:
        return checks.real("target_psnr", rate.target_psnr, 0.0, 200.0)
    if rate.quality is not None:
        quality = checks.real("quality", rate.quality, 0.0, 100.0)
        return quality_dial(quality, 8 * image.dtype.itemsize)
    return 0.0
