"""Time of NMF to the objective of scikit-learn's coordinate descent.

python -m benchmarks.nmf_speed --data KODAK
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, is_installed, run
from benchmarks.report import geometric_mean, images
from benchmarks.report import measure as time_calls
from benchmarks.workloads import luma_of
from lrfjax.evaluation.page import table

ABOUT = """\
Luma of the first images. scikit-learn does 200 iterations of coordinate descent from its NNDSVD
start and never stops early. `nmf` starts from its own NNDSVD. The benchmark first finds the number
of sweeps after which `nmf` is at least as low, in float64 from its factors, and then times exactly
these sweeps, start included, history left out. "Objective" is lrfjax's over scikit-learn's. Ratios
are scikit-learn's time over lrfjax's. Plain HALS does one pass a sweep and does not extrapolate."""

RANKS: tuple[int, ...] = (8, 16, 32)
PEER_ITERS, MAX_SWEEPS = 200, 400
VARIANTS: dict[str, dict[str, Any]] = {
    "nmf": {},
    "plain HALS": {"method": lrfjax.BCD()},
}


def peer(x: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of scikit-learn."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(rank, init="nndsvd", solver="cd", max_iter=PEER_ITERS, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        u = model.fit_transform(x)
    return u, model.components_.T


def objective(x: np.ndarray, u: Any, v: Any) -> float:
    """Return ||X - U V^T||_F^2 in float64."""
    u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
    return float(((x - u @ v.T) ** 2).sum())


def sweeps_needed(x: np.ndarray, rank: int, goal: float, settings: dict[str, Any]) -> int | None:
    """Return the number of sweeps of ``nmf`` to an objective; None beyond ``MAX_SWEEPS``."""
    result = lrfjax.nmf(x, rank, num_iters=MAX_SWEEPS, record=("factors",), **settings)
    # The float32 history points to the neighbourhood; the factors there decide.
    near = int(np.argmax(np.asarray(result.history.objective) <= goal * 1.001))
    factors = result.history.factors
    assert factors is not None
    for sweep in range(near, MAX_SWEEPS + 1):
        if objective(x, factors.u[sweep], factors.v[sweep]) <= goal:
            return sweep
    return None


def compare(path: Path, x: np.ndarray, rank: int, repeats: int) -> list[Row]:
    """Return a row for each variant on one matrix."""
    goal = objective(x, *peer(x, rank))
    calls: dict[str, Any] = {"peer": lambda: peer(x, rank)}
    sweeps = {name: sweeps_needed(x, rank, goal, more) for name, more in VARIANTS.items()}
    for name, count in sweeps.items():
        if count is not None:
            exact = {"num_iters": count, "record_every": max(count, 1), **VARIANTS[name]}
            calls[name] = lambda exact=exact: lrfjax.nmf(x, rank, **exact)
    timings = time_calls(calls, repeats)
    rows: list[Row] = []
    for name, count in sweeps.items():
        row: Row = {
            "variant": name,
            "image": path.stem,
            "rank": rank,
            "shape": x.shape,
            "peer_num_iters": PEER_ITERS,
            "peer_median_s": timings["peer"].median,
            "num_iters": count,
        }
        if count is not None:
            factors = calls[name]().factors
            row |= {
                **timings[name].row(),
                "peer_over_lrfjax": timings["peer"].median / timings[name].median,
                "objective_over_peer": objective(x, factors.u, factors.v) / goal,
            }
        rows.append(row)
    return rows


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each image, rank and variant."""
    if not is_installed("scikit-learn"):
        return []
    count, ranks, repeats = options.images, RANKS, options.repeats
    if options.quick:
        count, ranks, repeats = 1, (4,), 1
    cases = [(path, rank) for path in images(options.data)[:count] for rank in ranks]
    rows: list[Row] = []
    for path, rank in tqdm(cases, leave=False):
        rows += compare(path, luma_of(path), rank, repeats)
    return rows


def show(rows: Rows) -> str:
    """Return times, sweeps and ratios by image and rank, and their means."""
    if not rows:
        return "Nothing was measured: scikit-learn is not installed."
    lines = []
    for (image, rank), found in group(rows, "image", "rank").items():
        line = [image, str(rank), f"{1e3 * found[0]['peer_median_s']:.1f}"]
        for row in found:
            if row["num_iters"] is None:
                line += ["", f"over {MAX_SWEEPS}", "", ""]
            else:
                line += [
                    f"{1e3 * row['median_s']:.1f}",
                    str(row["num_iters"]),
                    f"{row['peer_over_lrfjax']:.1f}",
                    f"{row['objective_over_peer']:.4f}",
                ]
        lines.append(line)
    heads = ["image", "rank", "scikit-learn (ms)"]
    for name in VARIANTS:
        heads += [f"{name} (ms)", "sweeps", "ratio", "objective"]
    means = []
    for (name,), found in group(rows, "variant").items():
        ratios = [row["peer_over_lrfjax"] for row in found if row["num_iters"] is not None]
        if ratios:
            means.append(f"{name} {geometric_mean(ratios):.1f}")
    times = [row["compile_s"] for row in rows if row["num_iters"] is not None]
    parts = [table(heads, lines)]
    if times:
        parts.append(
            f"Geometric means of the ratios: {', '.join(means)}. Compilation takes "
            f"{np.median(times):.1f} s (median) for each number of sweeps and rank."
        )
    if len(times) < len(rows):
        parts.append(f"Blank: {MAX_SWEEPS} sweeps do not reach scikit-learn's objective.")
    return "\n\n".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of images and repeats."""
    parser.add_argument("--images", type=int, default=3, help="number of images")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each program")


BENCHMARK = Benchmark("nmf_speed", ABOUT, measure, show, add_arguments, packages=("scikit-learn",))

if __name__ == "__main__":
    run(BENCHMARK)
