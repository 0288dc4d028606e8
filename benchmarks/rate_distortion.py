"""Rate-distortion of the codecs against JPEG, JPEG 2000, WebP and AVIF, as Pillow writes them.

python -m benchmarks.rate_distortion --data KODAK
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.codecs import ANCHOR, Codec, ours, peers
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from lrfjax.evaluation.page import table
from lrfjax.evaluation.paired import Difference
from lrfjax.evaluation.rate_distortion import (
    least_margin,
    quality_at,
    restrict_rates,
    similarity_decibels,
)
from lrfjax.evaluation.report import difference_cell
from lrfjax.evaluation.styles import curve_styles, sparse

ABOUT = """\
Curves of PSNR over RGB, SSIM and MS-SSIM over the bit rate, for each image and codec. BD-rates are
against Pillow's JPEG with default settings, in percent (log-rate over quality by PCHIP); negative
numbers mean fewer bits. PSNR is compared from 0.1 to 1.5 bpp; SSIM and MS-SSIM are compared up to
1 bpp in decibels, -10 log10(1 - s). JPEG 2000 is irreversible, with a colour transform, which
Pillow leaves out by default; WebP has method 6 and AVIF speed 6; "tuned for PSNR" is AVIF with
`subsampling="4:4:4"` and `tune=psnr`. IMF, SVD and NMF share every stage but the factorization. The
DCT dictionary has a V that both sides know. A difference is the BD-rate of one codec minus that of
another, image by image, in percentage points: the mean with its standard error, and in brackets the
number of images on which the first one is ahead. A margin is the quality of a codec minus that of
JPEG at the same rate."""

SWEEP = (0.08, 1.7)
"""Rates over which the points are spread, in bpp; a little more than what is compared."""
PEER_POINTS = 16
METRICS = {"psnr_db": (0.1, 1.5), "ssim": (0.0, 1.0), "ms_ssim": (0.0, 1.0)}
"""The compared metrics, with the rates between which they are compared."""
DCT, TUNED = "DCT dictionary", "AVIF, tuned for PSNR"
PAIRS = (
    ("IMF", "SVD"),
    ("NMF", "SVD"),
    (DCT, "IMF"),
    (f"{DCT}, effort 3", DCT),
    (DCT, "WebP"),
    (DCT, "AVIF"),
    (DCT, TUNED),
    (f"{DCT}, effort 3", TUNED),
)
"""Codecs whose differences are told."""
NAMES = {"psnr_db": "PSNR", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}
_KEYS = {"bpp": "bit rate (bpp)", "psnr_db": "PSNR (dB)", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}

Curve = tuple[np.ndarray, np.ndarray]


def sweep(
    image: np.ndarray, codec: Codec, points: int, progress: Callable[[], Any]
) -> dict[str, list[float]]:
    """Return quality, rate and metrics of the points of a codec, spread over ``SWEEP``.

    After both ends and the middle of the qualities, each new point halves the interval over which
    the logarithm of the rate changes most.
    """
    rows: dict[float, dict[str, float]] = {}

    def measure_at(quality: float) -> None:
        row = lrfjax.eval_compression(
            image, codec.encode, codec.decode, warm_up=False, quality=quality
        )
        rows[quality] = {name: round(row[key], 6) for name, key in _KEYS.items()}
        progress()

    middle = codec.step * round((codec.lowest + 100) / 2 / codec.step)
    measure_at(codec.lowest)
    measure_at(middle)
    if rows[middle]["bpp"] < SWEEP[1]:  # otherwise the upper half lies outside the rates
        measure_at(100.0)
    for _ in range(points):
        tried = np.array(sorted(rows))
        rates = np.log(np.clip([rows[q]["bpp"] for q in tried], *SWEEP))
        gaps = np.where(np.diff(tried) >= 2 * codec.step, np.diff(rates), 0.0)
        widest = int(np.argmax(gaps))
        if gaps[widest] <= 0:
            break
        measure_at(codec.step * round(tried[widest : widest + 2].mean() / codec.step))
    order = sorted(rows)
    return {"quality": order, **{name: [rows[q][name] for q in order] for name in _KEYS}}


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each image and codec, with all points of its curve."""
    codecs = [lrfjax.find_codec(name) for name in options.methods]
    own = {codec.label: ours(codec) for codec in codecs}
    own |= {
        f"{lrfjax.DCTCodec.label}, effort {n}": ours(lrfjax.DCTCodec(effort=n))
        for n in options.effort
    }
    paths = images(options.data)[: 1 if options.quick else options.images]
    points = (2, 2) if options.quick else (options.points, PEER_POINTS)
    plan = {name: (codec, points[0]) for name, codec in own.items()}
    plan |= {name: (codec, points[1]) for name, codec in peers().items()}
    most = sum(3 + count for _, count in plan.values())  # points of one image
    rows: list[Row] = []
    with tqdm(total=len(paths) * most, leave=False) as bar:
        for number, path in enumerate(paths, 1):
            image = lrfjax.read_image(path)
            for name, (codec, count) in plan.items():
                bar.set_description(f"{path.stem} {name}")
                found = sweep(image, codec, count, bar.update)
                rows.append({"image": path.stem, "codec": name, "is_own": name in own, **found})
            bar.n = number * most  # some curves need fewer points
    if options.figures:
        draw(rows, options.figures / "rate_distortion_codecs.png")
    return rows


