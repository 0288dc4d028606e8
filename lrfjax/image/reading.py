"""Read image files, and check that an array is an image."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageOps

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.image.depth import check_depth
from lrfjax.image.exif import strip_prefix, without_orientation

MAX_PIXELS = 89_478_485
"""Default limit of pixels, the same as Pillow's. Larger images are refused before any allocation,
unless the caller trusts the source and raises ``max_pixels``."""


def check_image(
    image: Any,
    name: str = "image",
    *,
    with_alpha: bool = False,
    with_16_bits: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Return an image as a NumPy array, or raise.

    Args:
        image: shape (H, W) for gray or (H, W, 3) for RGB, uint8, NumPy or JAX.
        name: name of the image in an error message.
        with_alpha: whether shape (H, W, 4), RGB and alpha, is allowed as well (8 bits only).
        with_16_bits: whether uint16 is allowed as well.
        max_pixels: largest number of pixels.

    Raises:
        InputTypeError: if it is not an array of an allowed dtype.
        InputError: if its shape is not that of an image, or it is empty or too large.
    """
    dtypes = "uint8 or uint16" if with_16_bits else "uint8"
    if not isinstance(image, (np.ndarray, jax.Array)):
        raise InputTypeError(f"{name} must be a {dtypes} array, got {type(image).__name__}")
    if image.dtype != np.uint8 and not (with_16_bits and image.dtype == np.uint16):
        raise InputTypeError(f"{name} must have dtype {dtypes}, got {image.dtype}")
    channels = (3, 4) if with_alpha and image.dtype == np.uint8 else (3,)
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in channels)):
        shapes = " or ".join(["(H, W)", *(f"(H, W, {n})" for n in channels)])
        raise InputError(f"{name} must have shape {shapes}, got {image.shape}")
    if 0 in image.shape:
        raise InputError(f"{name} must not be empty, got shape {image.shape}")
    if image.shape[0] * image.shape[1] > max_pixels:
        raise InputError(
            f"{name} must have at most {max_pixels} pixels (max_pixels), got shape {image.shape}"
        )
    return np.asarray(image)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image and the metadata of its file.

    Attributes:
        pixels: shape (H, W), (H, W, 3), or (H, W, 4) with alpha last, uint8; or (H, W) or
            (H, W, 3), uint16.
        icc_profile: colour profile of the pixels, or None.
        exif: EXIF block, a TIFF structure, without an orientation; or None.
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    exif: bytes | None = None


