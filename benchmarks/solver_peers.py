"""NMF and SVD against other libraries: the same matrix, start and objective in the same run.

    python -m benchmarks.solver_peers --data KODAK [--ranks 8,16,32] [--json FILE] [--quick]

The luma of the first image. **NMF**: everyone sets off from one NNDSVD start, made beforehand (for
multiplicative updates, to which zeros are fixed, with zeros filled by a hundredth of the mean
entry). A peer does its iterations; ``lrfjax.nmf`` is then asked how many sweeps it needs to get at
least as low, in float64 from its factors, and exactly that many are timed, history left out. How
low that is, is said as the relative error: what is slow to converge is easy to catch up with, so
the error is to be read with the ratio. **SVD**: each its truncation, with the relative error.

Medians in ms, peer and lrfjax in turns. Needs the extra ``benchmarks``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks import peers
from benchmarks.nmf_speed import objective, sweeps_needed
from benchmarks.report import Timing, environment, geometric_mean, measure, write_json
from benchmarks.workloads import luma_planes

FILLING = 0.01
"""Of the mean entry of a factor, where multiplicative updates would be stuck at zero."""


def start_of(x: np.ndarray, rank: int, is_multiplicative: bool) -> lrfjax.Factors:
    """Return the NNDSVD start, float32."""
    factors = lrfjax.nmf(x, rank, num_iters=0, record=()).factors
    u, v = np.asarray(factors.u), np.asarray(factors.v)
    if is_multiplicative:
        u, v = (np.where(part > 0, part, FILLING * part.mean()) for part in (u, v))
    return lrfjax.Factors(u.astype(np.float32), v.astype(np.float32))


def compare(
    name: str, theirs: Callable[[], Any], ours: Callable[[], Any], repeats: int
) -> tuple[Timing, Timing]:
    """Return the times of both, in turns."""
    times = measure({name: theirs, "lrfjax": ours}, repeats)
    return times[name], times["lrfjax"]


def row_of(
    solver: str, peer: str, x: np.ndarray, rank: int, times: tuple[Timing, Timing], **more: Any
) -> dict[str, Any]:
    """Return one row of JSON: times of lrfjax, and those of the peer beside them."""
    theirs, ours = times
    return {
        "benchmark": "solver_peers",
        "solver": solver,
        "peer": peer,
        "rank": rank,
        "shape": list(x.shape),
        "batch": 1,
        "dtype": str(x.dtype),
        **ours.row(),
        "peer_median_s": theirs.median,
        "peer_min_s": theirs.least,
        "peer_over_lrfjax": theirs.median / ours.median,
        **more,
    }


def non_negative(x: np.ndarray, rank: int, name: str, repeats: int) -> dict[str, Any]:
    """Compare ``nmf`` with one peer."""
    peer = peers.NON_NEGATIVE[name]
    start = start_of(x, rank, peer.is_multiplicative)
    u, v = np.asarray(start.u), np.asarray(start.v)

    def theirs() -> Any:
        return peer.solve(x, u, v, peer.num_iters)

    goal = objective(x, *theirs())
    sweeps = sweeps_needed(x, rank, goal, {"init": start})
    exact = {"num_iters": sweeps, "record_every": max(sweeps, 1), "init": start}

    def ours() -> lrfjax.Result:
        return lrfjax.nmf(x, rank, **exact)

    times = compare(name, theirs, ours, repeats)
    factors, squared = ours().factors, float((x.astype(np.float64) ** 2).sum())
    return row_of(
        "nmf",
        name,
        x,
        rank,
        times,
        num_iters=sweeps,
        peer_num_iters=peer.num_iters,
        quality={
            "relative_error": (objective(x, factors.u, factors.v) / squared) ** 0.5,
            "peer_relative_error": (goal / squared) ** 0.5,
        },
    )


def singular(x: np.ndarray, rank: int, name: str, repeats: int) -> dict[str, Any]:
    """Compare ``svd`` with one peer."""
    peer = peers.SINGULAR[name]
    times = compare(name, lambda: peer(x, rank), lambda: lrfjax.svd(x, rank), repeats)
    norm, factors = float(np.linalg.norm(x.astype(np.float64))), lrfjax.svd(x, rank).factors
    return row_of(
        "svd",
        name,
        x,
        rank,
        times,
        quality={
            "relative_error": objective(x, factors.u, factors.v) ** 0.5 / norm,
            "peer_relative_error": objective(x, *peer(x, rank)) ** 0.5 / norm,
        },
    )


def line_of(row: dict[str, Any]) -> str:
    """Return one line of the table."""
    counts = f"{row.get('peer_num_iters', ''):>7}{row.get('num_iters', ''):>8}"
    quality = row["quality"]
    return (
        f"{row['solver']:<5}{row['peer']:<34}{row['rank']:>5}{counts}"
        f"{1e3 * row['peer_median_s']:>12.1f}{1e3 * row['median_s']:>9.1f}"
        f"{row['peer_over_lrfjax']:>8.1f}{quality['peer_relative_error']:>12.5f}"
        f"{quality['relative_error']:>10.5f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ranks", default="8,16,32")
    parser.add_argument("--solvers", default="nmf,svd")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument("--quick", action="store_true", help="rank 8 of few patches, to try it")
    options = parser.parse_args()

    x = luma_planes(options.data, 1)[0]
    ranks = [int(rank) for rank in options.ranks.split(",")]
    if options.quick:
        x, ranks, options.repeats = x[:512], [8], 1
    chosen = options.solvers.split(",")
    plan = [
        (non_negative, r, name) for r in ranks for name in peers.NON_NEGATIVE if "nmf" in chosen
    ]
    plan += [(singular, r, name) for r in ranks for name in peers.SINGULAR if "svd" in chosen]
    print(environment(*peers.PACKAGES))
    print(f"luma {x.shape[0]} x {x.shape[1]}, float32; ratios are the peer's time over lrfjax's\n")
    print(
        f"{'':<5}{'peer':<34}{'rank':>5}{'iters':>7}{'sweeps':>8}{'peer (ms)':>12}{'lrfjax':>9}"
        f"{'ratio':>8}{'rel. error':>12}{'lrfjax':>10}"
    )
    rows = []
    for measured, rank, name in tqdm(plan, leave=False):
        rows.append(measured(x, rank, name, options.repeats))
        tqdm.write(line_of(rows[-1]))
    print("\ngeometric means of the ratios over the ranks")
    for solver, name in dict.fromkeys((row["solver"], row["peer"]) for row in rows):
        ratios = [r["peer_over_lrfjax"] for r in rows if (r["solver"], r["peer"]) == (solver, name)]
        print(f"  {solver}, {name}: {geometric_mean(ratios):.1f}")
    if options.json:
        write_json(options.json, rows, *peers.PACKAGES)


if __name__ == "__main__":
    main()
