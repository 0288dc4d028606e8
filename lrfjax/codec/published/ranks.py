"""The rank of each matrix of an image, from one rank or quality or one of each matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lrfjax import checks
from lrfjax.codec.codec import Rate
from lrfjax.codec.published.layout import Layout
from lrfjax.errors import InputError


def resolve_ranks(layout: Layout, rate: Rate) -> list[int]:
    """Return the rank of each matrix from a rank or a quality.

    A quality q gives the rank max(round(min(M, N) q / 100), 1). A scalar is the value for luma, and
    chroma gets half of it; without chroma it is the value for every matrix (arXiv 2408.12691,
    section 4).

    Args:
        layout: geometry of the image.
        rate: a rank from 1 to min(M, N), or a quality from 0 to 100; a scalar or one per matrix.

    Raises:
        InputError: if a value is out of range, or the number of values is wrong.
        InputTypeError: if a value has a wrong type.
    """
    limits = [min(shape) for shape in layout.matrix_shapes]
    has_chroma = layout.color_space == "YCbCr"
    if rate.quality is not None:
        qualities = _per_matrix("quality", rate.quality, len(limits))
        if qualities is None:
            luma = checks.real("quality", rate.quality, 0.0, 100.0)
            qualities = [luma] + [luma / 2 if has_chroma else luma] * (len(limits) - 1)
        qualities = [checks.real("quality", q, 0.0, 100.0) for q in qualities]
        return [max(round(n * q / 100), 1) for n, q in zip(limits, qualities, strict=True)]
    ranks = _per_matrix("rank", rate.rank, len(limits))
    if ranks is None:
        luma = checks.integer("rank", rate.rank, 1, limits[0])
        rest = max(luma // 2, 1) if has_chroma else luma
        return [luma, *(min(rest, limit) for limit in limits[1:])]
    return [checks.integer("rank", r, 1, n) for r, n in zip(ranks, limits, strict=True)]


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
