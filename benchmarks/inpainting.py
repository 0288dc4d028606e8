"""How well the solvers fill in missing pixels of the sample photograph.

    python -m benchmarks.inpainting [--out PICTURE]

Errors are root mean squares over the missing pixels, in gray levels of 255; the mean of what is
known of each patch is what one would fill in without a factorization.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import lrfjax
from benchmarks.report import environment
from lrfjax.evaluation.sample import sample_image

RANK, SHARE, PENALTY, NUM_ITERS = 12, 0.3, 0.5, 20


def to_patches(image: np.ndarray) -> np.ndarray:
    rows, columns = image.shape[0] // 8, image.shape[1] // 8
    return image.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 64)


def from_patches(patches: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    rows, columns = shape[0] // 8, shape[1] // 8
    return patches.reshape(rows, columns, 8, 8).swapaxes(1, 2).reshape(shape)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="write a picture of what was filled in")
    options = parser.parse_args()

    luma = sample_image()[:512, :504, 1]
    patches = to_patches(luma).astype(np.float32)
    known = np.random.default_rng(0).random(patches.shape) > SHARE
    common = {"weights": known, "l2": PENALTY, "num_iters": NUM_ITERS}
    affine = {"init": "balanced", "fit_scale": True, "fit_offset": True}
    results = {
        "IMF": lrfjax.imf(patches, RANK, **common, **affine),
        "NMF": lrfjax.nmf(patches, RANK, **common),
        "real": lrfjax.factorize(patches, RANK, **common, init="balanced", fit_offset=True),
    }
    mean = np.nanmean(np.where(known, patches, np.nan), axis=1, keepdims=True)
    filled = {"mean of the patch": np.broadcast_to(mean, patches.shape)}
    for name, result in results.items():
        filled[name] = np.asarray(lrfjax.reconstruct(result.factors))
    print(environment())
    print(f"rank {RANK}, {SHARE:.0%} missing, l2 = {PENALTY}, {NUM_ITERS} sweeps")
    pictures = {"what is known": np.where(known, patches, 0)}
    for name, fit in filled.items():
        error = float(np.sqrt(((fit - patches)[~known] ** 2).mean()))
        print(f"  {name:<20}{error:6.1f} gray levels")
        pictures[f"{name}, {error:.1f} off"] = np.where(known, patches, fit)
    if options.out:
        pictures = {"original": patches, **pictures}
        chosen = [name for name in pictures if not name.startswith("real")]
        figure, axes = plt.subplots(1, len(chosen), figsize=(14.0, 3.1), layout="constrained")
        for ax, name in zip(axes, chosen, strict=True):
            whole = from_patches(pictures[name], luma.shape)
            image = np.clip(np.round(whole), 0, 255).astype(np.uint8)
            lrfjax.vis_image(image[100:340, 120:360], name, ax)
        figure.savefig(options.out, dpi=80)


if __name__ == "__main__":
    main()
