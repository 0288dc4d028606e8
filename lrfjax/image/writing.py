"""Write image files, and write any file so that it appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from pathlib import Path

import numpy as np
from PIL import Image

from lrfjax.errors import InputError
from lrfjax.image.exif import add_prefix
from lrfjax.image.reading import Picture

_NPY = ".npy"
_WITH_METADATA = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "AVIF")
_WITH_16_BITS = ("PNG", "TIFF", "JPEG2000", "PPM")
_unfinished: set[Path] = set()


def check_suffix(suffix: str, what: str) -> None:
    """Raise InputError unless ``write_picture`` knows a suffix such as ``".png"``.

    Args:
        suffix: suffix with its dot, in upper or lower case.
        what: name of the path or option with this suffix, for the error message.
    """
    Image.init()
    if suffix.lower() != _NPY and Image.EXTENSION.get(suffix.lower()) not in Image.SAVE:
        raise InputError(f"{what} has no suffix that can be written, such as .png, .tiff or .npy")


def picture_bytes(picture: Picture, suffix: str) -> tuple[bytes, list[str]]:
    """Return the image file of a picture.

    Args:
        picture: picture to write. All formats of Pillow hold 8-bit pixels; PNG, TIFF, JPEG 2000
            and PGM hold 16-bit gray; ``.npy`` holds any pixels.
        suffix: suffix of the format, such as ``".png"``; see ``check_suffix``.

    Returns:
        The bytes of the file, and the names of the metadata that it cannot hold (the colour
        profile, the EXIF block).

    Raises:
        InputError: if the format cannot hold the pixels, or is unknown.
    """
    suffix = suffix.lower()
    check_suffix(suffix, f"suffix {suffix!r}")
    metadata = {"colour profile": picture.icc_profile, "EXIF": picture.exif}
    kept = {name: value for name, value in metadata.items() if value is not None}
    buffer = io.BytesIO()
    if suffix == _NPY:
        np.save(buffer, picture.pixels)
        return buffer.getvalue(), list(kept)
    format = Image.EXTENSION[suffix]
    if picture.pixels.dtype == np.uint16:
        if picture.pixels.ndim == 3:
            raise InputError("three channels of 16 bits can only be written as .npy")
        if format not in _WITH_16_BITS:
            raise InputError(f"16 bits can be written as .png, .tiff or .npy, not as {suffix}")
    settings: dict[str, bytes] = {}
    if format in _WITH_METADATA:
        if picture.icc_profile is not None:
            settings["icc_profile"] = picture.icc_profile
        if picture.exif is not None:
            settings["exif"] = add_prefix(picture.exif)
        kept = {}
    try:
        Image.fromarray(picture.pixels).save(buffer, format=format, **settings)
    # On an invalid profile or EXIF block, Pillow raises errors of any type.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{suffix} cannot hold the image: {reason}") from error
    return buffer.getvalue(), list(kept)


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

    Links are followed. A path that is not a regular file (a pipe, a device) is written directly.

    Args:
        path: path of the file; an existing file is replaced.
        data: contents of the file.

    Raises:
        InputError: if the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    # Named before it is created, so that an interrupt at any moment removes it below.
    part = target.parent / f".part-{secrets.token_hex(8)}"
    _unfinished.add(part)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        with part.open("xb") as file:
            file.write(data)
        os.replace(part, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"path {os.fspath(path)!r} cannot be written: {reason}") from error
    finally:
        part.unlink(missing_ok=True)
        _unfinished.discard(part)


def remove_unfinished() -> None:
    """Remove what ``write_atomically`` has not finished, in a process that ends at once."""
    for part in list(_unfinished):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
