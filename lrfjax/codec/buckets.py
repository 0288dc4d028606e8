"""Few shapes for many sizes: patches in chunks, matrices padded to buckets.

Every new shape compiles a program, which the process keeps. So programs see only the shapes from
here, whatever the size of the image. Zeros are added and cut off on the host.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

_SIZES = (32, 128, 256, 512)
"""Patches of a chunk: as many chunks as possible have the last size, and one holds the rest."""

_LEAST = 64
"""The least number of rows of a padded matrix."""


class Chunk(NamedTuple):
    """A range of patches, and the number of patches that a program sees."""

    start: int
    stop: int
    size: int

    def cut(self, array: np.ndarray, axis: int) -> np.ndarray:
        """Return the range along the axis of the patches, padded with zeros."""
        return pad_to(array[(*[slice(None)] * axis, slice(self.start, self.stop))], axis, self.size)


def chunks(count: int) -> list[Chunk]:
    """Return the chunks of a number of patches.

    Example:
        >>> chunks(600)
        [Chunk(start=0, stop=512, size=512), Chunk(start=512, stop=600, size=128)]
    """
    largest = _SIZES[-1]
    found = [Chunk(k, k + largest, largest) for k in range(0, count - largest + 1, largest)]
    if rest := count % largest:
        found.append(Chunk(count - rest, count, next(n for n in _SIZES if n >= rest)))
    return found


def join(parts: Iterable[Any], count: int, axis: int) -> np.ndarray:
    """Return the results of all chunks of ``count`` patches as one new array.

    Args:
        parts: arrays of NumPy or JAX, one for each chunk. An iterator that makes them one by one
            saves memory, a list lets JAX work on several at once.
        count: number of patches.
        axis: axis of the patches.
    """
    out = np.empty(0)
    for part, chunk in zip(parts, chunks(count), strict=True):
        if chunk.start == 0:
            out = np.empty((*part.shape[:axis], count, *part.shape[axis + 1 :]), part.dtype)
        before = [slice(None)] * axis
        kept = np.asarray(part)[(*before, slice(chunk.stop - chunk.start))]
        out[(*before, slice(chunk.start, chunk.stop))] = kept
    return out


def bucket(length: int) -> int:
    """Return the bucket of a number of rows: the next power of two, or three quarters of it.

    Short matrices are quickly solved, so their buckets are 64, 256, 512 and 1024. The numbers of
    patches in pictures of 768 x 512, 512 x 512 and 1024 x 768 pixels are buckets.

    Example:
        >>> [bucket(n) for n in (1, 65, 1536, 4097, 6145)]
        [64, 256, 1536, 6144, 8192]
    """
    if length <= _LEAST:
        return _LEAST
    power = max(1 << (length - 1).bit_length(), 4 * _LEAST)
    return power * 3 // 4 if power > 1024 and length <= power * 3 // 4 else power


def pad_to(array: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Return an array with zeros at the end of an axis, up to a length."""
    missing = length - array.shape[axis]
    if missing == 0:
        return array
    return np.pad(array, [(0, missing if k == axis else 0) for k in range(array.ndim)])
