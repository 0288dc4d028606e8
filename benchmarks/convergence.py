"""Excess error and time of the starts, the scale, the restarts and the joint moves of IMF.

python -m benchmarks.convergence --data KODAK [--figures FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import alternate, geometric_mean, images
from benchmarks.workloads import luma_of
from lrfjax.evaluation.page import table

ABOUT = """\
The excess error is relative_error^2 - svd_bound^2 after ten sweeps within [-16, 15], where
svd_bound is the relative error of the SVD of the same rank. The table shows it as a share of that
of the published algorithm, `init="svd"`, as geometric means over the luma of all images; lower is
better. "Time" is a share of the published algorithm's time on the first image, a geometric mean
over the ranks. Rows that name a number of sweeps do that many instead of ten. The constants of the
starts were chosen on kodim01 to kodim12; the photographs are a check on other images."""

RANKS: tuple[int, ...] = (4, 8, 16, 32)
PUBLISHED = "published"
BOX = lrfjax.IntegerBox(-16, 15)
BALANCED: dict[str, Any] = {"model": lrfjax.Model(BOX, BOX), "start": "balanced"}
AFFINE = {
    "model": lrfjax.Model(BOX, BOX, fit_scale=True, fit_offset=True),
    "start": "balanced",
}
JOINT = {"method": lrfjax.BCD(joint_moves=True)}
VARIANTS: dict[str, dict[str, Any]] = {
    PUBLISHED: {**BALANCED, "start": "svd"},
    "balanced": BALANCED,
    "balanced, 8 starts": {**BALANCED, "num_restarts": 8},
    "balanced, joint moves": {**BALANCED, **JOINT},
    "affine": AFFINE,
    "affine, 3 starts": {**AFFINE, "num_restarts": 3},
    "affine, 8 starts": {**AFFINE, "num_restarts": 8},
    "affine, joint moves": {**AFFINE, **JOINT},
    "affine, 3 passes a sweep": {**AFFINE, "method": lrfjax.BCD(num_passes=3)},
    "affine, 100 sweeps": {**AFFINE, "num_iters": 100},
}
LONG_JOINT = {**AFFINE, **JOINT, "num_iters": 60}
SLOW_VARIANTS: dict[str, dict[str, Any]] = {
    "affine, joint moves, 60 sweeps": LONG_JOINT,
    "affine, joint moves, 60 sweeps, 8 starts": {**LONG_JOINT, "num_restarts": 8},
}
DRAWN = {
    PUBLISHED: "published start",
    "balanced": "balanced start",
    "affine": "balanced, with scale and offset",
    "affine, joint moves": "the same, with joint moves",
}
"""Labels of the variants in the figure."""


def solve(x: np.ndarray, rank: int, settings: dict[str, Any]) -> lrfjax.Result:
    """Return the result of a variant; the history keeps its two ends."""
    settings = {"num_iters": 10, **settings}
    return lrfjax.factorize(x, rank, record_every=settings["num_iters"], **settings)


def final_error(x: np.ndarray, rank: int, settings: dict[str, Any]) -> float:
    """Return the relative error at the end, in float64 from the factors."""
    factors = solve(x, rank, settings).factors
    u, v = np.asarray(factors.u, np.float64), np.asarray(factors.v, np.float64)
    scale = 1.0 if factors.scale is None else float(factors.scale)
    offset = 0.0 if factors.offset is None else float(factors.offset)
    return float(np.linalg.norm(x - scale * u @ v.T - offset) / np.linalg.norm(x.astype(float)))


def error_rows(
    matrices: dict[str, np.ndarray], ranks: tuple[int, ...], variants: dict[str, dict[str, Any]]
) -> list[Row]:
    """Return a row for each image, rank and variant."""
    rows: list[Row] = []
    with tqdm(total=len(matrices) * len(ranks) * len(variants), leave=False) as bar:
        for image, x in matrices.items():
            spectrum = np.linalg.svd(x.astype(np.float64), compute_uv=False) ** 2
            for rank in ranks:
                bound = float(np.sqrt(spectrum[rank:].sum() / spectrum.sum()))
                errors = {}
                for name, settings in variants.items():
                    errors[name] = final_error(x, rank, settings)
                    bar.update()
                published = errors[PUBLISHED] ** 2 - bound**2
                rows += [
                    {
                        "kind": "error",
                        "variant": name,
                        "image": image,
                        "rank": rank,
                        "relative_error": error,
                        "svd_bound": bound,
                        "excess_over_published": (error**2 - bound**2) / published,
                    }
                    for name, error in errors.items()
                ]
    return rows


def time_rows(
    x: np.ndarray, ranks: tuple[int, ...], variants: dict[str, dict[str, Any]], repeats: int
) -> list[Row]:
    """Return a row for each rank and variant: times in turns."""
    rows: list[Row] = []
    for rank in ranks:
        calls: dict[str, Callable[[], Any]] = {
            name: partial(solve, x, rank, settings) for name, settings in variants.items()
        }
        medians = alternate(calls, repeats)
        rows += [
            {
                "kind": "time",
                "variant": name,
                "rank": rank,
                "shape": x.shape,
                "median_s": median,
                "over_published": median / medians[PUBLISHED],
            }
            for name, median in medians.items()
        ]
    return rows


def draw(
    x: np.ndarray, rank: int, variants: dict[str, dict[str, Any]], repeats: int, target: Path
) -> list[Row]:
    """Draw the relative error over sweeps and over time; return a row for each curve."""
    rows: list[Row] = []
    results, times = {}, {}
    for name in [name for name in DRAWN if name in variants]:
        label, settings = DRAWN[name], variants[name]
        results[label] = lrfjax.factorize(x, rank, num_iters=30, **settings)

        def solve_for(n: int, settings: dict[str, Any] = settings) -> lrfjax.Result:
            return solve(x, rank, {**settings, "num_iters": n})

        row: Row = {"kind": "curve", "variant": name, "rank": rank}
        row["relative_errors"] = results[label].history.relative_error
        try:
            times[label] = lrfjax.time_sweeps(solve_for, 10, repeats=repeats)
            row |= {"start_s": times[label].start, "sweep_s": times[label].sweep}
        except lrfjax.InputError:  # The run ends before the last sweep, at a fixed point.
            row |= {"start_s": None, "sweep_s": None}
        rows.append(row)
    bound = float(lrfjax.svd(x, rank).history.relative_error[0])
    figure, axes = plt.subplots(1, 2, figsize=(10.4, 4.2), layout="constrained", sharey=True)
    lines = {f"SVD bound, rank {rank}": bound}
    lrfjax.plot_convergence(results, lines, axes[0])
    if times:
        timed = {label: results[label] for label in times}
        lrfjax.plot_convergence(timed, lines, axes[1], times=times)
        axes[1].set(ylabel=None, xscale="log")
        axes[1].get_legend().remove()
    axes[0].set_ylim(top=1.6 * bound, bottom=0.95 * bound)
    figure.savefig(target, dpi=100)
    plt.close(figure)
    return rows


def measure(options: argparse.Namespace) -> Rows:
    """Return the rows of the errors, the times and the curves."""
    paths, ranks, repeats = images(options.data), RANKS, options.repeats
    # The slow variants are too slow to time them in turns.
    variants = VARIANTS
    tried = VARIANTS | (SLOW_VARIANTS if options.slow else {})
    if options.quick:
        paths, ranks, repeats = paths[:1], (4,), 1
        variants = tried = {name: VARIANTS[name] for name in (PUBLISHED, "affine")}
    matrices = {path.stem: luma_of(path, options.crop) for path in paths}
    first = next(iter(matrices.values()))
    rows = error_rows(matrices, ranks, tried)
    rows += time_rows(first, ranks, variants, repeats)
    if options.figures:
        rank, target = (4 if options.quick else 16), options.figures / "excess.png"
        drawn = {PUBLISHED: variants[PUBLISHED]} if options.quick else variants
        rows += draw(first, rank, drawn, 2 * repeats, target)
    return rows


def show(rows: Rows) -> str:
    """Return mean shares of the excess error and of the time by variant."""
    kinds = group(rows, "kind")
    errors = kinds["error",]
    times = group(kinds["time",], "variant")
    ranks = list(dict.fromkeys(row["rank"] for row in errors))
    lines = []
    for (name,), found in group(errors, "variant").items():
        by_rank = [[r["excess_over_published"] for r in found if r["rank"] == k] for k in ranks]
        cells = [_mean(values) for values in by_rank]
        cells.append(_mean([row["excess_over_published"] for row in found]))
        ratios = [row["over_published"] for row in times.get((name,), [])]
        lines.append([name, *cells, f"{geometric_mean(ratios):.2f}" if ratios else ""])
    heads = ["variant", *(f"rank {rank}" for rank in ranks), "mean", "time"]
    count = len({row["image"] for row in errors})
    parts = [
        table(heads, lines),
        f'{count} {"image" if count == 1 else "images"}. Balanced is `init="balanced"`; affine is '
        "the same with `fit_scale` and `fit_offset`. Starts are `num_restarts`.",
    ]
    if any("below" in line for line in lines):
        parts.append("Below: the error of at least one image is at or below the SVD bound.")
    return "\n\n".join(parts)


def _mean(shares: list[float | None]) -> str:
    """Return the geometric mean of shares as text; an offset can end below the SVD bound."""
    values = [share for share in shares if share is not None and share > 0]
    return f"{geometric_mean(values):.3f}" if len(values) == len(shares) else "below"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the corner of the images, the slow variants and the number of repeats."""
    parser.add_argument(
        "--crop",
        type=int,
        nargs=2,
        metavar=("ROWS", "COLUMNS"),
        help="use only the upper left corner of each image; equal shapes compile once",
    )
    parser.add_argument("--slow", action="store_true", help="also run the slow variants")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each variant")


BENCHMARK = Benchmark("convergence", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
