"""Time of the solvers over rank, matrix size and batch.

python -m benchmarks.solvers --data KODAK [--figures FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from benchmarks import plot
from benchmarks.costs import COSTS
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import Timing, geometric_mean, machine
from benchmarks.report import measure as time_calls
from benchmarks.roofline import Ceilings, ceilings_of, copy_rate, describe
from benchmarks.workloads import RANKS, SOLVERS, Solver, luma_planes, relative_errors, sized_plane
from lrfjax.evaluation.page import table

ABOUT = """\
Luma patches of one or more images: M x 64 from 8 x 8 pixels, M x 256 from 16 x 16. A batch is one
call with that many different images; if the folder has too few, shifted copies follow. IMF does 10
sweeps and NMF 20, from their default starts, start included; the history keeps its two ends. The
batches of one rank take turns, and their ratio is the time of an image of a batch over that of a
single solve. Floors are those of `benchmarks.roofline`, with the copy rate of each size."""

BATCHES: tuple[int, ...] = (1, 4, 24)
SIZES: tuple[tuple[int, int], ...] = ((1536, 64), (24576, 64), (6144, 256))
"""Shapes of single matrices, other than the shape of one image."""


def row_of(
    solver: Solver, x: Any, rank: int, timing: Timing, ceilings: Ceilings, errors: list[float]
) -> Row:
    """Return the row of one call; ``x`` has shape (M, N) or (B, M, N)."""
    batch = x.shape[0] if x.ndim == 3 else 1
    height, width = x.shape[-2:]
    cost = COSTS[solver.name](height, width, rank, solver.num_iters).times(batch)
    floor = ceilings.floor(cost)
    return {
        "solver": solver.name,
        "rank": rank,
        "shape": [height, width],
        "batch": batch,
        "num_iters": solver.num_iters,
        **timing.row(),
        "relative_error": float(np.mean(errors)),
        **asdict(cost),
        **ceilings.row(),
        "floor_s": floor,
        "over_floor": timing.median / floor,
    }


def plan(
    folder: Path,
    names: Sequence[str],
    ranks: Sequence[int],
    batches: Sequence[int],
    sizes: Sequence[tuple[int, int]],
) -> Iterator[tuple[Solver, int, list[Any]]]:
    """Yield a solver, a rank, and the matrices or batches that take turns."""
    planes = jnp.asarray(luma_planes(folder, max(batches)))
    stacks = [planes[0] if count == 1 else planes[:count] for count in batches]
    others = [jnp.asarray(sized_plane(folder, size)) for size in sizes]
    for name in names:
        for rank in ranks:
            yield SOLVERS[name], rank, stacks
            for x in others:
                yield SOLVERS[name], rank, [x]


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each solver, rank, and matrix or batch."""
    ranks, batches, sizes, repeats = options.ranks, BATCHES, SIZES, options.repeats
    if options.quick:
        ranks, batches, sizes, repeats = [4], (1, 2), (), 1
    own_size = luma_planes(options.data, 1).nbytes
    ceilings = ceilings_of(own_size, options.quick)
    of_size = {own_size: ceilings}
    rows: list[Row] = []
    cases = list(plan(options.data, options.solvers, ranks, batches, sizes))
    for solver, rank, stacks in tqdm(cases, leave=False):
        calls = {k: partial(solver.solve, x, rank) for k, x in enumerate(stacks)}
        for k, timing in time_calls(calls, repeats).items():
            x, errors = stacks[k], relative_errors(calls[k]())
            num_bytes = x.nbytes // (x.shape[0] if x.ndim == 3 else 1)
            if num_bytes not in of_size:
                of_size[num_bytes] = replace(ceilings, near=copy_rate(num_bytes))
            row = row_of(solver, x, rank, timing, of_size[num_bytes], errors)
            rows.append(row | {"in_turns": len(stacks) > 1})
    if options.figures:
        plot.solver_times(rows, machine(), options.figures / "solver_times.png")
    return rows


def show(rows: Rows) -> str:
    """Return the batches, then the single matrices of all sizes."""
    batched = [row for row in rows if row["in_turns"]]
    batches = list(dict.fromkeys(row["batch"] for row in batched if row["batch"] > 1))
    ratios: dict[int, list[float]] = {batch: [] for batch in batches}
    lines = []
    for (solver, rank), found in group(batched, "solver", "rank").items():
        by_batch = {row["batch"]: row for row in found}
        line = [solver, str(rank), f"{1e3 * by_batch[1]['median_s']:.2f}"]
        for batch in batches:
            time = by_batch[batch]["median_s"] / batch
            ratios[batch].append(time / by_batch[1]["median_s"])
            line += [f"{1e3 * time:.2f}", f"{ratios[batch][-1]:.2f}"]
        lines.append([*line, f"{by_batch[1]['relative_error']:.5f}"])
    heads = ["solver", "rank", "single (ms)"]
    for batch in batches:
        heads += [f"batch of {batch} (ms an image)", "ratio"]
    means = ", ".join(
        f"{geometric_mean(values):.2f} (batch of {batch})" for batch, values in ratios.items()
    )
    height, width = batched[0]["shape"]
    parts = [
        f"Images of one size, X {height} x {width}; the error is that of the single solve:",
        table([*heads, "relative error"], lines),
        f"Geometric means of the ratios: {means}.",
        *_sizes([row for row in rows if row["batch"] == 1]),
    ]
    most = max(row["compile_s"] for row in rows)
    parts.append(f"Compilation takes up to {most:.1f} s a program.")
    return "\n\n".join(parts)


def _sizes(rows: Rows) -> list[str]:
    """Return the parts on single matrices: times, with times over floors in brackets."""
    shapes = list(dict.fromkeys(tuple(row["shape"]) for row in rows))
    lines = []
    for (solver, rank), found in group(rows, "solver", "rank").items():
        by_shape = {
            tuple(row["shape"]): f"{1e3 * row['median_s']:.2f} ({row['over_floor']:.1f})"
            for row in found
        }
        lines.append([solver, str(rank), *(by_shape[shape] for shape in shapes)])
    heads = ["solver", "rank", *(f"{height} x {width}" for height, width in shapes)]
    return [
        "Single matrices by the size of X: time in ms, and time over floor in brackets. "
        + describe(rows[0]),
        table(heads, lines),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the solvers, the ranks and the number of repeats."""
    parser.add_argument(
        "--solvers", nargs="+", choices=list(SOLVERS), default=list(SOLVERS), help="solvers to time"
    )
    parser.add_argument("--ranks", nargs="+", type=int, default=list(RANKS), help="ranks to time")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each program")


BENCHMARK = Benchmark("solvers", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
