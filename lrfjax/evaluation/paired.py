"""Differences between codecs on the same images, and how certain they are.

Images differ more from each other than two codecs differ on one image. The standard error of a mean
over images is therefore no measure of the difference between two codecs; that of the mean
difference, image by image, is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrfjax.checks import one_of
from lrfjax.errors import InputError
from lrfjax.evaluation.mean_curves import (
    METRICS,
    Image,
    Mean,
    bd_table,
    by_image,
    check_one_codec,
    curve,
    interpolate,
    mean_of,
)
from lrfjax.evaluation.results import Row, by_method


@dataclass(frozen=True, eq=False)
class Difference:
    """One codec minus another, image by image.

    Attributes:
        images: names of the n images that both codecs have.
        values: shape (n,); NaN for an image on which one of the two has no value.
        lower_is_better: whether the codec is ahead where the difference is negative.
    """

    images: tuple[str, ...]
    values: np.ndarray
    lower_is_better: bool

    @property
    def mean(self) -> Mean:
        """The mean difference with its standard error, over the images that have one."""
        return mean_of(self.values)

    @property
    def is_complete(self) -> bool:
        """Whether there are images, and a value for each."""
        return bool(self.images) and not np.isnan(self.values).any()

    @property
    def num_ahead(self) -> int:
        """The number of images on which the codec is better than the other one."""
        return int(np.sum(self.values < 0 if self.lower_is_better else self.values > 0))


def bd_rate_differences(
    rows: Sequence[Row],
    reference: str,
    anchor: str = "jpeg",
    metric: str = "psnr_db",
    rates: tuple[float, float] = (0.1, 1.5),
) -> dict[str, Difference]:
    """Return the BD-rate of every codec minus that of a reference, in percentage points.

    Both BD-rates are against the anchor, see ``bd_table``; that of the anchor itself is 0.

    Args:
        rows: rows of several codecs, each with one set of parameters.
        reference: ``method`` of the rows to subtract.
        anchor: ``method`` of the rows that BD-rates compare with.
        metric: see ``bd_table``.
        rates: lowest and highest rate in bpp.

    Returns:
        A difference for each other codec, in order of first appearance. A negative one means that
        the codec needs fewer bits than the reference.

    Raises:
        InputError: if the reference has no rows, and as ``bd_table``.
    """
    methods = _methods(rows, reference)
    deltas = {
        name: dict(zip(by_image(methods[name]), found.bd_rate.tolist(), strict=True))
        for name, found in bd_table(rows, anchor, metric, rates).items()
    }
    deltas[anchor] = dict.fromkeys(by_image(methods[anchor]), 0.0)
    return {
        name: _minus(deltas[name], deltas[reference], lower_is_better=True)
        for name in methods
        if name != reference
    }


def quality_differences(
    rows: Sequence[Row],
    reference: str,
    at: Sequence[float],
    metric: str = "psnr_db",
    method: str = "pchip",
) -> dict[str, list[Difference]]:
    """Return the quality of every codec minus that of a reference, at given rates.

    Args:
        rows: rows of several codecs, each with one set of parameters.
        reference: ``method`` of the rows to subtract.
        at: rates in bpp, shape (n,).
        metric: see ``mean_curve``.
        method: interpolation of each image's curve, see ``interpolate``.

    Returns:
        For each other codec, in order of first appearance, a difference for each rate, in the unit
        of the metric. A positive one means that the codec is better. An image has NaN at a rate
        that one of its two curves does not cover.

    Raises:
        InputError: if the reference has no rows, a codec has several sets of parameters, or the
            metric or the method is unknown.
    """
    one_of("metric", metric, METRICS)
    values: dict[str, dict[Image, np.ndarray]] = {}
    for name, own in _methods(rows, reference).items():
        check_one_codec(own)
        values[name] = {
            image: interpolate(*curve(points, metric), at, method)
            for image, points in by_image(own).items()
        }
    return {
        name: [
            _minus(
                {image: found[k] for image, found in own.items()},
                {image: found[k] for image, found in values[reference].items()},
                lower_is_better=False,
            )
            for k in range(len(at))
        ]
        for name, own in values.items()
        if name != reference
    }


def _methods(rows: Sequence[Row], reference: str) -> dict[str, list[Row]]:
    methods = by_method(rows)
    if reference not in methods:
        raise InputError(f"reference {reference!r} is not among {sorted(methods)}")
    return methods


def _minus(
    values: Mapping[Image, float], others: Mapping[Image, float], lower_is_better: bool
) -> Difference:
    common = [image for image in values if image in others]
    differences = np.array([values[image] - others[image] for image in common], float)
    return Difference(tuple(name for name, _ in common), differences, lower_is_better)
