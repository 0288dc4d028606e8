"""What the benchmarks of the solvers work on: luma planes of images, and the solvers as timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import lrfjax
from benchmarks.report import images
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.settings import make_layout

RANKS = (4, 16, 32, 64)
SHIFT = (3, 5)
"""Pixels down and right that each further copy of an image is moved by."""


@dataclass(frozen=True)
class Solver:
    """A solver as it is timed.

    Attributes:
        name: of it.
        solve: called with X and the rank; it keeps the first and the last entry of the history.
        num_iters: sweeps.
    """

    name: str
    solve: Callable[..., lrfjax.Result]
    num_iters: int


SOLVERS = {
    "imf": Solver("imf", partial(lrfjax.imf, num_iters=10, record_every=10), 10),
    "nmf": Solver("nmf", partial(lrfjax.nmf, num_iters=20, record_every=20), 20),
    "svd": Solver("svd", lrfjax.svd, 0),
}


def luma_planes(folder: Path, count: int, patch_size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """Return luma patch matrices of ``count`` different pictures, shape (count, M, N), float32.

    Where the folder has fewer images of the first one's number of patches, they come again, every
    time moved around by ``SHIFT`` more pixels, so that no two matrices are the same.
    """
    found: list[np.ndarray] = []
    usable = [image for image in _read_all(folder) if _fits(image, folder, patch_size)]
    for index in range(count):
        image, turn = usable[index % len(usable)], index // len(usable)
        moved = np.roll(image, (SHIFT[0] * turn, SHIFT[1] * turn), axis=(0, 1))
        found.append(_luma(moved, patch_size))
    return np.stack(found)


def sized_plane(folder: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return a luma patch matrix of a given shape (M, N), N the square of a patch's side.

    Patches of one image, the first ones where it has more than M; of as many images as it takes,
    one below the other, where it has fewer.
    """
    rows, columns = shape
    side = round(columns**0.5)
    one = luma_planes(folder, 1, (side, side))[0]
    count = -(-rows // one.shape[0])
    return luma_planes(folder, count, (side, side)).reshape(-1, columns)[:rows]


def relative_errors(result: lrfjax.Result) -> list[float]:
    """Return ||X - U V^T||_F / ||X||_F at the end, for each problem of a batch."""
    return np.ravel(np.asarray(result.history.relative_error)[..., -1]).tolist()


@lru_cache(maxsize=1)
def _read_all(folder: Path) -> list[Any]:
    return [lrfjax.read_image(path) for path in images(folder)]


def _fits(image: np.ndarray, folder: Path, patch_size: tuple[int, int]) -> bool:
    shapes = [_layout(i, patch_size).matrix_shapes[0] for i in (image, _read_all(folder)[0])]
    return shapes[0] == shapes[1]


def _layout(image: np.ndarray, patch_size: tuple[int, int]) -> Any:
    return make_layout(image.shape, "YCbCr", (0.5, 0.5), True, patch_size)


def _luma(image: np.ndarray, patch_size: tuple[int, int]) -> np.ndarray:
    return np.asarray(to_matrices(image, layout=_layout(image, patch_size))[0])
