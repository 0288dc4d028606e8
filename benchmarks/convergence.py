"""How much lower the starts, the scale and the restarts take the IMF objective, and for what time.

    python -m benchmarks.convergence --data KODAK [--reference REFERENCE] [--out PICTURE]

Excess error is relative_error^2 - svd_bound^2 after the sweeps, given as a share of the published
solver's: of imf_objective.csv in REFERENCE where that is given, otherwise of ``init="svd"`` here.
Geometric means over the luma planes of all images. Times are medians in one run, on the first
image, without the history, as shares of the published algorithm's. Ten sweeps unless a row says
otherwise.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.report import alternate, environment, geometric_mean, images
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.settings import make_layout

RANKS = (4, 8, 16, 32)
AFFINE = {"init": "balanced", "fit_scale": True, "fit_offset": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "published start": {"init": "svd"},
    "balanced": {"init": "balanced"},
    "balanced, 8 starts": {"init": "balanced", "num_restarts": 8},
    "balanced, joint moves": {"init": "balanced", "joint_moves": True},
    "scale and offset": AFFINE,
    "the same, 3 starts": {**AFFINE, "num_restarts": 3},
    "the same, 8 starts": {**AFFINE, "num_restarts": 8},
    "the same, joint moves": {**AFFINE, "joint_moves": True},
    "the same, 3 passes a sweep": {**AFFINE, "num_passes": 3},
    "the same, 100 sweeps": {**AFFINE, "num_iters": 100},
}
SLOW_VARIANTS: dict[str, dict[str, Any]] = {
    "joint moves, 60 sweeps": {**AFFINE, "joint_moves": True, "num_iters": 60},
    "joint moves, 60 sweeps, 8 starts": {
        **AFFINE,
        "joint_moves": True,
        "num_iters": 60,
        "num_restarts": 8,
    },
}


def luma_of(path: Path, crop: tuple[int, int] | None = None) -> np.ndarray:
    """Return the luma patch matrix of an image file, or of its upper left corner."""
    image = lrfjax.read_image(path)
    if crop:
        image = image[: crop[0], : crop[1]]
    layout = make_layout(image.shape, "YCbCr", (0.5, 0.5), True, (8, 8))
    return np.asarray(to_matrices(image, layout=layout)[0])


def published(reference: Path) -> dict[tuple[str, int], float]:
    """Return the published relative error after ten sweeps, by image and rank."""
    with (reference / "imf_objective.csv").open() as file:
        return {
            (row["image"], int(row["rank"])): float(row["relative_error"])
            for row in csv.DictReader(file)
            if row["channel"] == "Y" and row["sweep"] == "10"
        }


def final_error(x: np.ndarray, rank: int, settings: dict[str, Any]) -> float:
    """Return the last relative error of one variant, evaluated in float64 from its factors."""
    settings = {"num_iters": 10, **settings}
    factors = lrfjax.imf(x, rank, record_every=settings["num_iters"], **settings).factors
    u, v = np.asarray(factors.u, np.float64), np.asarray(factors.v, np.float64)
    scale = 1.0 if factors.scale is None else float(factors.scale)
    offset = 0.0 if factors.offset is None else float(factors.offset)
    return float(np.linalg.norm(x - scale * u @ v.T - offset) / np.linalg.norm(x.astype(float)))


def draw(x: np.ndarray, rank: int, target: Path) -> None:
    """Draw the relative error over the sweeps of the single starts."""
    names = {
        "published start": "published start",
        "balanced": "balanced gauge",
        "scale and offset": "balanced, with scale and offset",
        "the same, joint moves": "the same, with joint moves",
    }
    results, times = {}, {}
    for name, label in names.items():
        settings = VARIANTS[name]
        results[label] = lrfjax.imf(x, rank, num_iters=30, **settings)

        def solve(n: int, settings: dict[str, Any] = settings) -> lrfjax.Result:
            return lrfjax.imf(x, rank, num_iters=n, record_every=n, **settings)

        times[label] = lrfjax.time_sweeps(solve, 4, repeats=15)
    bound = float(lrfjax.svd(x, rank).history.relative_error[0])
    figure, axes = plt.subplots(1, 2, figsize=(10.4, 4.2), layout="constrained", sharey=True)
    lines = {f"SVD bound, rank {rank}": bound}
    lrfjax.plot_convergence(results, lines, axes[0])
    lrfjax.plot_convergence(results, lines, axes[1], times=times)
    axes[0].set_ylim(top=1.6 * bound, bottom=0.95 * bound)
    axes[1].set(ylabel=None, xscale="log")
    axes[1].get_legend().remove()
    figure.savefig(target, dpi=100)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--out", type=Path, help="write a picture of the convergence")
    parser.add_argument(
        "--slow", action="store_true", help="how low it goes when time does not matter (minutes)"
    )
    parser.add_argument(
        "--crop",
        type=int,
        nargs=2,
        metavar=("ROWS", "COLUMNS"),
        help="keep that corner of each image, so that images of many sizes compile once",
    )
    options = parser.parse_args()

    paths = images(options.data)
    variants = VARIANTS | (SLOW_VARIANTS if options.slow else {})
    matrices = {path.stem: luma_of(path, options.crop) for path in paths}
    excess: dict[str, dict[int, list[float]]] = {name: {r: [] for r in RANKS} for name in variants}
    goal = published(options.reference) if options.reference else {}
    with tqdm(total=len(matrices) * len(RANKS) * len(variants), leave=False) as bar:
        for stem, x in matrices.items():
            spectrum = np.linalg.svd(x.astype(np.float64), compute_uv=False) ** 2
            for rank in RANKS:
                bound = spectrum[rank:].sum() / spectrum.sum()
                reference = goal.get((stem, rank)) or final_error(x, rank, {"init": "svd"})
                for name, settings in variants.items():
                    error = final_error(x, rank, settings)
                    excess[name][rank].append((error**2 - bound) / (reference**2 - bound))
                    bar.update()
    first = next(iter(matrices.values()))
    times: dict[str, list[float]] = {name: [] for name in variants}
    for rank in RANKS:
        calls = {
            name: lambda rank=rank, settings=variants[name]: lrfjax.imf(
                first, rank, record_every=settings.get("num_iters", 10), **settings
            )
            for name in VARIANTS
        }
        medians = alternate(calls, 7)
        for name in VARIANTS:
            times[name].append(medians[name] / medians["published start"])

    print(environment())
    print(f"excess error as a share of the published solver's, {len(matrices)} luma planes\n")
    heads = "".join(f"{f'rank {rank}':>9}" for rank in RANKS)
    print(f"{'':<32}{heads}{'mean':>9}{'time':>8}")
    for name, by_rank in excess.items():
        row = "".join(f"{geometric_mean(values):>9.3f}" for values in by_rank.values())
        mean = geometric_mean([value for values in by_rank.values() for value in values])
        time = f"{geometric_mean(times[name]):>8.2f}" if times[name] else f"{'-':>8}"
        print(f"{name:<32}{row}{mean:>9.3f}{time}")
    if options.out:
        draw(first, 16, options.out)


if __name__ == "__main__":
    main()
