"""Filling in missing pixels with weighted factorizations.

python -m benchmarks.inpainting [--figures FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import lrfjax
from benchmarks.harness import Benchmark, Rows, run
from lrfjax.evaluation.page import table
from lrfjax.evaluation.sample import sample_image

ABOUT = """\
The sample photograph with a random part of its pixels missing, in 8 x 8 patches. Missing pixels
have weight zero. Errors are root mean squares over the missing pixels, in gray levels of 255. The
mean of the known pixels of each patch is the baseline that needs no factorization."""

RANK, SHARE, PENALTY, NUM_ITERS = 12, 0.3, 0.5, 20
BASELINE = "mean of the patch"
REAL = "real factors"


def to_patches(image: np.ndarray) -> np.ndarray:
    """Return the 8 x 8 patches of an image as rows."""
    rows, columns = image.shape[0] // 8, image.shape[1] // 8
    return image.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 64)


def from_patches(patches: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the image of a shape from its patches."""
    rows, columns = shape[0] // 8, shape[1] // 8
    return patches.reshape(rows, columns, 8, 8).swapaxes(1, 2).reshape(shape)


def fill(patches: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
    """Return a fit of the patches for each method."""
    common: dict[str, Any] = {"weights": known, "num_iters": NUM_ITERS}
    integers, real = (
        lrfjax.FactorModel(entries, (lrfjax.L2(PENALTY),))
        for entries in (lrfjax.IntegerBox(-16, 15), lrfjax.Real())
    )
    affine = lrfjax.Model(integers, integers, fit_scale=True, fit_offset=True)
    centred = lrfjax.Model(real, real, fit_offset=True)
    results = {
        "IMF": lrfjax.factorize(patches, RANK, model=affine, start="balanced", **common),
        "NMF": lrfjax.nmf(patches, RANK, l2=PENALTY, **common),
        REAL: lrfjax.factorize(patches, RANK, model=centred, start="balanced", **common),
    }
    mean = np.nanmean(np.where(known, patches, np.nan), axis=1, keepdims=True)
    fits = {BASELINE: np.broadcast_to(mean, patches.shape)}
    for name, result in results.items():
        fits[name] = np.asarray(lrfjax.reconstruct(result.factors))
    return fits


def draw(pictures: dict[str, np.ndarray], shape: tuple[int, ...], target: Path) -> None:
    """Draw a part of each picture, given as patches, below its title."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(14.0, 3.1), layout="constrained")
    for ax, (title, patches) in zip(axes, pictures.items(), strict=True):
        image = np.clip(np.round(from_patches(patches, shape)), 0, 255).astype(np.uint8)
        part = image[100:340, 120:360] if min(shape) > 360 else image
        lrfjax.vis_image(part, title, ax)
    figure.savefig(target, dpi=80)
    plt.close(figure)


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each method."""
    luma = sample_image()[:512, :504, 1]
    if options.quick:
        luma = luma[200:264, 160:256]
    patches = to_patches(luma).astype(np.float32)
    known = np.random.default_rng(0).random(patches.shape) > SHARE
    rows = []
    pictures = {"original": patches, "known pixels": np.where(known, patches, 0)}
    for name, fit in fill(patches, known).items():
        error = float(np.sqrt(((fit - patches)[~known] ** 2).mean()))
        rows.append(
            {
                "method": name,
                "rank": None if name == BASELINE else RANK,
                "num_iters": None if name == BASELINE else NUM_ITERS,
                "l2": None if name == BASELINE else PENALTY,
                "shape": patches.shape,
                "missing_share": float((~known).mean()),
                "rms_error": error,
            }
        )
        if name != REAL:
            pictures[f"{name}, error {error:.1f}"] = np.where(known, patches, fit)
    if options.figures:
        draw(pictures, luma.shape, options.figures / "inpainting.png")
    return rows


def show(rows: Rows) -> str:
    """Return the error of each method."""
    lines = [[row["method"], f"{row['rms_error']:.1f}"] for row in rows]
    row = next(row for row in rows if row["rank"])
    text = (
        f"{row['missing_share']:.0%} of the pixels are missing; rank {row['rank']}, "
        f"{row['num_iters']} sweeps, `l2={row['l2']}`."
    )
    return "\n\n".join([table(["method", "error (gray levels)"], lines), text])


BENCHMARK = Benchmark("inpainting", ABOUT, measure, show, folders=())

if __name__ == "__main__":
    run(BENCHMARK)
