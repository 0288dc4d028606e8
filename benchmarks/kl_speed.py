"""Time of KL-NMF to the objective of scikit-learn's multiplicative updates.

python -m benchmarks.kl_speed --data KODAK
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, is_installed, run
from benchmarks.report import geometric_mean, images
from benchmarks.report import measure as time_calls
from benchmarks.workloads import luma_of
from lrfjax.evaluation.page import table

ABOUT = """\
The Kullback-Leibler divergence on scikit-learn's digits (1797 x 64), a matrix of Poisson counts
(2000 x 500) and the luma patches of the first image. scikit-learn does 200 multiplicative updates
(`solver="mu", beta_loss="kullback-leibler"`) and never stops early. All start from the same random
factors. The benchmark first finds the number of sweeps after which lrfjax is at least as low, in
float64 from its factors, and then times exactly these sweeps, history left out. Ratios are
scikit-learn's time over lrfjax's. "Multiplicative" is the same method as scikit-learn's, run by
`nmf(..., method=Multiplicative())`."""

RANKS: tuple[int, ...] = (8, 16, 32)
PEER_ITERS, MAX_SWEEPS = 200, 260
TARGET = 5.0
"""Ratio that the geometric mean of the first method should reach."""
METHODS: dict[str, lrfjax.Method | None] = {
    "nmf": None,
    "multiplicative": lrfjax.Multiplicative(),
}

Pair = tuple[np.ndarray, np.ndarray]


def matrices(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return the matrices by name, float32."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    shape = (60, 20) if options.quick else (2000, 500)
    u, v = (rng.gamma(0.3, 1.0, (length, 12)) for length in shape)
    counts = {"counts": rng.poisson(u @ v.T).astype(np.float32)}
    if options.quick:
        return counts
    digits, luma = load_digits().data.astype(np.float32), luma_of(images(options.data)[0])
    return {"digits": digits, **counts, "luma": luma}


def start_of(x: np.ndarray, rank: int) -> Pair:
    """Return random positive factors whose product is about as large as X."""
    rng = np.random.default_rng(1)
    size = np.sqrt(x.mean() / rank)
    u, v = (np.abs(rng.normal(size=(length, rank))) * size + 1e-3 for length in x.shape)
    return u.astype(np.float32), v.astype(np.float32)


def peer(x: np.ndarray, start: Pair, num_iters: int) -> Pair:
    """Return the factors of scikit-learn."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    u, v = start
    model = NMF(
        u.shape[1], init="custom", solver="mu", beta_loss="kullback-leibler", max_iter=num_iters,
        tol=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        u = model.fit_transform(x, W=u.copy(), H=np.ascontiguousarray(v.T))
    return u, model.components_.T


def divergence(x: np.ndarray, u: Any, v: Any) -> float:
    """Return the Kullback-Leibler divergence in float64."""
    x = x.astype(np.float64)
    z = np.asarray(u, np.float64) @ np.asarray(v, np.float64).T
    # The least positive number keeps an entry finite where both are zero.
    ratio = np.where(x > 0, x, 1) / np.maximum(np.where(x > 0, z, 1), 1e-300)
    return float((x * np.log(ratio) - x + z).sum())


def solver(x: np.ndarray, start: Pair, method: Any) -> Callable[..., lrfjax.Result]:
    """Return a function of the number of sweeps."""
    init = lrfjax.Factors(jnp.asarray(start[0]), jnp.asarray(start[1]))

    def solve(num_iters: int, **options: Any) -> lrfjax.Result:
        return lrfjax.nmf(
            x, start[0].shape[1], loss=lrfjax.KullbackLeibler(), init=init,
            method=method, num_iters=num_iters, **options,
        )  # fmt: skip

    return solve


def sweeps_needed(x: np.ndarray, solve: Callable[..., lrfjax.Result], goal: float) -> int | None:
    """Return the number of sweeps to an objective; None beyond ``MAX_SWEEPS``."""
    history = solve(MAX_SWEEPS, record=("factors",)).history
    # The float32 history points to the neighbourhood; the factors there decide.
    near = int(np.argmax(np.asarray(history.objective) <= goal * 1.0005))
    factors = history.factors
    assert factors is not None
    u, v = np.asarray(factors.u), np.asarray(factors.v)
    for sweep in range(max(near, 1), MAX_SWEEPS + 1):
        if divergence(x, u[sweep], v[sweep]) <= goal * (1 + 1e-6):
            return sweep
    return None


def compare(name: str, x: np.ndarray, rank: int, options: argparse.Namespace) -> list[Row]:
    """Return a row for each method on one matrix."""
    num_iters = 5 if options.quick else PEER_ITERS
    start = start_of(x, rank)
    goal = divergence(x, *peer(x, start, num_iters))
    calls: dict[str, Any] = {"peer": lambda: peer(x, start, num_iters)}
    counts = {}
    for label, method in METHODS.items():
        solve = solver(x, start, method)
        counts[label] = sweeps_needed(x, solve, goal)
        if count := counts[label]:
            calls[label] = lambda s=solve, n=count: s(n, record=(), record_every=n)
    timings = time_calls(calls, 1 if options.quick else options.repeats)
    rows: list[Row] = []
    for label, count in counts.items():
        row: Row = {
            "method": label,
            "data": name,
            "shape": x.shape,
            "rank": rank,
            "peer_num_iters": num_iters,
            "peer_median_s": timings["peer"].median,
            "num_iters": count,
        }
        if count:
            factors = calls[label]().factors
            row |= {
                **timings[label].row(),
                "peer_over_lrfjax": timings["peer"].median / timings[label].median,
                "objective_over_peer": divergence(x, factors.u, factors.v) / goal,
            }
        rows.append(row)
    return rows


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each matrix, rank and method."""
    if not is_installed("scikit-learn"):
        return []
    ranks = (4,) if options.quick else RANKS
    cases = [(n, x, rank) for n, x in matrices(options).items() for rank in ranks]
    rows: list[Row] = []
    for name, x, rank in tqdm(cases, leave=False):
        rows += compare(name, x, rank, options)
    return rows


def show(rows: Rows) -> str:
    """Return times, sweeps and ratios by matrix and rank, and their means."""
    if not rows:
        return "Nothing was measured: scikit-learn is not installed."
    lines = []
    for (name, rank), found in group(rows, "data", "rank").items():
        line = [name, str(rank), f"{1e3 * found[0]['peer_median_s']:.0f}"]
        for row in found:
            if row["num_iters"] is None:
                line += ["", "", "", ""]
            else:
                line += [
                    f"{1e3 * row['median_s']:.0f}",
                    str(row["num_iters"]),
                    f"{row['peer_over_lrfjax']:.1f}",
                    f"{row['objective_over_peer']:.4f}",
                ]
        lines.append(line)
    heads = ["matrix", "rank", "scikit-learn (ms)"]
    for name in METHODS:
        heads += [f"{name} (ms)", "sweeps", "ratio", "objective"]
    means = []
    for (name,), found in group(rows, "method").items():
        ratios = [row["peer_over_lrfjax"] for row in found if row["num_iters"]]
        if ratios:
            means.append(f"{name} {geometric_mean(ratios):.1f}")
    for (rank,), found in group([r for r in rows if r["method"] == "nmf"], "rank").items():
        ratios = [row["peer_over_lrfjax"] for row in found if row["num_iters"]]
        if ratios:
            means.append(f"nmf at rank {rank} {geometric_mean(ratios):.1f}")
    text = f"Geometric means of the ratios: {', '.join(means)} (target for nmf: {TARGET:.0f})."
    if any(row["num_iters"] is None for row in rows):
        text += " Blank: scikit-learn's objective was not reached."
    return f"{table(heads, lines)}\n\n{text}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of repeats."""
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each program")


BENCHMARK = Benchmark("kl_speed", ABOUT, measure, show, add_arguments, packages=("scikit-learn",))

if __name__ == "__main__":
    run(BENCHMARK)
