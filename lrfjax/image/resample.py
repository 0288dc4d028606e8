"""Resample a plane by any factor: by area, by nearest neighbours, and linearly.

The input pixels of an output pixel and their weights depend only on the sizes. They are tabulated
once, and the cost is linear in the number of pixels. All of it is NumPy on the host, so no size of
image needs a compilation.
"""

from __future__ import annotations

import functools

import numpy as np


def scaled_size(size: int, factor: float) -> int:
    """Return max(floor(size * factor), 1), the length of a plane's side after downsampling.

    Example:
        >>> scaled_size(5, 0.5), scaled_size(1, 0.5)
        (2, 1)
    """
    return max(int(size * factor), 1)


@functools.lru_cache(maxsize=256)
def _area_taps(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices and weights, both (taps, size_out), of the pixels under each output pixel."""
    edges = np.arange(size_out + 1) * (size_in / size_out)
    first = np.floor(edges[:-1] + 1e-9).astype(int)
    num_taps = int(np.max(np.ceil(edges[1:] - 1e-9).astype(int) - first))
    index = np.minimum(first + np.arange(num_taps)[:, None], size_in - 1)
    left = np.maximum(first + np.arange(num_taps)[:, None], edges[:-1])
    right = np.minimum(first + np.arange(num_taps)[:, None] + 1, edges[1:])
    weight = np.maximum(right - left, 0) * (size_out / size_in)
    return index, weight.astype(np.float32)


def _take(plane: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """Return the entries at an index; a view if its steps are equal."""
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    if step > 0 and np.all(np.diff(index) == step):
        where: list[slice] = [slice(None)] * plane.ndim
        where[axis] = slice(int(index[0]), int(index[-1]) + 1, step)
        return plane[tuple(where)]
    return np.take(plane, index, axis=axis)


def _along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Return a vector as an array of ``ndim`` axes that varies along one of them."""
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)


def downsample(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average a plane over the area under each output pixel.

    Pixels that an edge cuts count by their covered part. For an integer ratio of the sizes, the
    result is the mean over blocks.

    Args:
        plane: shape (..., H, W), floating point.
        size: (height, width) of the result, each between 1 and the input's.

    Returns:
        Shape (..., height, width), same dtype.
    """
    for axis, length in zip((-2, -1), size, strict=True):
        index, weight = _area_taps(plane.shape[axis], length)
        taps = [
            _take(plane, i, axis) * _along(w, axis, plane.ndim).astype(plane.dtype)
            for i, w in zip(index, weight, strict=True)
        ]
        plane = sum(taps[1:], start=taps[0])
    return plane


def upsample(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Repeat the nearest pixel: output i takes input floor((2 i + 1) n_in / (2 n_out)).

    Args:
        plane: shape (..., h, w), any dtype.
        size: (height, width) of the result.

    Returns:
        Shape (..., height, width), same dtype.
    """
    # The long axis last: rows are copied as a whole.
    for axis, length in ((-1, size[1]), (-2, size[0])):
        if length != plane.shape[axis]:
            index = (2 * np.arange(length) + 1) * plane.shape[axis] // (2 * length)
            plane = np.take(plane, index, axis=axis)
    return plane


def interpolate(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate linearly between the centres of pixels, in integers.

    Output i lies at (2 i + 1) n_in / (2 n_out) - 1/2, rounded down to 1/64 of an input pixel.
    Beyond the outer centres the plane is constant. For twice the size, this is the triangle filter
    of JPEG decoders.

    Args:
        plane: shape (..., h, w), int32, at most 2^24 in magnitude.
        size: (height, width) of the result.

    Returns:
        Shape (..., height, width), int32, rounded.
    """
    for axis, length in zip((-2, -1), size, strict=True):
        size_in = plane.shape[axis]
        if length == size_in:
            continue
        place = 64 * ((2 * np.arange(length) + 1) * size_in - length) // (2 * length)
        place = np.clip(place, 0, 64 * (size_in - 1))
        first = place // 64
        share = _along(place % 64, axis, plane.ndim).astype(np.int32)
        low = np.take(plane, first, axis=axis)
        high = np.take(plane, np.minimum(first + 1, size_in - 1), axis=axis)
        plane = (low * (64 - share) + high * share + 32) >> 6
    return plane