def curve(row: Row, metric: str) -> Curve:
    """Return the rates and finite values of a curve, similarities in decibels."""
    rates, values = np.array(row["bpp"]), np.array(row[metric], float)
    if metric != "psnr_db":
        values = similarity_decibels(values)
    return rates[np.isfinite(values)], values[np.isfinite(values)]


def by_image(rows: Rows) -> dict[str, dict[str, Row]]:
    """Return the rows by image and codec."""
    return {
        image: {row["codec"]: row for row in found}
        for (image,), found in group(rows, "image").items()
    }


def bd_rates(curves: Mapping[str, Row], name: str, metric: str) -> float:
    """Return the BD-rate of a codec against JPEG on one image, in percent."""
    parts = [restrict_rates(*curve(curves[n], metric), *METRICS[metric]) for n in (ANCHOR, name)]
    return lrfjax.bd_rate(*parts[0], *parts[1])


def show(rows: Rows) -> str:
    """Return mean BD-rates by metric and codec, their differences, and the least margins."""
    results = by_image(rows)
    names = [name for name in next(iter(results.values())) if name != ANCHOR]
    lines = []
    for metric, (low, high) in METRICS.items():
        between = f"{low:g} to {high:g} bpp" if low else f"up to {high:g} bpp"
        cells = []
        for name in names:
            values = [bd_rates(curves, name, metric) for curves in results.values()]
            is_known = np.isfinite(values).all()
            spread = f" ({min(values):+.0f} to {max(values):+.0f})" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):+.1f} %{spread}" if is_known else "")
        lines.append([f"{NAMES[metric]}, {between}", *cells])
    parts = [
        f"Mean BD-rates of {len(results)} images, with the least and the largest:"
        if len(results) > 1
        else "BD-rates of one image:",
        table(["", *names], lines),
    ]
    if lines := pair_lines(results):
        parts += ["Differences of BD-rates:", table(["", *NAMES.values()], lines)]
    lines = []
    for name in names:
        if not next(iter(results.values()))[name]["is_own"]:
            continue
        for metric in METRICS:
            if cells := margins(results, name, metric):
                lines.append([f"{name}, {NAMES[metric]}", *cells])
    heads = ["", "images ahead of JPEG at every rate", "least margin (dB)", "where"]
    if lines:
        parts += ["Margins over JPEG, at all rates that both reach:", table(heads, lines)]
    return "\n\n".join(parts)


def pair_lines(results: Mapping[str, Mapping[str, Row]]) -> list[list[str]]:
    """Return the differences of the ``PAIRS`` that were measured, by metric."""
    lines = []
    for pair in PAIRS:
        if not all(name in curves for curves in results.values() for name in pair):
            continue
        cells = []
        for metric in METRICS:
            own, other = (
                np.array([bd_rates(curves, name, metric) for curves in results.values()])
                for name in pair
            )
            difference = Difference(tuple(results), own - other, lower_is_better=True)
            cells.append(difference_cell(difference, 1))
        lines.append([" minus ".join(pair), *cells])
    return lines


def margins(results: Mapping[str, Mapping[str, Row]], name: str, metric: str) -> list[str]:
    """Return the cells on a codec's margins over JPEG; none if no image has a common rate."""
    found = {
        image: least_margin(
            *curve(curves[ANCHOR], metric), *curve(curves[name], metric), *METRICS[metric]
        )
        for image, curves in results.items()
    }
    found = {image: margin for image, margin in found.items() if np.isfinite(margin.least)}
    if not found:
        return []
    worst = min(found, key=lambda image: found[image].least)
    ahead = sum(margin.least >= 0 for margin in found.values())
    where = f"{worst} at {found[worst].rate:.2f} bpp"
    return [f"{ahead} of {len(found)}", f"{found[worst].least:+.2f}", where]


def draw(rows: Rows, target: Path) -> None:
    """Draw the mean over the images, at the rates that all of them reach."""
    results = by_image(rows)
    grid = np.geomspace(*METRICS["psnr_db"], 200)
    figure, axes = plt.subplots(1, 2, figsize=(10.4, 4.4), layout="constrained")
    names = list(next(iter(results.values())))
    for ax, metric in zip(axes, ("psnr_db", "ms_ssim"), strict=True):
        for name, style in curve_styles(names).items():
            values = [quality_at(*curve(curves[name], metric), grid) for curves in results.values()]
            ax.plot(grid, np.mean(values, axis=0), label=name, **sparse(style, grid.size))
        ax.set_xlabel("bit rate (bpp)")
        ax.set_xlim(0, grid[-1])
        ax.grid(alpha=0.3)
    count = len(results)
    axes[0].set_ylabel(f"PSNR over RGB (dB), mean of {count} image{'s' * (count > 1)}")
    axes[1].set_ylabel(r"MS-SSIM as $-10\,\log_{10}(1 - s)$ (dB)")
    axes[0].legend(frameon=False)
    figure.savefig(target, dpi=100)
    plt.close(figure)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the codecs of lrfjax, the number of images and the number of points."""
    parser.add_argument(
        "--methods", nargs="+", default=["dct", "imf", "svd"], help="codecs of lrfjax; nmf is slow"
    )
    parser.add_argument(
        "--effort", type=int, nargs="*", default=[3], help="further efforts of dct, a curve each"
    )
    parser.add_argument("--images", type=int, help="number of images from the first")
    parser.add_argument(
        "--points", type=int, default=9, help="points between the ends of own curves"
    )


BENCHMARK = Benchmark("rate_distortion", ABOUT, measure, show, add_arguments, packages=("pillow",))

if __name__ == "__main__":
    run(BENCHMARK)
