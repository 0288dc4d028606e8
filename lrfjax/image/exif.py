"""EXIF blocks as bytes: TIFF structures (JEITA CP-3451), edited in place.

Entries refer to other parts of the block by position, also in formats that no parser knows (maker
notes). So a block is edited and never written anew.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112

_PREFIX = b"Exif\x00\x00"
_ENTRY = 12
_POINTER = 4


def strip_prefix(exif: bytes) -> bytes:
    """Return the block without the prefix that it has in JPEG files."""
    return exif.removeprefix(_PREFIX)


def add_prefix(exif: bytes) -> bytes:
    """Return the block with the prefix that it has in JPEG files."""
    return exif if exif.startswith(_PREFIX) else _PREFIX + exif


def without_orientation(exif: bytes) -> bytes:
    """Return the block without its orientation entry.

    Args:
        exif: block without a prefix. Bytes that are not EXIF are returned unchanged.

    Example:
        >>> from PIL import Image
        >>> tags = Image.Exif()
        >>> tags[ORIENTATION], tags[0x013B] = 6, "Ada"
        >>> found = Image.Exif()
        >>> found.load(without_orientation(strip_prefix(tags.tobytes())))
        >>> dict(found)
        {315: 'Ada'}
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return exif
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    if start + 2 > len(exif):
        return exif
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    entries = range(start + 2, start + 2 + _ENTRY * count, _ENTRY)
    end = entries.stop + _POINTER
    if end > len(exif):
        return exif
    tags = [struct.unpack_from(f"{order}H", exif, at)[0] for at in entries]
    if ORIENTATION not in tags:
        return exif
    at = entries[tags.index(ORIENTATION)]
    # The later entries and the pointer to the next directory move up by one entry; everything else
    # stays in place.
    return (
        exif[:start]
        + struct.pack(f"{order}H", count - 1)
        + exif[start + 2 : at]
        + exif[at + _ENTRY : end]
        + bytes(_ENTRY)
        + exif[end:]
    )
