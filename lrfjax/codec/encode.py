"""The encoders ``imf_encode``, ``svd_encode`` and ``nmf_encode``.

There are two pipelines. The default pipeline rotates the colours, uses one quantization step for
all columns, and codes the factors with context modelling (``dictionary_encode`` with a dictionary,
``learned_encode`` with a learned V). The classic pipeline is that of arXiv 2408.12691: the rank
sets the quality, and bounded factors are deflated. Within a pipeline the codecs differ only in the
solver, so a comparison of codecs compares factorizations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.codec import classic_encode, container, dictionary_encode, learned_encode
from lrfjax.codec.alpha import encode_alpha
from lrfjax.codec.atoms import ATOMS, PATCH_SIZE, SIDE
from lrfjax.codec.classic_settings import check_padding
from lrfjax.codec.parallel import Progress, no_progress
from lrfjax.codec.rate_control import (
    Attempt,
    meet_bytes,
    meet_psnr,
    quality_dial,
)
from lrfjax.errors import InputError, InputTypeError
from lrfjax.image.reading import MAX_PIXELS, check_image

DICTIONARIES = ("dct", "learned")
DEFAULT_EFFORT = 2


def imf_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    *,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    effort: int = DEFAULT_EFFORT,
    dictionary: str = "dct",
    color_space: str = "rotated",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    upsampling: str = "linear",
    patch: bool = True,
    patch_size: tuple[int, int] | None = None,
    bounds: tuple[int, int] = (-16, 15),
    num_iters: int = 10,
    init: str = "svd",
    key: Array | None = None,
    entropy: str = "context",
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = no_progress,
) -> bytes:
    """Compress an image by integer matrix factorization.

    Exactly one of ``rank``, ``quality``, ``target_bpp`` and ``target_psnr`` must be given. By
    default the codec factorizes patches of rotated colour planes with fixed integer dictionaries
    and chooses U by rate-distortion optimization. ``PAPER_SETTINGS`` are the settings of arXiv
    2408.12691, section 4: both factors are solved for within bounds, and deflated.

    With a dictionary, images of more than about a megapixel are coded in tiles on several threads.
    The bytes do not depend on the number of threads. They depend on the size of the tiles
    (``tiles.PATCHES_PER_TILE``), which follows from the shape of the image.

    Args:
        image: shape (H, W), (H, W, 3), or (H, W, 4) with alpha last, uint8; or (H, W) or
            (H, W, 3), uint16. NumPy or JAX, any size from 1 x 1. Alpha is lossless.
        rank: number of columns of each factor, from 1 to min(M, N) (256 for dictionaries). A scalar
            applies to luma, and the other planes get half of it, at least 1. The classic pipeline
            also takes a sequence with one rank per matrix. The default pipeline derives the step
            from the rank: quantization costs as much as dropping the other columns.
        quality: number from 0 to 100. In the default pipeline the step falls geometrically from 256
            gray levels at 0 to 1 gray level at 100. For 16 bits it falls to 1/8, and with a learned
            V to 1/16 or the smallest step whose products fit into 32 bits. In the classic pipeline
            quality is the rank as a percentage of min(M, N): a scalar for luma, of which chroma
            gets half, or one per matrix.
        target_bpp: upper limit on the bits of the file per pixel, met within 2 % unless the image
            is very small or takes less at the smallest step. Default pipeline only.
        target_psnr: PSNR in dB over all channels but alpha, met within 0.1 dB. A target that no
            file meets is refused; the error states the nearest PSNRs. An image that exceeds the
            target at the largest step gets that step. Default pipeline only.
        effort: search effort from 1 (fast) to 3 (slow), for ``dictionary="dct"``. More effort saves
            bits; decoding time does not change.
        dictionary: ``"dct"`` for the fixed dictionaries, or ``"learned"`` to solve for V and store
            it in the file.
        color_space: ``"rotated"`` (default pipeline), ``"YCbCr"`` or ``"RGB"``. The latter two
            select the classic pipeline if V is learned. Ignored for gray images.
        scale_factor: classic pipeline: size of the chroma planes relative to luma, (vertical,
            horizontal), each in (0, 1].
        upsampling: classic pipeline: interpolation of the chroma planes, ``"linear"`` or
            ``"nearest"``.
        patch: classic pipeline: whether rows of the matrices are patches; otherwise each plane is a
            matrix.
        patch_size: (P, Q) in pixels. Always 16 x 16 for dictionaries, otherwise 8 x 8 by default:
            sides of 8 to 64 in the default pipeline, 1 to 1024 in the classic one.
        bounds: classic pipeline: (lower, upper) bounds of the factor entries, integers.
        num_iters: number of solver sweeps for a learned V.
        init: classic pipeline: start of the solver, ``"svd"``, ``"balanced"`` or ``"random"``.
        key: JAX PRNG key for ``init="random"``.
        entropy: ``"context"``; in the classic pipeline also ``"deflate"``.
        icc_profile: ICC profile to store in the file; see ``read_metadata``.
        exif: EXIF block to store in the file; see ``read_metadata``.
        max_pixels: largest number of pixels. Padding to whole patches may add an eighth of it and a
            megapixel. Decoders have the same default limit; raise it when decoding, too.
        progress: callback for dictionaries. It receives the number of finished tiles and the number
            of all tiles, once before the first and after each. With a target, every attempt starts
            again from zero.

    Returns:
        The file, in the format of ``lrfjax/codec/FORMAT.md``.

    Raises:
        InputError: if a value or the image shape is out of range, no pipeline supports the
            combination of settings, the target cannot be met, or not exactly one of the four
            arguments is given.
        InputTypeError: if an argument has a wrong type or dtype.
        SolverError: if the solver failed on a matrix.

    Example:
        >>> import numpy as np
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> data = imf_encode(image, quality=50)
        >>> data[:4], len(data) < 100
        (b'LRFJ', True)
    """
    pixels = _check_image(image, max_pixels)
    _check_one(rank, quality, target_bpp, target_psnr)
    checks.one_of("dictionary", dictionary, DICTIONARIES)
    checks.integer("effort", effort, 1, 3)
    checks.integer("num_iters", num_iters, 0)
    if dictionary == "dct":
        checks.one_of("color_space", color_space, ("rotated", "YCbCr", "RGB"))
        checks.one_of("entropy", entropy, ("context",))
        sides = checks.integer_pair(
            "patch_size", patch_size or PATCH_SIZE, 1, container.MAX_PATCH_SIDE
        )
        if sides != PATCH_SIZE:
            raise InputError(f"patch_size must be {PATCH_SIZE} for dictionaries, got {patch_size}")
        if pixels.shape[1] > (limit := SIDE * container.MAX_TILE_PATCHES):
            raise InputError(f"image must be at most {limit} pixels wide, got {pixels.shape}")
        check_padding((pixels.shape[0], pixels.shape[1]), PATCH_SIZE, max_pixels)
        if rank is not None:
            rank = checks.integer("rank", rank, 1, len(ATOMS))
        encoder: _Encoder = dictionary_encode.ImageEncoder(
            _opaque(pixels), color_space, effort, rank, progress
        )
        return _encode(encoder, pixels, quality, target_bpp, target_psnr, icc_profile, exif)
    if color_space == "rotated":
        checks.one_of("entropy", entropy, ("context",))
        encoder = _learned_encoder(pixels, max_pixels, "imf", patch_size, rank, num_iters)
        return _encode(encoder, pixels, quality, target_bpp, target_psnr, icc_profile, exif)
    _check_classic(pixels, target_bpp, target_psnr)
    header, body = classic_encode.imf(
        _opaque(pixels),
        rank,
        quality,
        (color_space, scale_factor, patch, patch_size or (8, 8), upsampling, max_pixels),
        entropy,
        bounds=bounds,
        num_iters=num_iters,
        init=init,
        key=key,
    )
    return _write(header, (body,), _extras(pixels, icc_profile, exif))


def svd_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    *,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    color_space: str = "rotated",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    upsampling: str = "linear",
    patch: bool = True,
    patch_size: tuple[int, int] = (8, 8),
    bits: int = 8,
    entropy: str = "context",
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """Compress an image by its truncated SVD with uniformly quantized factors.

    In the default pipeline all columns of U S share one step and are quantized by rate-distortion
    optimization; columns that would be zero are dropped. The classic pipeline
    (``color_space="YCbCr"`` or ``"RGB"``) is the comparison codec of arXiv 2408.12691, section 5:
    the singular values are split evenly between the factors, and each factor is quantized over its
    range. (The published curves use RGB and ``entropy="deflate"``.)

    Args:
        image: see ``imf_encode``.
        rank: see ``imf_encode``.
        quality: see ``imf_encode``.
        target_bpp: see ``imf_encode``.
        target_psnr: see ``imf_encode``.
        color_space: see ``imf_encode``.
        scale_factor: see ``imf_encode``.
        upsampling: see ``imf_encode``.
        patch: see ``imf_encode``.
        patch_size: see ``imf_encode``.
        bits: classic pipeline: bits per quantized entry, 1 to 8.
        entropy: see ``imf_encode``.
        icc_profile: see ``imf_encode``.
        exif: see ``imf_encode``.
        max_pixels: see ``imf_encode``.

    Returns:
        The file.

    Raises:
        InputError: see ``imf_encode``.
        InputTypeError: see ``imf_encode``.
        SolverError: see ``imf_encode``.
    """
    pixels = _check_image(image, max_pixels)
    _check_one(rank, quality, target_bpp, target_psnr)
    bits = checks.integer("bits", bits, 1, 8)
    if color_space == "rotated":
        checks.one_of("entropy", entropy, ("context",))
        encoder = _learned_encoder(pixels, max_pixels, "svd", patch_size, rank, 0)
        return _encode(encoder, pixels, quality, target_bpp, target_psnr, icc_profile, exif)
    _check_classic(pixels, target_bpp, target_psnr)
    settings = (color_space, scale_factor, patch, patch_size, upsampling, max_pixels)
    header, body = classic_encode.svd(_opaque(pixels), rank, quality, settings, entropy, bits=bits)
    return _write(header, (body,), _extras(pixels, icc_profile, exif))


def nmf_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    *,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    color_space: str = "rotated",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    upsampling: str = "linear",
    patch: bool = True,
    patch_size: tuple[int, int] = (8, 8),
    num_iters: int = 30,
    bits: int = 8,
    entropy: str = "context",
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """Compress an image by non-negative matrix factorization with quantized factors.

    In the default pipeline a constant lifts each plane to non-negative values, the columns of V are
    scaled to one norm and quantized, and U is solved for again in integers of one step. At
    most 32 columns limit the PSNR of photographs to about 30 to 40 dB. In the classic
    pipeline each pair of columns is scaled to the same largest entry, and then each factor is
    quantized uniformly.

    Args:
        image: see ``imf_encode``.
        rank: see ``imf_encode``.
        quality: see ``imf_encode``.
        target_bpp: see ``imf_encode``.
        target_psnr: see ``imf_encode``.
        color_space: see ``imf_encode``.
        scale_factor: see ``imf_encode``.
        upsampling: see ``imf_encode``.
        patch: see ``imf_encode``.
        patch_size: see ``imf_encode``.
        num_iters: number of solver sweeps.
        bits: classic pipeline: bits per quantized entry, 1 to 8.
        entropy: see ``imf_encode``.
        icc_profile: see ``imf_encode``.
        exif: see ``imf_encode``.
        max_pixels: see ``imf_encode``.

    Returns:
        The file.

    Raises:
        InputError: see ``imf_encode``.
        InputTypeError: see ``imf_encode``.
        SolverError: see ``imf_encode``.
    """
    pixels = _check_image(image, max_pixels)
    _check_one(rank, quality, target_bpp, target_psnr)
    bits = checks.integer("bits", bits, 1, 8)
    checks.integer("num_iters", num_iters, 0)
    if color_space == "rotated":
        checks.one_of("entropy", entropy, ("context",))
        encoder = _learned_encoder(pixels, max_pixels, "nmf", patch_size, rank, num_iters)
        return _encode(encoder, pixels, quality, target_bpp, target_psnr, icc_profile, exif)
    _check_classic(pixels, target_bpp, target_psnr)
    settings = (color_space, scale_factor, patch, patch_size, upsampling, max_pixels)
    header, body = classic_encode.nmf(
        _opaque(pixels), rank, quality, settings, entropy, bits=bits, num_iters=num_iters
    )
    return _write(header, (body,), _extras(pixels, icc_profile, exif))


class _Encoded(Protocol):
    """An image encoded at one dial."""

    @property
    def header(self) -> Any: ...
    @property
    def bodies(self) -> tuple[bytes, ...]: ...


class _Encoder(Protocol):
    """An encoder of one image at any dial and any weight of the Lagrange multiplier."""

    def encode(self, dial: float, weight: float = 1.0) -> _Encoded: ...
    def measure(self, dial: float, weight: float = 1.0) -> tuple[_Encoded, float]: ...
    def dial_of_rank(self) -> float: ...


def _encode(
    encoder: _Encoder,
    pixels: np.ndarray,
    quality: Any,
    target_bpp: float | None,
    target_psnr: float | None,
    icc_profile: bytes | None,
    exif: bytes | None,
) -> bytes:
    """Return the file at the dial that meets the quality, the target or the rank."""
    extras = _extras(pixels, icc_profile, exif)

    def write(encoded: _Encoded) -> bytes:
        return _write(encoded.header, encoded.bodies, extras)

    if target_bpp is not None:
        num_pixels = pixels.shape[0] * pixels.shape[1]
        target = checks.real("target_bpp", target_bpp, 0.0) * num_pixels / 8

        def by_bytes(dial: float, weight: float) -> Attempt[bytes]:
            data = write(encoder.encode(dial, weight))
            return Attempt(len(data), data)

        return meet_bytes(by_bytes, target)
    if target_psnr is not None:
        peak = np.iinfo(pixels.dtype).max

        def by_psnr(dial: float, weight: float) -> Attempt[bytes]:
            encoded, error = encoder.measure(dial, weight)
            # Keep the file only: it is smaller than the factors.
            return Attempt(10 * np.log10(peak**2 / max(error, 1e-10)), write(encoded))

        return meet_psnr(by_psnr, checks.real("target_psnr", target_psnr, 0.0, 200.0))
    if quality is not None:
        quality = checks.real("quality", quality, 0.0, 100.0)
        dial = quality_dial(quality, 8 * pixels.dtype.itemsize)
    else:
        dial = encoder.dial_of_rank()
    return write(encoder.encode(dial))


_Extras = tuple[bytes | None, bytes | None, bytes | None]


def _write(header: container.Header, bodies: tuple[bytes, ...], extras: _Extras) -> bytes:
    return container.write(container.File(header, bodies, *extras))


def _extras(pixels: np.ndarray, icc_profile: bytes | None, exif: bytes | None) -> _Extras:
    """Return the coded alpha channel, the ICC profile and the EXIF block."""
    for name, value in (("icc_profile", icc_profile), ("exif", exif)):
        if value is not None and not isinstance(value, bytes):
            raise InputTypeError(f"{name} must be bytes, got {type(value).__name__}")
    has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    alpha = encode_alpha(pixels[..., 3]) if has_alpha else None
    return alpha, icc_profile, exif


def _check_image(image: Any, max_pixels: int) -> np.ndarray:
    limit = checks.integer("max_pixels", max_pixels, 1)
    return check_image(image, with_alpha=True, with_16_bits=True, max_pixels=limit)


def _opaque(pixels: np.ndarray) -> np.ndarray:
    """Return the image without its alpha channel."""
    return pixels[..., :3] if pixels.ndim == 3 else pixels


def _check_one(rank: Any, quality: Any, target_bpp: Any, target_psnr: Any) -> None:
    given = {
        name: value
        for name, value in (
            ("rank", rank),
            ("quality", quality),
            ("target_bpp", target_bpp),
            ("target_psnr", target_psnr),
        )
        if value is not None
    }
    if len(given) != 1:
        what = " and ".join(given) or "none"
        raise InputError(
            f"exactly one of rank, quality, target_bpp and target_psnr must be given, got {what}"
        )


def _check_classic(pixels: np.ndarray, target_bpp: Any, target_psnr: Any) -> None:
    if target_bpp is not None or target_psnr is not None:
        name = "target_bpp" if target_bpp is not None else "target_psnr"
        raise InputError(f"{name} needs color_space='rotated': the rank is too coarse to meet it")
    if pixels.dtype != np.uint8:
        raise InputError(f"image of {pixels.dtype} needs color_space='rotated' or a dictionary")


def _learned_encoder(
    pixels: np.ndarray, max_pixels: int, method: str, patch_size: Any, rank: Any, num_iters: int
) -> _Encoder:
    sides = checks.integer_pair("patch_size", patch_size or (8, 8), 8, 64)
    check_padding((pixels.shape[0], pixels.shape[1]), sides, max_pixels)
    limit = sides[0] * sides[1]
    if rank is not None:
        rank = checks.integer("rank", rank, 1, limit)
    return learned_encode.ImageEncoder(_opaque(pixels), method, sides, rank, num_iters)
