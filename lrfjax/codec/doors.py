"""The named pairs of functions: ``dct_encode``, ``imf_encode``, ``svd_encode``, ``nmf_encode``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from lrfjax.codec.codec import Codec
from lrfjax.codec.codecs.dct import DCTCodec
from lrfjax.codec.codecs.learned import IMFCodec, NMFCodec, SVDCodec
from lrfjax.codec.codecs.paper_imf import PaperIMFCodec
from lrfjax.codec.codecs.paper_svd import PaperSVDCodec
from lrfjax.codec.encode import encode
from lrfjax.codec.parallel import Progress, no_progress
from lrfjax.codec.registry import codecs
from lrfjax.errors import InputTypeError
from lrfjax.image.reading import MAX_PIXELS

_ARGUMENTS = ("target_bpp", "target_psnr", "icc_profile", "exif", "max_pixels", "progress")


def dct_encode(
    image: Any, rank: int | None = None, quality: float | None = None, **settings: Any
) -> bytes:
    """Compress an image with the DCT dictionary, the default codec.

    Args:
        image: see ``encode``.
        rank: see ``encode``.
        quality: see ``encode``.
        **settings: the other arguments of ``encode``, and the fields of ``DCTCodec``.

    Returns:
        The file.

    Raises:
        InputError: see ``encode``.
        InputTypeError: see ``encode``; also a setting that the codec does not have.
    """
    return _encode("dct", (DCTCodec,), image, rank, quality, settings)


def imf_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    **settings: Any,
) -> bytes:
    """Compress an image by integer matrix factorization; both factors are solved for.

    The codec is ``IMFCodec``. Settings that only the published codec ``PaperIMFCodec`` has, such as
    ``bounds`` or ``patch_size``, select that one; so do ``PAPER_SETTINGS``.

    Args:
        image: see ``encode``.
        rank: see ``encode``.
        quality: see ``encode``.
        **settings: the other arguments of ``encode``, and the fields of ``IMFCodec`` or
            ``PaperIMFCodec``.

    Returns:
        The file.

    Raises:
        InputError: see ``encode``.
        InputTypeError: see ``encode``; also settings that no codec of IMF has together.
        SolverError: see ``encode``.

    Example:
        >>> import numpy as np, lrfjax
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> learned, published = imf_encode(image, quality=9), imf_encode(image, 1, bounds=(-8, 7))
        >>> lrfjax.imf_decode(learned).shape, lrfjax.imf_decode(published).shape
        ((4, 4, 3), (4, 4, 3))
    """
    return _encode("imf", (IMFCodec, PaperIMFCodec), image, rank, quality, settings)


def svd_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    **settings: Any,
) -> bytes:
    """Compress an image by its truncated SVD.

    The codec is ``SVDCodec``. Settings that only the published codec ``PaperSVDCodec`` has, such as
    ``color_space`` or ``bits``, select that one.

    Args:
        image: see ``encode``.
        rank: see ``encode``.
        quality: see ``encode``.
        **settings: the other arguments of ``encode``, and the fields of ``SVDCodec`` or
            ``PaperSVDCodec``.

    Returns:
        The file.

    Raises:
        InputError: see ``encode``.
        InputTypeError: see ``imf_encode``.
        SolverError: see ``encode``.
    """
    return _encode("svd", (SVDCodec, PaperSVDCodec), image, rank, quality, settings)


def nmf_encode(
    image: Any, rank: int | None = None, quality: float | None = None, **settings: Any
) -> bytes:
    """Compress an image by non-negative matrix factorization.

    Args:
        image: see ``encode``.
        rank: see ``encode``.
        quality: see ``encode``.
        **settings: the other arguments of ``encode``, and the fields of ``NMFCodec``.

    Returns:
        The file.

    Raises:
        InputError: see ``encode``.
        InputTypeError: see ``dct_encode``.
        SolverError: see ``encode``.
    """
    return _encode("nmf", (NMFCodec,), image, rank, quality, settings)


def dct_decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, progress: Progress = no_progress
) -> np.ndarray:
    """Decode a file of ``dct_encode``; see ``decode``."""
    return DCTCodec().decode(data, max_pixels=max_pixels, progress=progress)


def imf_decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, progress: Progress = no_progress
) -> np.ndarray:
    """Decode a file of ``imf_encode``, of ``IMFCodec`` or ``PaperIMFCodec``; see ``decode``."""
    return IMFCodec().decode(data, max_pixels=max_pixels, progress=progress)


def svd_decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, progress: Progress = no_progress
) -> np.ndarray:
    """Decode a file of ``svd_encode``, of ``SVDCodec`` or ``PaperSVDCodec``; see ``decode``."""
    return SVDCodec().decode(data, max_pixels=max_pixels, progress=progress)


def nmf_decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, progress: Progress = no_progress
) -> np.ndarray:
    """Decode a file of ``nmf_encode``; see ``decode``."""
    return NMFCodec().decode(data, max_pixels=max_pixels, progress=progress)


def _encode(
    door: str,
    choices: tuple[type[Codec], ...],
    image: Any,
    rank: Any,
    quality: Any,
    settings: dict[str, Any],
) -> bytes:
    arguments = {name: settings.pop(name) for name in _ARGUMENTS if name in settings}
    codec = kind_with(f"{door}_encode", choices, settings)(**settings)
    return encode(image, codec, rank=rank, quality=quality, **arguments)


def kind_with(name: str, choices: Sequence[type[Codec]], settings: Iterable[str]) -> type[Codec]:
    """Return the first class of codecs that has all the given settings.

    Args:
        name: what takes the settings, for messages.
        choices: classes of codecs.
        settings: names of fields of a codec.

    Raises:
        InputTypeError: no codec of ``choices`` has all of them. The message names codecs that do.
    """
    for kind in choices:
        if {*settings} <= _names(kind):
            return kind
    for setting in settings:
        owners = [c.name for c in codecs().values() if setting in _names(type(c))]
        if not owners:
            own = ", ".join(dict.fromkeys(f.name for kind in choices for f in fields(kind)))
            raise InputTypeError(
                f"{name} has no setting {setting!r}; its settings are: {own or 'none'}"
            )
        if not {*owners} & {kind.name for kind in choices}:
            raise InputTypeError(f"{setting} is a setting of {' and '.join(owners)}, not of {name}")
    told = ", ".join(
        f"{setting} of {' and '.join(k.name for k in choices if setting in _names(k))}"
        for setting in settings
    )
    raise InputTypeError(f"no codec of {name} has all of these settings: {told}")


def _names(kind: type[Codec]) -> set[str]:
    return {f.name for f in fields(kind)}
