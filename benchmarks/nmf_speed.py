"""NMF against scikit-learn's coordinate descent: time to the objective that it has at the end.

    python -m benchmarks.nmf_speed --data KODAK [--json FILE]

Luma patches of the first three images, ranks 8, 16 and 32. scikit-learn does 200 iterations from
NNDSVD without stopping early. lrfjax, from its own NNDSVD, is first asked how many sweeps it needs
to get at least as low, in float64 from its factors; then exactly that many are timed, start
included and history left out. Accelerated HALS is the default of ``nmf``; plain HALS beside it does
one pass and does not extrapolate. Needs the extra ``benchmarks``.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

import lrfjax
from benchmarks.convergence import luma_of
from benchmarks.report import (
    alternate,
    environment,
    geometric_mean,
    images,
    seconds,
    write_json,
)

RANKS = (8, 16, 32)
MAX_SWEEPS = 400
VARIANTS: dict[str, dict[str, Any]] = {
    "accelerated": {},
    "plain": {"accelerate": False, "num_passes": 1},
}


def peer(x: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of scikit-learn after 200 iterations."""
    model = NMF(rank, init="nndsvd", solver="cd", max_iter=200, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        u = model.fit_transform(x)
    return u, model.components_.T


def objective(x: np.ndarray, u: Any, v: Any) -> float:
    u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
    return float(((x - u @ v.T) ** 2).sum())


def sweeps_needed(x: np.ndarray, rank: int, goal: float, settings: dict[str, Any]) -> int:
    """Return how many sweeps it takes to get down to an objective."""
    result = lrfjax.nmf(x, rank, num_iters=MAX_SWEEPS, record=("factors",), **settings)
    # The history points to the neighbourhood; the factors there decide, in float64.
    near = int(np.argmax(np.asarray(result.history.objective) <= goal * 1.001))
    factors = result.history.factors
    for sweep in range(near, MAX_SWEEPS + 1):
        if objective(x, factors.u[sweep], factors.v[sweep]) <= goal:
            return sweep
    raise SystemExit(f"{MAX_SWEEPS} sweeps do not reach the objective {goal:g} at rank {rank}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()

    print(environment("scikit-learn"))
    print("medians in ms; ratios of scikit-learn's time to lrfjax's\n")
    heads = "".join(f"{name:>14}{'sweeps':>8}{'ratio':>7}{'objective':>11}" for name in VARIANTS)
    print(f"{'image':<10}{'rank':>5}{'scikit-learn':>14}{heads}")
    ratios: dict[str, list[float]] = {name: [] for name in VARIANTS}
    compile_times, rows = [], []
    for path in images(options.data)[:3]:
        x = luma_of(path)
        for rank in RANKS:
            goal = objective(x, *peer(x, rank))
            calls: dict[str, Any] = {"peer": lambda x=x, rank=rank: peer(x, rank)}
            sweeps, reached = {}, {}
            for name, settings in VARIANTS.items():
                sweeps[name] = sweeps_needed(x, rank, goal, settings)
                exact = {"num_iters": sweeps[name], "record_every": sweeps[name], **settings}
                calls[name] = lambda x=x, rank=rank, exact=exact: lrfjax.nmf(x, rank, **exact)
                compile_times.append(seconds(calls[name]))
                factors = calls[name]().factors
                reached[name] = objective(x, factors.u, factors.v) / goal
            times = alternate(calls, options.repeats)
            row = f"{path.stem:<10}{rank:>5}{1e3 * times['peer']:>14.1f}"
            for name in VARIANTS:
                ratios[name].append(times["peer"] / times[name])
                row += (
                    f"{1e3 * times[name]:>14.1f}{sweeps[name]:>8}{ratios[name][-1]:>7.1f}"
                    f"{reached[name]:>11.4f}"
                )
                rows.append(
                    {
                        "benchmark": "nmf_speed",
                        "solver": "nmf",
                        "variant": name,
                        "peer": "scikit-learn, coordinate descent",
                        "image": path.stem,
                        "rank": rank,
                        "shape": list(x.shape),
                        "batch": 1,
                        "num_iters": sweeps[name],
                        "dtype": str(x.dtype),
                        "median_s": times[name],
                        "peer_median_s": times["peer"],
                        "peer_over_lrfjax": ratios[name][-1],
                        "quality": {"objective_over_peer": reached[name]},
                    }
                )
            print(row, flush=True)
    means = ", ".join(f"{name} {geometric_mean(values):.1f}" for name, values in ratios.items())
    print(f"\ngeometric means of the ratios: {means}")
    print(f"compilation: median {np.median(compile_times):.1f} s a number of sweeps and rank")
    if options.json:
        write_json(options.json, rows, "scikit-learn")


if __name__ == "__main__":
    main()