def read_image(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file in any format of Pillow, as 8-bit gray or RGB.

    Palettes and CMYK become RGB, bilevel becomes gray, and the EXIF orientation is applied. Images
    that would lose data (transparency, more than 8 bits) are refused; see ``read_picture``.

    Args:
        path: path of the file.
        max_pixels: largest number of pixels; larger images are refused before any allocation.

    Returns:
        Shape (H, W) or (H, W, 3), uint8.

    Raises:
        InputError: if the file does not exist, is not an image, is too large, or would lose data,
            such as the other frames of an animation.
    """
    image, _ = _open(path, checks.integer("max_pixels", max_pixels, 1))
    if _has_alpha(image):
        is_gray = image.mode in ("1", "L", "LA")
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise InputError(f"path {os.fspath(path)!r} has transparency, which would be lost")
        image = image.convert("L" if is_gray else "RGB")
    image = _plain(image)
    if image.mode not in ("L", "RGB"):
        raise InputError(f"path {os.fspath(path)!r} has mode {image.mode}, which would lose data")
    return _pixels(image)


def read_picture(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read an image file with its transparency, 16 bits, colour profile and EXIF block.

    Images with any transparency become RGB with alpha, other palettes and CMYK become RGB, bilevel
    becomes gray, and 16-bit gray stays as it is. PGM is scaled from its largest value to 255 or
    65535. Signed, 12-bit and 32-bit gray are refused, since such files do not say which value is
    white. The EXIF orientation is applied and removed from the block. A ``.npy`` file holds the
    array itself. Use it for 16-bit RGB, of which Pillow reads only 8 bits.

    Args:
        path: path of the file.
        max_pixels: largest number of pixels; larger images are refused before any allocation.

    Returns:
        The picture. A colour profile is left out if it does not describe the pixels (that of CMYK,
        or of gray if the pixels are RGB).

    Raises:
        InputError: if the file does not exist, is not an image, is too large, or would lose data,
            such as the other frames of an animation.
        InputTypeError: if the array in a ``.npy`` file has another dtype.
    """
    name = f"path {os.fspath(path)!r}"
    max_pixels = checks.integer("max_pixels", max_pixels, 1)
    if os.fspath(path).lower().endswith(".npy"):
        return Picture(_read_array(path, max_pixels))
    image, exif = _open(path, max_pixels)
    profile = image.info.get("icc_profile") or None
    if image.mode.startswith("I"):
        pixels = np.array(image)
        if "transparency" in image.info:
            raise InputError(f"{name} has a transparent gray of 16 bits, which would be lost")
        pixels = pixels.astype(np.uint16)
    else:
        image = image.convert("RGBA") if _has_alpha(image) else _plain(image)
        if image.mode not in ("L", "RGB", "RGBA"):
            raise InputError(f"{name} has mode {image.mode}, which would lose data")
        pixels = _pixels(image)
    space = (profile or b"")[16:20]
    if space == b"CMYK" or (space == b"GRAY" and pixels.ndim == 3):
        profile = None
    return Picture(pixels, profile, exif)


def _open(path: str | os.PathLike[str], max_pixels: int) -> tuple[Image.Image, bytes | None]:
    """Return an image with its orientation applied and the EXIF block, or raise InputError."""
    name = f"path {os.fspath(path)!r}"
    with warnings.catch_warnings(), _pillow_allows(max_pixels):
        # The size is checked here, and warnings about tags do not concern the pixels.
        warnings.simplefilter("ignore")
        try:
            # As a file: Pillow maps a path into memory, and then applies the orientation of TIFF to
            # an image with its sides exchanged.
            with open(path, "rb") as file, Image.open(file) as opened:
                if opened.width * opened.height > max_pixels:
                    raise InputError(
                        f"{name} has {opened.width} x {opened.height} pixels, more than "
                        f"max_pixels allows ({max_pixels})"
                    )
                if (frames := getattr(opened, "n_frames", 1)) > 1:
                    raise InputError(
                        f"{name} has {frames} frames, of which all but one would be lost: save the "
                        "one to read as a file of its own"
                    )
                check_depth(opened, name)
                opened.load()
                exif = _exif(opened)
                # In place: a copy of a large image would set the peak of memory.
                ImageOps.exif_transpose(opened, in_place=True)
                return opened, exif
        except InputError:
            raise
        except FileNotFoundError as error:
            raise InputError(f"{name} does not exist") from error
        except Image.DecompressionBombError as error:
            raise InputError(f"{name} is too large, max_pixels is {max_pixels}: {error}") from error
        # On damaged files, the parsers of Pillow raise errors of any type.
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise InputError(f"{name} is not a readable image: {reason}") from error


@contextmanager
def _pillow_allows(max_pixels: int) -> Iterator[None]:
    """Raise Pillow's limit, which is global to the process, if the caller asks for more."""
    if max_pixels <= MAX_PIXELS:
        yield
        return
    # The lock keeps another thread from changing the limit before it is restored.
    with _PILLOW_LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None if before is None else max(before, max_pixels)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


_PILLOW_LIMIT = threading.Lock()


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of an 8-bit image, in bands of rows, since Pillow copies them."""
    width, height = image.size
    bands = len(image.getbands())
    out = np.empty((height, width) if bands == 1 else (height, width, bands), np.uint8)
    rows = max(2**20 // width, 1)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        out[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return out


def _has_alpha(image: Image.Image) -> bool:
    return image.has_transparency_data and not image.mode.startswith("I")


def _plain(image: Image.Image) -> Image.Image:
    """Return an image without transparency as gray or RGB, if that loses nothing."""
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGB") if image.mode in ("P", "CMYK", "YCbCr") else image


def _exif(image: Image.Image) -> bytes | None:
    """Return the EXIF block of an open file without its orientation."""
    block = image.info.get("exif")
    if block is None:
        # TIFF has EXIF entries among its own tags, most of which describe the file.
        tags = image.getexif()
        for tag in set(tags) - _DESCRIPTIVE_TAGS:
            del tags[tag]
        block = tags.tobytes() if len(tags) else None
    return without_orientation(strip_prefix(block)) if block else None


# Description, maker, model, resolution, software, date, artist, computer, copyright; then the
# directories of EXIF and GPS.
_DESCRIPTIVE_TAGS = frozenset(
    {270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432, 34665, 34853}
)


def _read_array(path: str | os.PathLike[str], max_pixels: int) -> np.ndarray:
    name = f"path {os.fspath(path)!r}"
    try:
        # Memory-mapped, so that a header cannot ask for more than the file holds.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{name} is not a readable array: {error}") from error
    checked = check_image(
        array,
        f"the array of {name}",
        with_alpha=True,
        with_16_bits=True,
        max_pixels=max_pixels,
    )
    return np.array(checked, order="C")
