"""``encode``: an image to bytes with any codec, at any rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrfjax import checks
from lrfjax.codec.codec import Codec, Rate, check_rate
from lrfjax.codec.file_codec import Extras, FileCodec
from lrfjax.codec.parallel import Progress, no_progress
from lrfjax.codec.registry import find
from lrfjax.errors import InputError, InputTypeError
from lrfjax.image.reading import MAX_PIXELS, check_image


def encode(
    image: Any,
    codec: str | Codec | type[Codec] = "dct",
    *,
    quality: float | Sequence[float] | None = None,
    rank: int | Sequence[int] | None = None,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = no_progress,
) -> bytes:
    """Compress an image with a codec.

    Exactly one of ``quality``, ``rank``, ``target_bpp`` and ``target_psnr`` must be given. The
    settings of a codec are its fields: ``encode(image, DCTCodec(effort=3), quality=40)``.

    Args:
        image: shape (H, W), (H, W, 3), or (H, W, 4) with alpha last, uint8; or (H, W) or
            (H, W, 3), uint16. NumPy or JAX, any size from 1 x 1. Alpha is lossless. The published
            codecs take 8 bits. Codecs with other file formats than lrfjax's take neither alpha nor
            16 bits.
        codec: a codec or its name, see ``find_codec``.
        quality: number from 0 to 100. With ``dct``, ``imf``, ``svd`` and ``nmf`` the step falls
            geometrically from 256 gray levels at 0 to 1 gray level at 100, or to 1/8 for 16 bits
            (1/4 with ``nmf``). With ``imf-paper`` and ``svd-paper`` it is the rank as a percentage
            of min(M, N).
        rank: number of columns of each factor, from 1. A scalar applies to luma, and the other
            planes get half of it, at least 1. The published codecs also take one rank per matrix.
            The others derive the step from it: quantization costs as much as dropping the other
            columns.
        target_bpp: upper limit on the bits of the file per pixel, met within 2 % unless the image
            is very small or takes less at the smallest step.
        target_psnr: PSNR in dB over all channels but alpha, met within 0.1 dB. A target that no
            file meets is refused; the error states the nearest PSNRs. An image that exceeds the
            target at the largest step gets that step.
        icc_profile: ICC profile to store in the file; see ``read_metadata``.
        exif: EXIF block to store in the file; see ``read_metadata``.
        max_pixels: largest number of pixels. Padding to whole patches may add an eighth of it and a
            megapixel. Decoders have the same default limit; raise it when decoding, too.
        progress: callback of codecs that work tile by tile. It receives the number of finished
            tiles and the number of all tiles, once before the first and after each. With a target,
            every attempt starts again from zero.

    Returns:
        The file, in the format of ``lrfjax/codec/FORMAT.md`` for the codecs of lrfjax.

    Raises:
        InputError: a value or the image shape is out of range, the codec does not take this kind of
            rate, the target cannot be met, or not exactly one rate is given.
        InputTypeError: an argument has a wrong type or dtype.
        SolverError: the solver failed on a matrix.

    Example:
        >>> import numpy as np
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> data = encode(image, quality=50)
        >>> data[:4], len(data) < 100
        (b'LRFJ', True)
    """
    found = find(codec)
    rate = Rate(rank, quality, target_bpp, target_psnr)
    check_rate(found, rate)
    extras = Extras(icc_profile, exif, checks.integer("max_pixels", max_pixels, 1), progress)
    has_own_format = isinstance(found, FileCodec)
    pixels = check_image(
        image,
        with_alpha=has_own_format,
        with_16_bits=has_own_format,
        max_pixels=extras.max_pixels,
    )
    if isinstance(found, FileCodec):
        return found.encode(pixels, rate, extras)
    for name in ("icc_profile", "exif"):
        if getattr(extras, name) is not None:
            raise InputError(f"{name} cannot be stored by {found.name}")
    data = found.encode(pixels, rate)
    if not isinstance(data, bytes):
        raise InputTypeError(f"codec {found.name} must return bytes, got {type(data).__name__}")
    return data
