"""Images in and out of files, and the check that an array is an image."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lrfjax.errors import InputError, InputTypeError

MAX_PIXELS = 89_478_485
"""More pixels are refused before anything is allocated (Pillow's limit)."""


def check_image(image: Any, name: str = "image") -> np.ndarray:
    """Return an image as a NumPy array, or raise.

    Args:
        image: shape (H, W) for gray or (H, W, 3) for RGB, uint8, NumPy or JAX.
        name: what to call it in a message.

    Raises:
        InputTypeError: if it is not a uint8 array.
        InputError: if its shape is not that of an image, or it is empty or too large.
    """
    if not isinstance(image, (np.ndarray, jax.Array)):
        raise InputTypeError(f"{name} must be a uint8 array, got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise InputTypeError(f"{name} must have dtype uint8, got {image.dtype}")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise InputError(f"{name} must have shape (H, W) or (H, W, 3), got {image.shape}")
    if 0 in image.shape:
        raise InputError(f"{name} must not be empty, got shape {image.shape}")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise InputError(f"{name} must have at most {MAX_PIXELS} pixels, got shape {image.shape}")
    return np.asarray(image)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file that Pillow knows.

    Palettes and CMYK become RGB, bilevel becomes gray, and the EXIF orientation is applied. What
    would lose data (transparency, more than 8 bits) is refused.

    Args:
        path: of the file.

    Returns:
        Shape (H, W) or (H, W, 3), uint8.

    Raises:
        InputError: if there is no such file, it is not an image, or its mode would lose data.
    """
    try:
        with Image.open(path) as opened:
            image: Image.Image = ImageOps.exif_transpose(opened)
    except FileNotFoundError as error:
        raise InputError(f"path {os.fspath(path)!r} does not exist") from error
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError) as error:
        raise InputError(f"path {os.fspath(path)!r} is not a readable image: {error}") from error
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            raise InputError(f"path {os.fspath(path)!r} has transparency, which would be lost")
    if image.mode in ("1", "LA"):
        image = image.convert("L")
    elif image.mode in ("P", "PA", "RGBA", "CMYK", "YCbCr"):
        image = image.convert("RGB")
    if image.mode not in ("L", "RGB"):
        raise InputError(f"path {os.fspath(path)!r} has mode {image.mode}, which would lose data")
    return np.array(image)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise InputError, before any work, if a file cannot be written at ``path``."""
    target = Path(os.path.realpath(path))
    if not os.fspath(path) or target.is_dir():
        raise InputError(f"path {os.fspath(path)!r} cannot be written: it is a folder")
    if not target.parent.is_dir():
        raise InputError(f"path {os.fspath(path)!r} cannot be written: there is no such folder")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"path {os.fspath(path)!r} cannot be written: its folder is read-only")


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that it appears whole or not at all.

    A link is followed. What is no regular file (a pipe, a device) is written to as it is.

    Args:
        path: of the file; one that exists is replaced.
        data: its contents.

    Raises:
        InputError: if the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    part = None
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as file:
            part = file.name
            file.write(data)
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"path {os.fspath(path)!r} cannot be written: {reason}") from error
    finally:
        if part is not None and os.path.exists(part):
            os.unlink(part)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
