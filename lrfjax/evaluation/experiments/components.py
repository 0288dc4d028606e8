"""The factors of the paper's IMF as pictures, component by component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from lrfjax.codec.codec import Rate
from lrfjax.codec.codecs.paper_imf import PaperIMFCodec
from lrfjax.codec.decode import read_factors, render_learned
from lrfjax.codec.file.learned_header import LearnedHeader
from lrfjax.codec.published.layout import to_matrices
from lrfjax.codec.quantize import IntegerFactors
from lrfjax.evaluation import dataset
from lrfjax.evaluation.experiments.base import Experiment, Finding, Outcome, Request
from lrfjax.evaluation.page import table
from lrfjax.image.metrics import bits_per_pixel, psnr

QUALITY = 12
_CODEC = PaperIMFCodec()
COUNTS = (1, 2, 4, 8)
_NUM_SHOWN = 8
_PLANES = {"YCbCr": ("Y", "Cb", "Cr"), "gray": ("gray",)}
_WIDTH = 1.45


@dataclass(frozen=True, eq=False)
class Plane:
    """The factors of one plane.

    Attributes:
        name: name of the plane, such as ``"Cb"``.
        factors: U and V with X ~ U V^T.
        errors: ||X - U V^T|| / ||X|| of the first 0, 1, ... components, shape (R + 1,).
        grids: (rows, columns) of a column of U, and of V, as an image.
    """

    name: str
    factors: IntegerFactors
    errors: np.ndarray
    grids: tuple[tuple[int, int], tuple[int, int]]


def run(request: Request) -> Outcome:
    """Draw the factors of the first image, and its approximations by the first of them."""
    items = dataset.scan(request.data, lambda name, error: tqdm.write(f"skipped {name}: {error}"))
    item = items[0]
    image = dataset.load(item.path)
    data = _CODEC.encode(image, Rate(quality=QUALITY))
    contents = read_factors(data)
    header = contents.header
    assert isinstance(header, LearnedHeader)
    layout = header.layout
    planes = [
        Plane(name, factors, relative_errors(np.asarray(x), factors), grids)
        for name, factors, x, grids in zip(
            _PLANES[layout.color_space],
            contents.factors,
            to_matrices(image, layout=layout),
            layout.factor_grids,
            strict=True,
        )
    ]
    pictures = [
        (count, render_learned(header, [first_components(p.factors, count) for p in planes]))
        for count in COUNTS
    ]
    note = (
        f"{item.name} with the paper's settings at quality {QUALITY}: "
        f"{bits_per_pixel(image.shape, data):.3f} bpp. Relative error "
        "||X - U V^T|| / ||X|| of each plane in percent, by the number of components:"
    )
    most = max(len(p.errors) for p in planes)
    lines = [
        [p.name, *(f"{100 * e:.2f}" for e in p.errors[1:]), *[""] * (most - len(p.errors))]
        for p in planes
    ]
    return Outcome(
        "Components of IMF",
        [note, table(["plane", *map(str, range(1, most))], lines)],
        findings(planes),
        {"factors": _draw_factors(planes), "components": _draw_pictures(image, pictures)},
    )


def relative_errors(x: np.ndarray, factors: IntegerFactors) -> np.ndarray:
    """Return the relative error of the first 0 to R components, shape (R + 1,), float64.

    Args:
        x: matrix that was factorized, shape (M, N). A zero matrix has errors of 0.
        factors: factors of ``x``.
    """
    rest = x.astype(np.float64)
    norms = [np.linalg.norm(rest)]
    for u, v in zip(factors.u.T, factors.v.T, strict=True):
        rest = rest - float(factors.scale) * np.outer(u, v)
        norms.append(np.linalg.norm(rest))
    return np.array(norms) / (norms[0] or 1.0)


def first_components(factors: IntegerFactors, count: int) -> IntegerFactors:
    """Return factors of the same shape with all but the first columns of U zero."""
    u = factors.u.copy()
    u[:, count:] = 0
    return replace(factors, u=u)


def findings(planes: Sequence[Plane]) -> list[Finding]:
    """Return whether entries are integers within the bounds and each component helps."""
    low, high = _CODEC.bounds
    is_inside, spans = True, []
    for p in planes:
        for name, factor in (("U", p.factors.u), ("V", p.factors.v)):
            is_integer = np.issubdtype(factor.dtype, np.integer)
            is_inside &= bool(is_integer and factor.min() >= low and factor.max() <= high)
            spans.append(f"{name} of {p.name} {factor.min()} to {factor.max()}")
    claim = f"all entries are integers within [{low}, {high}]"
    found = [Finding(claim, is_inside, ", ".join(spans))]
    for p in planes:
        path = ", ".join(f"{100 * e:.2f}" for e in p.errors[1:])
        falls = bool((np.diff(p.errors) < 0).all())
        claim = f"the error of {p.name} falls with every component"
        found.append(Finding(claim, falls, f"relative error {path} %"))
    return found


def _draw_factors(planes: Sequence[Plane]) -> Figure:
    low, high = _CODEC.bounds
    limit = max(abs(low), abs(high))
    columns = min(max(p.factors.u.shape[1] for p in planes), _NUM_SHOWN)
    heights = [
        min(max(grid[0] / grid[1], 0.3), 1.6) for p in planes for grid in (p.grids[0], p.grids[1])
    ]
    figure, axes = plt.subplots(
        len(heights),
        columns,
        figsize=(_WIDTH * columns + 1.2, sum(_WIDTH * h + 0.22 for h in heights) + 0.3),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.flat:
        ax.set_axis_off()
    drawn = None
    for k, p in enumerate(planes):
        for row, name, factor, grid in (
            (axes[2 * k], "U", p.factors.u, p.grids[0]),
            (axes[2 * k + 1], "V", p.factors.v, p.grids[1]),
        ):
            for r, ax in enumerate(row[: factor.shape[1]]):
                drawn = ax.imshow(
                    factor[:, r].reshape(grid),
                    cmap="RdBu_r",
                    vmin=-limit,
                    vmax=limit,
                    interpolation="nearest",
                )
                ax.set_title(rf"{p.name}: ${name.lower()}_{{{r + 1}}}$", fontsize=8)
    assert drawn is not None
    bar = figure.colorbar(drawn, ax=axes, shrink=0.5, label="entry", ticks=[low, -8, 0, 8, high])
    bar.ax.set_ylim(low, high)
    return figure


def _draw_pictures(image: np.ndarray, pictures: Sequence[tuple[int, np.ndarray]]) -> Figure:
    shown = [
        (f"{n} component{'s' * (n > 1)}, {float(psnr(image, picture)):.2f} dB", picture)
        for n, picture in pictures
    ]
    shown.append(("original", image))
    height, width = image.shape[:2]
    figure, axes = plt.subplots(
        1,
        len(shown),
        figsize=(2.9 * len(shown), 2.9 * height / width + 0.35),
        layout="constrained",
    )
    for ax, (title, pixels) in zip(axes, shown, strict=True):
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        ax.set_title(title, fontsize=9)
        ax.set_axis_off()
    return figure


EXPERIMENT = Experiment("components", "the factors of the paper's IMF as pictures", run)
