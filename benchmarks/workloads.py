"""The input of the solver benchmarks: patch matrices of images, and the solvers as timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import lrfjax
from benchmarks.report import images
from lrfjax.codec.codecs.paper_imf import PaperIMFCodec
from lrfjax.codec.published.layout import to_matrices

RANKS = (4, 16, 32, 64)
SHIFT = (3, 5)
"""Pixels down and right by which each further copy of an image is shifted."""


@dataclass(frozen=True)
class Solver:
    """A solver as it is timed.

    Attributes:
        name: key of ``SOLVERS``.
        solve: called with X and the rank; keeps the first and the last entry of the history.
        num_iters: number of sweeps.
    """

    name: str
    solve: Callable[..., lrfjax.Result]
    num_iters: int


SOLVERS = {
    "imf": Solver("imf", partial(lrfjax.imf, num_iters=10, record_every=10), 10),
    "nmf": Solver("nmf", partial(lrfjax.nmf, num_iters=20, record_every=20), 20),
    "svd": Solver("svd", lrfjax.svd, 0),
}


def plane_matrices(image: np.ndarray, patch_size: tuple[int, int] = (8, 8)) -> list[np.ndarray]:
    """Return the patch matrices of luma and halved chroma, as in the paper, float32."""
    layout = PaperIMFCodec(patch_size=patch_size).layout(image.shape)
    return [np.asarray(matrix) for matrix in to_matrices(image, layout=layout)]


def luma_of(path: Path, crop: tuple[int, int] | None = None) -> np.ndarray:
    """Return the luma patch matrix of an image file, or of its upper left corner."""
    image = lrfjax.read_image(path)
    return plane_matrices(image[: crop[0], : crop[1]] if crop else image)[0]


def luma_planes(folder: Path, count: int, patch_size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """Return luma patch matrices of ``count`` different pictures, shape (count, M, N), float32.

    Pictures are the images of the folder with as many patches as the first one. Where there are
    too few, copies follow, each shifted by ``SHIFT`` more pixels, so that no two matrices agree.
    """
    found: list[np.ndarray] = []
    usable = [plane_matrices(image, patch_size)[0].shape for image in _read_all(folder)]
    alike = [i for i, shape in zip(_read_all(folder), usable, strict=True) if shape == usable[0]]
    for index in range(count):
        image, turn = alike[index % len(alike)], index // len(alike)
        moved = np.roll(image, (SHIFT[0] * turn, SHIFT[1] * turn), axis=(0, 1))
        found.append(plane_matrices(moved, patch_size)[0])
    return np.stack(found)


def sized_plane(folder: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return a luma patch matrix of a given shape (M, N), N the square of the side of a patch.

    Its rows are patches of one image, or of several images below each other if one has too few.
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
