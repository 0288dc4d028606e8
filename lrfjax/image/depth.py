"""The depth of a file's values: 8 or 16 bits, from black to white, or refused."""

from __future__ import annotations

from PIL import ImageFile

from lrfjax.errors import InputError

_GRAY_OF_16_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I;16R")
_TIFF_PHOTOMETRIC = 262


def check_depth(image: ImageFile.ImageFile, name: str) -> None:
    """Raise InputError if Pillow would lose bits, or if the values of gray have no known white.

    Args:
        image: an open image, before its pixels are loaded.
        name: name of the image in an error message.
    """
    if not image.mode.startswith("I"):
        if _loses_bits(image):
            raise InputError(
                f"{name} has colours of 16 bits, of which 8 would be lost: use a .npy file"
            )
        return
    for tile in image.tile:
        raw = [text for text in _arguments(tile) if str(text).startswith("I;")] or [image.mode]
        # For PGM, Pillow scales the largest value to 65535.
        if not tile.codec_name.startswith("ppm") and raw[0] not in _GRAY_OF_16_BITS:
            raise InputError(
                f"{name} has integers of Pillow's mode {raw[0]!r}, whose white is not known: scale "
                "them to 8 or 16 bits"
            )
    if getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0:
        raise InputError(f"{name} has gray of 16 bits in which 0 is white: invert it")


def _loses_bits(image: ImageFile.ImageFile) -> bool:
    """Return whether Pillow would read only 8 of the 16 bits of each channel."""
    for tile in image.tile:
        arguments = _arguments(tile)
        # For PPM, the largest value is the last argument.
        is_wide = tile.codec_name.startswith("ppm") and arguments[-1] > 255
        if is_wide or any(";16" in a for a in arguments if isinstance(a, str)):
            return True
    return False


def _arguments(tile: ImageFile._Tile) -> tuple:
    return tile.args if isinstance(tile.args, tuple) else (tile.args,)
