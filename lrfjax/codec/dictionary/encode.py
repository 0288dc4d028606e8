"""Encoding of an image by IMF with the dictionaries.

X ~ s U V^T, where V is an integer dictionary and U has integer entries. All columns of U share one
step s, as in reverse water-filling. ``dictionary_coder.DecidingSource`` chooses the entries of U by
rate-distortion optimization.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lrfjax.codec import rate_control
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import ATOMS, BANDS, PATCH_SIZE, SIDE
from lrfjax.codec.dictionary.choice import choose
from lrfjax.codec.dictionary.decode import finish_strips, reconstruct
from lrfjax.codec.dictionary.dictionaries import NUM_KINDS
from lrfjax.codec.dictionary.search import choose_by_cost
from lrfjax.codec.dictionary.tiles import CodedTile
from lrfjax.codec.entropy.dictionary_coder import Stack
from lrfjax.codec.file.header_parts import MAX_STEP, Finish
from lrfjax.codec.file.tiled_headers import DictionaryHeader, TiledHeader
from lrfjax.codec.parallel import Progress, in_order, no_progress
from lrfjax.codec.planes import plane_weights, rotation_of, to_patches
from lrfjax.image import restore
from lrfjax.image.deblock import STRENGTH_UNIT
from lrfjax.image.patches import patch_grid

DEBLOCKING = round(0.9 * STRENGTH_UNIT)
RESTORATION = restore.STRENGTH_UNIT
# In photographs about one in 10^5 entries of the two lowest classes is nonzero. Other content needs
# them: ``tiles.code_tile`` lowers the skip where that pays.
SKIP = 2
"""The skip that encoders begin with."""
_PASSES = 2
# The number of decisions of all entries from effort 2 on. A third gains nothing.

LEAST_STEP = 2
"""The smallest step, in 1/16 gray levels. Below it, entries for white and black exceed 16 bits."""


@dataclass(frozen=True)
class EncodedImage:
    """An image encoded at one dial: the header, and the bodies of the factor chunks."""

    header: TiledHeader
    bodies: tuple[bytes, ...]


@dataclass(frozen=True)
class Run:
    """An encoding in progress.

    Attributes:
        header: header of the file.
        leading: bodies before those of the tiles.
        tiles: coded tiles from the top down; several threads work ahead.
        strip: function from a coded tile to its planes, see ``dictionary_decode.reconstruct``.
    """

    header: TiledHeader
    leading: tuple[bytes, ...]
    tiles: Iterator[CodedTile]
    strip: Callable[[CodedTile], np.ndarray]


class ImageEncoder:
    """An encoder of one image at any dial.

    Args:
        image: shape (H, W) or (H, W, 3), uint8 or uint16, without alpha.
        color_space: ``"rotated"``, ``"YCbCr"`` or ``"RGB"``; ignored for gray images.
        effort: search effort, 1 to 3.
        rank: largest number of columns of U for luma; the other planes get half. None for all.
        progress: callback after each tile.
    """

    def __init__(
        self,
        image: np.ndarray,
        color_space: str,
        effort: int,
        rank: int | None,
        progress: Progress = no_progress,
    ) -> None:
        self.image = image if image.ndim == 3 else image[..., None]
        self.depth = 8 if image.dtype == np.uint8 else 16
        self.rotation = rotation_of(self.image, color_space)
        self.effort = effort
        num_planes = self.image.shape[2]
        self.ranks = [len(ATOMS)] * num_planes
        if rank is not None:
            self.ranks = [rank] + [max(rank // 2, 1)] * (num_planes - 1)
        self.weights = plane_weights(self.rotation)
        self.progress = progress

    @property
    def _rows_per_tile(self) -> int:
        return tiles.tile_rows(grid_of(self.image)[1])

    def _parts(self) -> list[np.ndarray]:
        """Return the rows of pixels of each tile, as views of the image."""
        rows = self._rows_per_tile * SIDE
        return [self.image[top : top + rows] for top in range(0, self.image.shape[0], rows)]

    def _patches(self, part: np.ndarray) -> np.ndarray:
        """Return the patches of a tile."""
        if len(part) == self.image.shape[0]:
            return self._single_tile
        return self._to_patches(part)

    def _to_patches(self, part: np.ndarray) -> np.ndarray:
        if self.depth == 16:
            part = part.astype(np.float32) / 257
        return to_patches(part, self.rotation.forward)

    @functools.cached_property
    def _single_tile(self) -> np.ndarray:
        """The patches of an image of one tile, kept between attempts."""
        return self._to_patches(self.image)

    def encode(self, dial: float, weight: float = 1.0) -> EncodedImage:
        """Return the image encoded at a dial; see ``rate_control``."""
        run = self._run(dial, weight)
        return EncodedImage(run.header, (*run.leading, *(tile.body for tile in run.tiles)))

    def measure(self, dial: float, weight: float = 1.0) -> tuple[EncodedImage, float]:
        """Return the image encoded at a dial, and the mean squared error of the decoded image.

        Each tile is measured as soon as the next one is encoded, so the factors of all tiles are
        never in memory together.
        """
        run = self._run(dial, weight)
        bodies = [*run.leading]

        def strips() -> Iterator[np.ndarray]:
            for tile in run.tiles:
                bodies.append(tile.body)
                yield run.strip(tile)

        total = 0.0
        for top, decoded in finish_strips(run.header, strips()):
            total += squared_error(self.image[top : top + len(decoded)], decoded)
        return EncodedImage(run.header, tuple(bodies)), total / self.image.size

    def _run(self, dial: float, weight: float) -> Run:
        """Begin an encoding."""
        header = self._header(dial)

        def strip(tile: CodedTile) -> np.ndarray:
            return reconstruct(header, tile.u, tile.kinds)

        return Run(header, (), self._coded(header, dial, weight), strip)

    def _header(self, dial: float) -> DictionaryHeader:
        whole, _ = dial_settings(dial)
        return DictionaryHeader(
            size=(self.image.shape[0], self.image.shape[1]),
            tile_rows=min(self._rows_per_tile, grid_of(self.image)[0]),
            finish=Finish(
                depth=self.depth,
                inverse=tuple(map(tuple, self.rotation.inverse.tolist())),
                steps=tuple(min(max(round(whole * w), LEAST_STEP), MAX_STEP) for w in self.weights),
                deblocking=DEBLOCKING,
                restoration=RESTORATION,
            ),
        )

    def _coded(self, header: DictionaryHeader, dial: float, weight: float) -> Iterator[CodedTile]:
        """Yield the coded tiles."""
        steps = header.finish.steps
        lagrangian = weight * dial_settings(dial)[1]

        def code(part: np.ndarray) -> CodedTile:
            grid = grid_of(part)
            u, kinds = self._analyze(self._patches(part), grid, steps, lagrangian)
            for plane, rank in enumerate(self.ranks):
                u[plane, :, rank:] = 0
            stack = Stack(grid, tiles.live_bands(u), steps, SKIP)
            return tiles.code_tile(u, kinds, stack, lagrangian, min(self.effort, _PASSES))

        return in_order(code, self._parts(), self.progress)

    def _analyze(
        self, patches: np.ndarray, grid: tuple[int, int], steps: tuple[int, ...], lagrangian: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return real-valued U, shape (planes, M, 256), and the dictionary of each patch."""
        in_gray = np.array(steps, np.float32) / 16
        if self.effort == 2:
            return choose(patches, in_gray, grid, lagrangian)
        ratios = tiles.all_ratios(patches, in_gray, count=1 if self.effort == 1 else NUM_KINDS)
        kinds = np.zeros(ratios.shape[2], np.int32)
        if self.effort > 1:
            stack = Stack(grid, (len(BANDS),) * len(steps), steps, SKIP)
            kinds = choose_by_cost(ratios, stack, lagrangian)
        return np.take_along_axis(ratios, kinds[None, None, :, None], axis=0)[0], kinds

    def dial_of_rank(self) -> float:
        """Return the dial at which quantization costs as much as dropping the other columns."""
        dropped, kept, count = 0.0, [], 0
        for part in self._parts():
            patches = self._patches(part)
            ones = np.ones(len(self.weights), np.float32)
            u = tiles.all_ratios(patches, ones, count=1)[0]
            energies = np.square(u)
            for plane, rank in zip(energies, self.ranks, strict=True):
                dropped += float(plane[:, rank:].sum())
                count += plane.size
                kept.append(plane[:, :rank].ravel()[:: max(plane[:, :rank].size // 20000, 1)])
        low, high = 1.0, 256.0
        for _ in range(24):
            step = math.sqrt(low * high)
            shares = [np.minimum(k, step * step / 12).mean() for k in kept]
            weights = [r * count / (len(self.ranks) * len(ATOMS)) for r in self.ranks]
            spent = float(np.dot(shares, weights))
            low, high = (step, high) if spent < dropped else (low, step)
        return 16 * low


def dial_settings(dial: float) -> tuple[int, float]:
    """Return the step and the Lagrange multiplier of a dial; see ``rate_control.dial_settings``.

    Below the smallest step only the multiplier falls on, by the square of the missing step.
    """
    step, lagrangian = rate_control.dial_settings(max(dial, LEAST_STEP))
    return step, lagrangian * min(dial / LEAST_STEP, 1.0) ** 2


def grid_of(part: np.ndarray) -> tuple[int, int]:
    """Return the (rows, columns) of patches over rows of pixels."""
    return patch_grid((part.shape[0], part.shape[1]), PATCH_SIZE)


def squared_error(image: np.ndarray, decoded: np.ndarray) -> float:
    """Return the sum of squared differences, in squared units of the dtype.

    Squares are integers, so sums below 2^53 are exact in any order.
    """
    height = max(2**20 // image.shape[1], 1)
    total = 0.0
    for top in range(0, image.shape[0], height):
        a, b = (x[top : top + height].astype(np.float32) for x in (image, decoded))
        total += float(np.sum(np.square(a - b), dtype=np.float64))
    return total
