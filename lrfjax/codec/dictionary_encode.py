"""From an image to a file by IMF with the dictionaries that both sides know.

X ~ s U V^T, with V an integer dictionary and U integers of one step s for all columns: the step of
reverse water-filling. U is decided with its rate in view (``dictionary_coder.decide``).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lrfjax.codec import container, rate_control, tiles
from lrfjax.codec.dictionaries import NUM_KINDS
from lrfjax.codec.dictionary_choice import choose_by_cost
from lrfjax.codec.dictionary_decode import finish_strips, reconstruct
from lrfjax.codec.entropy.dictionary_coder import Stack
from lrfjax.codec.entropy.frequency_contexts import ATOMS, BANDS, SIDE
from lrfjax.codec.parallel import Progress, in_order, no_progress
from lrfjax.codec.planes import COLOR_BITS, Rotation, color_rotation, to_patches
from lrfjax.image.deblock import STRENGTH_UNIT

DEBLOCKING = round(1.2 * STRENGTH_UNIT)
# Entries of the two lowest classes hold something once in 10^5 times.
_SKIP = 2
_BIAS = 2.0

LEAST_STEP = 2
"""In 1/16 gray levels. With less, the entries for white and black would not fit into 16 bits."""


@dataclass(frozen=True)
class EncodedImage:
    """An image at one dial: the header, and the bodies of the chunks of factors."""

    header: container.DictionaryHeader
    bodies: tuple[bytes, ...]


class ImageEncoder:
    """An image, ready to be encoded at any dial.

    Args:
        image: shape (H, W) or (H, W, 3), uint8 or uint16, without alpha.
        color_space: ``"rotated"``, ``"YCbCr"`` or ``"RGB"``; ignored for gray.
        effort: 1 to 3.
        rank: columns of U that may be used for luma, and half of it for the other planes.
        progress: called after each tile of an ``encode``.
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
        return tiles.tile_rows(tiles.grid_of(*self.image.shape[:2])[1])

    def _parts(self) -> list[np.ndarray]:
        """Return the rows of pixels of each tile, views of the image."""
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
        """The patches, kept between attempts where there is one tile."""
        return self._to_patches(self.image)

    def encode(self, dial: float) -> EncodedImage:
        """Return the image at a dial, see ``rate_control``."""
        header = self._header(dial)
        return EncodedImage(header, tuple(tile.body for tile in self._coded(header, dial)))

    def measure(self, dial: float) -> tuple[EncodedImage, float]:
        """Return the image at a dial, and the mean squared error of what it decodes to.

        Each tile is measured as soon as the one below it is there, so that the factors of all of
        them are never in memory together.
        """
        header = self._header(dial)
        bodies: list[bytes] = []

        def strips() -> Iterator[np.ndarray]:
            for tile in self._coded(header, dial):
                bodies.append(tile.body)
                yield reconstruct(header, tile.u, tile.kinds)

        total = 0.0
        for top, decoded in finish_strips(header, strips()):
            total += squared_error(self.image[top : top + len(decoded)], decoded)
        return EncodedImage(header, tuple(bodies)), total / self.image.size

    def _header(self, dial: float) -> container.DictionaryHeader:
        whole, _ = rate_control.dial_settings(dial)
        return container.DictionaryHeader(
            size=(self.image.shape[0], self.image.shape[1]),
            tile_rows=min(self._rows_per_tile, tiles.grid_of(*self.image.shape[:2])[0]),
            finish=container.Finish(
                depth=self.depth,
                inverse=tuple(map(tuple, self.rotation.inverse.tolist())),
                steps=tuple(
                    min(max(round(whole * w), LEAST_STEP), container.MAX_STEP) for w in self.weights
                ),
                deblocking=DEBLOCKING,
            ),
        )

    def _coded(self, header: container.DictionaryHeader, dial: float) -> Iterator[tiles.CodedTile]:
        """Yield the tiles from the top down, several of them in the making."""
        steps = header.finish.steps
        _, lagrangian = rate_control.dial_settings(dial)

        def code(part: np.ndarray) -> tiles.CodedTile:
            grid = tiles.grid_of(*part.shape[:2])
            u, kinds = self._analyze(self._patches(part), grid, steps, lagrangian)
            for plane, rank in enumerate(self.ranks):
                u[plane, :, rank:] = 0
            stack = Stack(grid, tiles.live_bands(u), steps, _SKIP)
            return tiles.code_tile(u, kinds, stack, lagrangian, self.effort)

        return in_order(code, self._parts(), self.progress)

    def _analyze(
        self, patches: np.ndarray, grid: tuple[int, int], steps: tuple[int, ...], lagrangian: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return real-valued U, (planes, M, 256), and the dictionary of each patch."""
        in_gray = np.array(steps, np.float32) / 16
        if self.effort == 2:
            u, kinds = tiles.guess_ratios(patches, in_gray, bias=_BIAS)
            return np.array(u), np.asarray(kinds)
        ratios = np.asarray(
            tiles.all_ratios(patches, in_gray, count=1 if self.effort == 1 else NUM_KINDS)
        )
        kinds = np.zeros(ratios.shape[2], np.int32)
        if self.effort > 1:
            stack = Stack(grid, (len(BANDS),) * len(steps), steps, _SKIP)
            kinds = choose_by_cost(ratios, stack, lagrangian)
        return np.take_along_axis(ratios, kinds[None, None, :, None], axis=0)[0], kinds

    def dial_of_rank(self) -> float:
        """Return the dial at which quantization costs as much as leaving out the other columns."""
        dropped, kept, count = 0.0, [], 0
        for part in self._parts():
            patches = self._patches(part)
            ones = np.ones(len(self.weights), np.float32)
            u = tiles.all_ratios(patches, ones, count=1)[0]
            energies = np.square(np.asarray(u))
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


def rotation_of(image: np.ndarray, color_space: str) -> Rotation:
    """Return the change of colours of a colour space, for an image of shape (H, W, channels)."""
    one = 2**COLOR_BITS
    if image.shape[2] == 1:
        return Rotation(np.array([[one]], np.int32))
    if color_space == "RGB":
        return Rotation(one * np.eye(3, dtype=np.int32))
    if color_space == "YCbCr":
        inverse = [[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]]
        return Rotation(np.rint(one * np.array(inverse)).astype(np.int32))
    return color_rotation(image)


def plane_weights(rotation: Rotation) -> np.ndarray:
    """Return what the step of each plane is multiplied by.

    Noise in a plane reaches the pixels with the norm of its column, which is 1 for rotations.
    """
    norms = np.linalg.norm(rotation.inverse / 2**COLOR_BITS, axis=0)
    return 1 / np.maximum(norms, 0.25)


def squared_error(image: np.ndarray, decoded: np.ndarray) -> float:
    """Return the sum of squared differences, in squared units of the dtype.

    Squares are integers, so sums below 2^53 are exact, and no order of them gives another.
    """
    height = max(2**20 // image.shape[1], 1)
    total = 0.0
    for top in range(0, image.shape[0], height):
        a, b = (x[top : top + height].astype(np.float32) for x in (image, decoded))
        total += float(np.sum(np.square(a - b), dtype=np.float64))
    return total
