"""A folder of images: find, check, load and batch them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lrfjax.errors import InputError, LrfError
from lrfjax.image.reading import check_image, read_image, read_picture

_LARGEST_BATCH, _BATCH_PIXELS = 16, 1 << 23


@dataclass(frozen=True)
class Item:
    """An image of a folder.

    Attributes:
        name: path relative to the folder, with forward slashes.
        path: path of the file.
        shape: (H, W) or (H, W, 3).
        digest: digest of shape and pixels.
    """

    name: str
    path: Path
    shape: tuple[int, ...]
    digest: str


def find_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the image files in a folder and its subfolders, sorted.

    An image file has a suffix that Pillow reads, or ``.npy``. Hidden files and folders are ignored.

    Raises:
        InputError: if there is no such folder, or no image in it.
    """
    root = Path(folder)
    name = os.fspath(folder)
    if not root.is_dir():
        raise InputError(f"data {name!r} is not a folder")
    Image.init()
    suffixes = {s for s, format in Image.EXTENSION.items() if format in Image.OPEN} | {".npy"}
    try:
        found = sorted(
            path
            for path in root.rglob("*")
            if path.suffix.lower() in suffixes
            and not any(part.startswith(".") for part in path.relative_to(root).parts)
            and path.is_file()
        )
    except OSError as error:
        raise InputError(f"data {name!r} cannot be read: {error.strerror}") from error
    if not found:
        raise InputError(f"data {name!r} has no images in it")
    return found


def scan(
    folder: str | os.PathLike[str],
    skipped: Callable[[str, Exception], None],
    progress: Callable[[], None] = lambda: None,
) -> list[Item]:
    """Return the images of a folder that can be read as 8-bit gray or RGB.

    Args:
        folder: folder of images, see ``find_images``.
        skipped: function called with the name of each image that cannot be used, and the error.
        progress: function called after each image.

    Raises:
        InputError: if there is no such folder, or it has no image that can be used.
    """
    root = Path(folder)
    items = []
    paths = find_images(root)
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            image = load(path)
        except (LrfError, OSError, MemoryError) as error:
            skipped(name, error)
        else:
            items.append(Item(name, path, image.shape, digest(image)))
        progress()
    if not items:
        raise InputError(f"data {os.fspath(folder)!r} has no image that can be used")
    return items


def load(path: Path) -> np.ndarray:
    """Return the pixels of an image file, (H, W) or (H, W, 3), uint8."""
    if path.suffix.lower() != ".npy":
        return read_image(path)
    return check_image(read_picture(path).pixels, f"the array of {str(path)!r}")


def digest(image: np.ndarray) -> str:
    """Return a digest of the shape and the pixels, 16 hexadecimal digits."""
    state = hashlib.blake2b(repr(image.shape).encode(), digest_size=8)
    state.update(image.tobytes())
    return state.hexdigest()


def batches(items: Sequence[Item], num_parts: int = 1) -> list[list[Item]]:
    """Return batches of images of one shape, which go through a codec together.

    Args:
        items: images; their order is kept within each shape.
        num_parts: number of workers. Batches are made small enough to occupy all of them.

    Example:
        >>> items = [Item(str(n), Path(str(n)), (8, 8 + n // 2), "") for n in range(4)]
        >>> [[item.name for item in batch] for batch in batches(items)]
        [['0', '1'], ['2', '3']]
    """
    groups: dict[tuple[int, ...], list[Item]] = {}
    for item in items:
        groups.setdefault(item.shape, []).append(item)
    out = []
    for shape, group in groups.items():
        size = min(_LARGEST_BATCH, max(_BATCH_PIXELS // (shape[0] * shape[1]), 1))
        size = min(size, -(-len(group) // num_parts))
        # All batches but the last have one length, so that few shapes compile.
        out += [group[k : k + size] for k in range(0, len(group), size)]
    return out
