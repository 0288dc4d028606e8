"""What each part of the default codec is worth: BD-rates against JPEG with parts left out.

    python -m benchmarks.codec_ablation --data KODAK [--images N] [--rows N]

PSNR over RGB, log-rate by PCHIP, 0.1 to 1.5 bpp, mean over the images. Each row changes one thing
of the codec with ``effort=2``, so the rows do not add up.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.report import environment, images
from lrfjax.codec import container, dictionary_encode, tiles
from lrfjax.codec.entropy import magnitudes
from lrfjax.evaluation.rate_distortion import restrict_rates

STEPS = (9, 13, 20, 30, 45, 70, 110, 160)
"""In gray levels."""

JPEG_QUALITIES = (1, 4, 8, 12, 18, 25, 35, 50, 65, 78, 86, 92)


def round_with_dead_zone(
    targets: np.ndarray,
    classes: np.ndarray,
    bits: np.ndarray,
    lagrangian: float,
    skip: int = 0,
    price: np.ndarray | None = None,
) -> tuple[np.ndarray, float, float]:
    """Stand in for ``magnitudes.decide``: round down from 0.34 below the next integer."""
    values = np.floor(targets + 0.34).astype(np.int32) * (classes >= skip)
    values = np.minimum(values, magnitudes.MAX_ENTRY)
    return values, 0.0, float(np.sum(values * (2 * targets - values)))


@contextmanager
def nothing() -> Iterator[None]:
    """Change nothing."""
    yield


VARIANTS: dict[str, tuple[int, str, Any]] = {
    "effort 1: one dictionary, one pass": (1, "rotated", nothing),
    "effort 2 (default)": (2, "rotated", nothing),
    "effort 3: choice by cost, three passes": (3, "rotated", nothing),
    "without deblocking": (
        2,
        "rotated",
        lambda: mock.patch.object(dictionary_encode, "DEBLOCKING", 0),
    ),
    "without prices (one pass)": (
        2,
        "rotated",
        lambda: mock.patch.object(tiles, "rate_gradient", return_value=None),
    ),
    "dead zone instead of rate": (
        2,
        "rotated",
        lambda: mock.patch.object(magnitudes, "decide", round_with_dead_zone),
    ),
    "YCbCr instead of rotated": (2, "YCbCr", nothing),
    "RGB instead of rotated": (2, "RGB", nothing),
}


def jpeg_curve(image: np.ndarray) -> Any:
    """Return rates and PSNR of JPEG."""
    points = []
    for quality in JPEG_QUALITIES:
        data = lrfjax.pil_encode(image, "JPEG", quality=quality)
        decoded = lrfjax.pil_decode(data)
        points.append((lrfjax.bits_per_pixel(image.shape, data), lrfjax.psnr(image, decoded)))
    return restrict_rates(*zip(*points, strict=True), 0.1, 1.5)


def curve(image: np.ndarray, effort: int, color_space: str) -> Any:
    """Return rates and PSNR of the codec."""
    encoder = dictionary_encode.ImageEncoder(image, color_space, effort, None)
    points = []
    for step in STEPS:
        encoded = encoder.encode(16.0 * step)
        data = container.write(container.File(encoded.header, encoded.bodies))
        rate = lrfjax.bits_per_pixel(image.shape, data)
        points.append((rate, lrfjax.psnr(image, encoded.render())))
    return restrict_rates(*zip(*points, strict=True), 0.1, 1.5)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, help="take the first N only")
    parser.add_argument("--rows", type=int, help="print the first N rows only")
    options = parser.parse_args()
    variants = dict(list(VARIANTS.items())[: options.rows])
    found = images(options.data)[: options.images]
    rates: dict[str, list[float]] = {name: [] for name in variants}
    with tqdm(total=len(found) * len(variants), unit="curve") as bar:
        for path in found:
            image = lrfjax.read_image(path)
            anchor = jpeg_curve(image)
            for name, (effort, color_space, change) in variants.items():
                bar.set_postfix_str(f"{path.stem} {name}")
                with change():
                    rates[name].append(lrfjax.bd_rate(*anchor, *curve(image, effort, color_space)))
                bar.update()
    print(environment())
    print(f"BD-rate against JPEG (PSNR, PCHIP, 0.1 to 1.5 bpp), mean of {len(found)} images")
    for name, values in rates.items():
        print(f"{name:42s} {np.mean(values):+6.1f} %")


if __name__ == "__main__":
    main()
