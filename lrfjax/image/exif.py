"""EXIF blocks as bytes: TIFF structures (JEITA CP-3451), edited where they are.

Entries refer to what lies elsewhere in the block by its position, in places that no parser knows
(notes of the maker). So the block is not written anew.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112

_PREFIX = b"Exif\x00\x00"
_ENTRY = 12
_POINTER = 4


def strip_prefix(exif: bytes) -> bytes:
    """Return the block without the mark that JPEG puts before it."""
    return exif.removeprefix(_PREFIX)


def add_prefix(exif: bytes) -> bytes:
    """Return the block with the mark that JPEG puts before it."""
    return exif if exif.startswith(_PREFIX) else _PREFIX + exif


def without_orientation(exif: bytes) -> bytes:
    """Return the block without the entry that says how to turn the image.

    Args:
        exif: without a prefix. One that is no EXIF comes back as it is.

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
    # What follows the entry, down to the pointer to the next directory, moves up by one entry; the
    # rest stays in its place.
    return (
        exif[:start]
        + struct.pack(f"{order}H", count - 1)
        + exif[start + 2 : at]
        + exif[at + _ENTRY : end]
        + bytes(_ENTRY)
        + exif[end:]
    )
