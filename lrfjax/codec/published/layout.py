"""The geometry of matrices from an image, and the conversions between the two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lrfjax.errors import InputError
from lrfjax.image import color, patches, resample

# Planes are clipped to this magnitude, so that colour conversion stays within int32. Images stay
# far below it; hostile files may not.
_PLANE_LIMIT = 1 << 13

_FREE_PADDING = 1 << 20
"""Pixels of padding beyond the share of the limit: about those of a tile."""


@dataclass(frozen=True)
class Layout:
    """The geometry of a coded image; hashable.

    Attributes:
        size: (H, W) of the image.
        color_space: ``"gray"``, ``"RGB"`` or ``"YCbCr"``.
        chroma_size: (H, W) of the chroma planes; ``size`` unless the space is YCbCr.
        patch_size: (P, Q), or None if each plane is a matrix.
        upsampling: interpolation of the chroma planes, ``"nearest"`` or ``"linear"``.
    """

    size: tuple[int, int]
    color_space: str
    chroma_size: tuple[int, int]
    patch_size: tuple[int, int] | None
    upsampling: str = "nearest"

    @property
    def plane_groups(self) -> list[tuple[int, tuple[int, int]]]:
        """The number of planes in each matrix, and their size.

        RGB patches hold all three channels in one row, as in the paper. Otherwise each plane has
        its own matrix.
        """
        if self.color_space == "gray":
            return [(1, self.size)]
        if self.color_space == "YCbCr":
            return [(1, self.size), (1, self.chroma_size), (1, self.chroma_size)]
        return [(3, self.size)] if self.patch_size else [(1, self.size)] * 3

    @property
    def patch_grid(self) -> tuple[int, int]:
        """The rows and columns of patches over the image."""
        assert self.patch_size is not None
        return patches.patch_grid(self.size, self.patch_size)

    @property
    def factor_grids(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """The grids of the columns of U and of V of each matrix, as (rows, columns).

        A column of U is a small image over the patches, a column of V over the pixels of a patch.
        Channels of a patch are stacked vertically. Without patches the grids have one row.
        """
        if self.patch_size is None:
            return [((1, rows), (1, columns)) for _, (rows, columns) in self.plane_groups]
        p, q = self.patch_size
        return [
            (patches.patch_grid(size, self.patch_size), (channels * p, q))
            for channels, size in self.plane_groups
        ]

    @property
    def matrix_shapes(self) -> list[tuple[int, int]]:
        """The (M, N) of each matrix."""
        return [(math.prod(u), math.prod(v)) for u, v in self.factor_grids]


def padding_fits(size: tuple[int, int], patch: tuple[int, int], max_pixels: int) -> bool:
    """Return whether an image within a limit of pixels can be padded to whole patches.

    Decoders hold the padded planes. Padding may add an eighth of the limit and a megapixel, which
    suffices unless a side is much shorter than the patches.

    Args:
        size: (H, W) of the image.
        patch: (P, Q) of the patches.
        max_pixels: largest number of pixels of the image.
    """
    height, width = patches.padded_size(size, patch)
    return height * width <= max_pixels + max_pixels // 8 + _FREE_PADDING


def check_padding(size: tuple[int, int], patch_size: tuple[int, int], max_pixels: int) -> None:
    """Raise InputError if decoders with the same limit refuse the padding to whole patches."""
    if not padding_fits(size, patch_size, max_pixels):
        padded = patches.padded_size(size, patch_size)
        raise InputError(
            f"patch_size {patch_size} pads the image of {size} pixels to {padded}, too many for "
            f"max_pixels {max_pixels}"
        )


def to_matrices(image: np.ndarray, layout: Layout) -> list[np.ndarray]:
    """Return the matrices of an image.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        layout: geometry of the image.

    Returns:
        One float32 matrix for each of ``layout.matrix_shapes``, values in [0, 256).
    """
    if layout.color_space == "YCbCr":
        planes = np.moveaxis(color.rgb_to_ycbcr(image), -1, 0)
        groups = [
            resample.downsample(planes[i], size)[None]
            for i, (_, size) in enumerate(layout.plane_groups)
        ]
    else:
        planes = np.moveaxis(np.atleast_3d(image).astype(np.float32), -1, 0)
        groups = [planes] if len(layout.plane_groups) == 1 else [p[None] for p in planes]
    if layout.patch_size is None:
        return [np.ascontiguousarray(group[0]) for group in groups]
    return [
        patches.patchify(patches.pad(group, layout.patch_size), layout.patch_size)
        for group in groups
    ]


def from_matrices(matrices: list[np.ndarray], layout: Layout) -> np.ndarray:
    """Return the image of integer matrices: the inverse of ``to_matrices`` up to rounding.

    The arithmetic is in integers, so every machine gives the same pixels.

    Args:
        matrices: int32, one for each of ``layout.matrix_shapes``.
        layout: geometry of the image.

    Returns:
        Shape (H, W) or (H, W, 3), uint8.
    """
    planes: list[np.ndarray] = []
    for matrix, (channels, size) in zip(matrices, layout.plane_groups, strict=True):
        if layout.patch_size is None:
            group = matrix[None]
        else:
            padded = patches.padded_size(size, layout.patch_size)
            group = patches.unpatchify(matrix, (channels, *padded), layout.patch_size)
            group = patches.unpad(group, size)
        planes.extend(np.clip(group, -_PLANE_LIMIT, _PLANE_LIMIT))
    if layout.color_space == "YCbCr":
        is_linear = layout.upsampling == "linear"
        enlarge = resample.interpolate if is_linear else resample.upsample
        y, cb, cr = (enlarge(plane, layout.size) for plane in planes)
        return color.ycbcr_to_rgb(y, cb, cr)
    image = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    return image[..., 0] if layout.color_space == "gray" else image
