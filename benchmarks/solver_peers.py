"""NMF and SVD against other libraries.

python -m benchmarks.solver_peers --data KODAK [--figures FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks import peers, plot
from benchmarks.harness import Benchmark, Row, Rows, group, is_installed, run
from benchmarks.nmf_speed import MAX_SWEEPS, objective, sweeps_needed
from benchmarks.report import Timing, geometric_mean, images, machine
from benchmarks.report import measure as time_calls
from benchmarks.workloads import luma_of
from lrfjax.evaluation.page import table

ABOUT = """\
Luma of the first image, float32, medians in ms. **NMF**: all programs start from the same NNDSVD
factors, computed beforehand; multiplicative updates cannot leave zero, so their start has zeros
filled with a hundredth of the factor's mean entry. The peer does its iterations, and `nmf` is timed
for the number of sweeps that bring it at least as low. Read a ratio together with the relative
error: it is easy to catch up with a peer that converges slowly. **SVD**: each program computes
factors of the same rank. Ratios are the peer's time over lrfjax's; below 1 the peer is faster."""

FILLING = 0.01
"""Share of a factor's mean entry that replaces its zeros for multiplicative updates."""


def start_of(x: np.ndarray, rank: int, is_multiplicative: bool) -> lrfjax.Factors:
    """Return the NNDSVD start, float32."""
    factors = lrfjax.nmf(x, rank, num_iters=0, record=()).factors
    u, v = np.asarray(factors.u), np.asarray(factors.v)
    if is_multiplicative:
        u, v = (np.where(part > 0, part, FILLING * part.mean()) for part in (u, v))
    return lrfjax.Factors(jnp.asarray(u, np.float32), jnp.asarray(v, np.float32))


def compare(
    theirs: Callable[[], Any], ours: Callable[[], Any], repeats: int
) -> tuple[Timing, Timing]:
    """Return the times of a peer and of lrfjax, in turns."""
    times = time_calls({"peer": theirs, "lrfjax": ours}, repeats)
    return times["peer"], times["lrfjax"]


def columns_of(theirs: Timing, ours: Timing) -> Row:
    """Return the columns of the times."""
    return {
        **ours.row(),
        "peer_median_s": theirs.median,
        "peer_min_s": theirs.least,
        "peer_over_lrfjax": theirs.median / ours.median,
    }


def non_negative(x: np.ndarray, rank: int, name: str, repeats: int) -> Row:
    """Return the row of ``nmf`` and one peer; without lrfjax's times if it does not get as low."""
    peer = peers.NON_NEGATIVE[name]
    start = start_of(x, rank, peer.is_multiplicative)
    u, v = np.asarray(start.u), np.asarray(start.v)

    def theirs() -> Any:
        return peer.solve(x, u, v, peer.num_iters)

    goal, squared = objective(x, *theirs()), float((x.astype(np.float64) ** 2).sum())
    sweeps = sweeps_needed(x, rank, goal, {"init": start})
    row = {
        "solver": "nmf",
        "peer": name,
        "rank": rank,
        "shape": x.shape,
        "peer_num_iters": peer.num_iters,
        "peer_relative_error": (goal / squared) ** 0.5,
        "num_iters": sweeps,
    }
    if sweeps is None:
        return row

    def ours() -> lrfjax.Result:
        return lrfjax.nmf(x, rank, num_iters=sweeps, record_every=max(sweeps, 1), init=start)

    times, factors = compare(theirs, ours, repeats), ours().factors
    error = (objective(x, factors.u, factors.v) / squared) ** 0.5
    return {**row, **columns_of(*times), "relative_error": error}


def singular(x: np.ndarray, rank: int, name: str, repeats: int) -> Row:
    """Return the row of ``svd`` and one peer."""
    peer = peers.SINGULAR[name]
    times = compare(lambda: peer.solve(x, rank), lambda: lrfjax.svd(x, rank), repeats)
    norm, factors = float(np.linalg.norm(x.astype(np.float64))), lrfjax.svd(x, rank).factors
    return {
        "solver": "svd",
        "peer": name,
        "rank": rank,
        "shape": x.shape,
        "peer_relative_error": objective(x, *peer.solve(x, rank)) ** 0.5 / norm,
        **columns_of(*times),
        "relative_error": objective(x, factors.u, factors.v) ** 0.5 / norm,
    }


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each solver, rank and installed peer."""
    x = luma_of(images(options.data)[0])
    ranks, repeats = ([4], 1) if options.quick else (options.ranks, options.repeats)
    cases: list[tuple[Callable[..., Row], int, str]] = []
    for compared, known in ((non_negative, peers.NON_NEGATIVE), (singular, peers.SINGULAR)):
        names = [name for name, peer in known.items() if is_installed(peer.package)]
        cases += [(compared, rank, name) for rank in ranks for name in names]
    rows = [compared(x, rank, name, repeats) for compared, rank, name in tqdm(cases, leave=False)]
    if options.figures:
        timed = [row for row in rows if _is_timed(row)]
        plot.solver_peers(timed, machine(), options.figures / "solver_peers.png")
    return rows


def show(rows: Rows) -> str:
    """Return a table for each solver, and the geometric means of the ratios."""
    height, width = rows[0]["shape"]
    parts = [f"X is {height} x {width}."]
    for (solver,), found in group(rows, "solver").items():
        heads = ["peer", "rank", "peer (ms)", "lrfjax (ms)", "ratio", "error", "lrfjax error"]
        if solver == "nmf":
            heads += ["iterations", "sweeps"]
        parts += [f"**{solver.upper()}**", table(heads, [_line(row) for row in found])]
        means = []
        for (peer,), timed in group([r for r in found if _is_timed(r)], "peer").items():
            mean = geometric_mean([row["peer_over_lrfjax"] for row in timed])
            means.append(f"{peer} {mean:.2f}")
        if means:
            parts.append(f"Geometric means of the ratios: {'; '.join(means)}.")
        if not all(map(_is_timed, found)):
            parts.append(f"Blank: {MAX_SWEEPS} sweeps of `nmf` do not reach the peer's objective.")
    return "\n\n".join(parts)


def _is_timed(row: Row) -> bool:
    """Return whether ``nmf`` reached the peer's objective, so that both were timed."""
    return "peer_over_lrfjax" in row


def _line(row: Row) -> list[str]:
    """Return the cells of a row; those that were not measured are blank."""
    line = [row["peer"], str(row["rank"])]
    if _is_timed(row):
        times = [f"{1e3 * row[name]:.1f}" for name in ("peer_median_s", "median_s")]
        ours = f"{row['relative_error']:.5f}"
        line += [
            *times,
            f"{row['peer_over_lrfjax']:.2f}",
            f"{row['peer_relative_error']:.5f}",
            ours,
        ]
    else:
        line += ["", "", "", f"{row['peer_relative_error']:.5f}", ""]
    if row["solver"] == "nmf":
        sweeps = f"over {MAX_SWEEPS}" if row["num_iters"] is None else str(row["num_iters"])
        line += [str(row["peer_num_iters"]), sweeps]
    return line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the ranks and the number of repeats."""
    parser.add_argument("--ranks", nargs="+", type=int, default=[8, 16, 32], help="ranks to time")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls of each program")


BENCHMARK = Benchmark("solver_peers", ABOUT, measure, show, add_arguments, packages=peers.PACKAGES)

if __name__ == "__main__":
    run(BENCHMARK)
