"""A picture of integer matrix factorization on a photograph.

python -m benchmarks.overview --figures FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import lrfjax
from benchmarks.harness import Benchmark, Rows, run
from lrfjax.evaluation.page import table
from lrfjax.evaluation.sample import sample_image
from lrfjax.image.patches import patchify, unpatchify

ABOUT = """\
Luma of a crop of the sample photograph, one 8 x 8 patch a row of X. The picture shows the columns
of U as images (one pixel a patch) and the columns of V as 8 x 8 patterns; all entries are integers
from -16 to 15."""

SIDE, RANK = 8, 4


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each rank, and draw the picture of one of them."""
    size = 64 if options.quick else 256
    luma = sample_image()[40 : 40 + size, 150 : 150 + size, 1].astype(np.float32)
    x = patchify(luma[None], (SIDE, SIDE))
    rows = []
    for rank in (RANK,) if options.quick else (1, 2, RANK, 8, 16):
        result = lrfjax.imf(x, rank)
        error = float(result.history.relative_error[-1])
        rows.append({"rank": rank, "shape": x.shape, "relative_error": error})
        if rank == RANK and options.figures:
            figure = draw(luma, result.factors)
            figure.savefig(Path(options.figures) / "factorization.png", dpi=80)
            plt.close(figure)
    return rows


def draw(luma: np.ndarray, factors: lrfjax.Factors) -> Figure:
    """Return a picture of X, the columns of U and V as images, and U V^T.

    Args:
        luma: shape (H, W), gray levels.
        factors: of its patches.
    """
    height, width = luma.shape
    u, v = np.asarray(factors.u), np.asarray(factors.v)
    rank = u.shape[1]
    # Columns: X, a sign, pairs of U and V, a sign, the product.
    widths = [rank, 0.6, *[1] * rank, 0.6, rank]
    figure = plt.figure(figsize=(11.5, 3.9), layout="constrained")
    grid = figure.add_gridspec(2, len(widths), width_ratios=widths, height_ratios=(1, 1))
    fit = np.asarray(lrfjax.reconstruct(factors))
    whole = unpatchify(fit, (1, height, width), (SIDE, SIDE))[0]
    m, n = fit.shape
    _show(figure.add_subplot(grid[:, 0]), luma, f"X, {m} patches of {n} pixels", (0, 255))
    _sign(figure.add_subplot(grid[:, 1]), "≈")
    for r in range(rank):
        maps = u[:, r].reshape(height // SIDE, width // SIDE)
        ends = "columns of U" if r == 0 else ""
        _show(figure.add_subplot(grid[0, 2 + r]), maps, ends, (-16, 15))
        ends = "columns of V" if r == 0 else ""
        _show(figure.add_subplot(grid[1, 2 + r]), v[:, r].reshape(SIDE, SIDE), ends, (-16, 15))
    _sign(figure.add_subplot(grid[:, -2]), "=")
    _show(figure.add_subplot(grid[:, -1]), whole, rf"$U V^T$, rank {rank}", (0, 255))
    return figure


def _show(ax: Axes, image: np.ndarray, title: str, limits: tuple[float, float]) -> None:
    ax.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    ax.set_title(title, fontsize=12, loc="left")
    ax.set_xticks([])
    ax.set_yticks([])


def _sign(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, fontsize=26, ha="center", va="center")
    ax.axis("off")


def show(rows: Rows) -> str:
    """Return the relative error by rank."""
    heads = ["rank", "relative error of U V^T"]
    return table(heads, [[str(row["rank"]), f"{row['relative_error']:.4f}"] for row in rows])


BENCHMARK = Benchmark("overview", ABOUT, measure, show, folders=())

if __name__ == "__main__":
    run(BENCHMARK)
