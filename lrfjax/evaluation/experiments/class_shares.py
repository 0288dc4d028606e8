"""Shares of recognised images at common rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrfjax.evaluation.dataset import Item
from lrfjax.evaluation.experiments.class_rows import ClassRow, Key, row_key

RATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
METRICS = ("top-1", "top-5")


@dataclass(frozen=True, eq=False)
class Shares:
    """Whether each image is recognised at each rate.

    Attributes:
        hits: shape (images, rates), 1 or 0; NaN if an image has no file up to the rate.
    """

    hits: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """The number of images that reach each rate, shape (rates,)."""
        return np.isfinite(self.hits).sum(axis=0)

    @property
    def mean(self) -> np.ndarray:
        """The recognised share of these images, shape (rates,); NaN without images."""
        total = np.nansum(self.hits, axis=0)
        return np.where(self.count > 0, total / np.maximum(self.count, 1), np.nan)

    @property
    def standard_error(self) -> np.ndarray:
        """The standard error of the mean (ddof 1), shape (rates,); NaN for fewer than 2 images."""
        n = self.count
        squares = np.nansum((self.hits - self.mean) ** 2, axis=0)
        return np.where(n > 1, np.sqrt(squares / np.maximum(n * (n - 1), 1)), np.nan)


def count(
    truth: Mapping[Item, int],
    rows: Mapping[Key, ClassRow],
    levels: Mapping[str, Sequence[float]],
    names: Sequence[str],
    metric: str,
) -> dict[str, Shares]:
    """Return, for each codec, which images are classified correctly.

    Args:
        truth: correct class of each image.
        rows: predictions by key.
        levels: levels of each codec; rows of other levels are ignored.
        names: names of the codecs.
        metric: ``"top-1"`` or ``"top-5"``.
    """
    k = {"top-1": 1, "top-5": 5}[metric]
    shares = {}
    for name in names:
        hits = []
        for item, answer in truth.items():
            own = filter(None, (rows.get(row_key(item, name, level)) for level in levels[name]))
            hits.append(at_rates([(row.bpp, float(answer in row.classes[:k])) for row in own]))
        shares[name] = Shares(np.array(hits).reshape(-1, len(RATES)))
    return shares


def at_rates(points: Iterable[tuple[float, float]]) -> np.ndarray:
    """Return, for each of ``RATES``, the value at the largest rate not above it; NaN without one.

    Example:
        >>> at_rates([(0.12, 0.0), (0.24, 1.0)])[:5].tolist()
        [nan, 0.0, 0.0, 1.0, 1.0]
    """
    found = np.full(len(RATES), np.nan)
    for rate, value in sorted(points, key=lambda point: point[0]):
        found[np.array(RATES) >= rate] = value
    return found
