"""The settings of the classic pipeline (arXiv 2408.12691), checked before any work.

The module resolves them to a ``Layout`` and to ranks. ``encode`` checks the settings of the default
pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from lrfjax import checks
from lrfjax.codec import container
from lrfjax.codec.layout import Layout, padding_fits
from lrfjax.errors import InputError, InputTypeError
from lrfjax.image import resample
from lrfjax.image.patches import padded_size
from lrfjax.image.reading import MAX_PIXELS

PAPER_SETTINGS = MappingProxyType(
    {
        "color_space": "YCbCr",
        "scale_factor": (0.5, 0.5),
        "patch": True,
        "patch_size": (8, 8),
        "bounds": (-16, 15),
        "num_iters": 10,
        "init": "svd",
        "entropy": "deflate",
        "dictionary": "learned",
        "upsampling": "nearest",
    }
)
"""The published settings of arXiv 2408.12691, as keyword arguments of ``imf_encode``."""


def make_layout(
    shape: tuple[int, ...],
    color_space: str,
    scale_factor: tuple[float, float],
    patch: bool,
    patch_size: tuple[int, int],
    upsampling: str = "nearest",
    max_pixels: int = MAX_PIXELS,
) -> Layout:
    """Return the layout of an image of a given shape.

    Gray images ignore the colour settings. ``max_pixels`` limits the padding to whole patches.

    Raises:
        InputError: if a value is out of range.
        InputTypeError: if a value has a wrong type.
    """
    checks.one_of("color_space", color_space, ("YCbCr", "RGB"))
    factors = [
        checks.real("scale_factor", f, 0.0, 1.0) for f in _pair("scale_factor", scale_factor)
    ]
    if 0.0 in factors:
        raise InputError(f"scale_factor must be above 0, got {scale_factor}")
    sides = [
        checks.integer("patch_size", p, 1, container.MAX_PATCH_SIDE)
        for p in _pair("patch_size", patch_size)
    ]
    if not isinstance(patch, (bool, np.bool_)):
        raise InputTypeError(f"patch must be True or False, got {patch!r}")
    size = (shape[0], shape[1])
    space = "gray" if len(shape) == 2 else color_space
    chroma = size
    if space == "YCbCr":
        chroma = (
            resample.scaled_size(size[0], factors[0]),
            resample.scaled_size(size[1], factors[1]),
        )
    patches = (sides[0], sides[1]) if patch else None
    if patches:
        check_padding(size, patches, max_pixels)
    checks.one_of("upsampling", upsampling, container.UPSAMPLINGS)
    return Layout(size, space, chroma, patches, upsampling if space == "YCbCr" else "nearest")


def check_padding(size: tuple[int, int], patch_size: tuple[int, int], max_pixels: int) -> None:
    """Raise InputError if decoders with the same limit refuse the padding to whole patches."""
    if not padding_fits(size, patch_size, max_pixels):
        padded = padded_size(size, patch_size)
        raise InputError(
            f"patch_size {patch_size} pads the image of {size} pixels to {padded}, too many for "
            f"max_pixels {max_pixels}"
        )


def resolve_ranks(
    layout: Layout, rank: int | Sequence[int] | None, quality: float | Sequence[float] | None
) -> list[int]:
    """Return the rank of each matrix from ``rank`` or ``quality``.

    A quality q gives the rank max(round(min(M, N) q / 100), 1). A scalar is the value for luma, and
    chroma gets half of it; without chroma it is the value for every matrix.

    Args:
        layout: geometry of the image.
        rank: rank from 1 to min(M, N), a scalar or one per matrix.
        quality: quality from 0 to 100, a scalar or one per matrix.

    Raises:
        InputError: if both or neither of ``rank`` and ``quality`` are given, or a value is out of
            range.
        InputTypeError: if a value has a wrong type.
    """
    if (rank is None) == (quality is None):
        both = "both" if rank is not None else "neither"
        raise InputError(f"exactly one of rank and quality must be given, got {both}")
    limits = [min(shape) for shape in layout.matrix_shapes]
    has_chroma = layout.color_space == "YCbCr"
    if quality is not None:
        qualities = _per_matrix("quality", quality, len(limits))
        if qualities is None:
            luma = checks.real("quality", quality, 0.0, 100.0)
            qualities = [luma] + [luma / 2 if has_chroma else luma] * (len(limits) - 1)
        qualities = [checks.real("quality", q, 0.0, 100.0) for q in qualities]
        return [max(round(n * q / 100), 1) for n, q in zip(limits, qualities, strict=True)]
    ranks = _per_matrix("rank", rank, len(limits))
    if ranks is None:
        luma = checks.integer("rank", rank, 1, limits[0])
        rest = max(luma // 2, 1) if has_chroma else luma
        return [luma, *(min(rest, limit) for limit in limits[1:])]
    return [checks.integer("rank", r, 1, n) for r, n in zip(ranks, limits, strict=True)]


def _pair(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)) or len(value) != 2:
        raise InputTypeError(f"{name} must be a pair, got {value!r}")
    return list(value)


def _per_matrix(name: str, value: Any, count: int) -> list[Any] | None:
    """Return a sequence of one value per matrix as a list, or None for a scalar."""
    if isinstance(value, (jax.Array, np.ndarray)):
        value = value.tolist()
    if isinstance(value, str) or not isinstance(value, Sequence):
        return None
    if len(value) != count:
        raise InputError(
            f"{name} must be a scalar or hold {count} values, one for each matrix, got {value!r}"
        )
    return list(value)
