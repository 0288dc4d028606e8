"""Time of the solvers over rank, matrix size and batch, beside what this machine needs at least.

    python -m benchmarks.solvers --data KODAK [--solvers imf,nmf,svd] [--json FILE] [--quick]

Matrices are luma patches: M x 64 of 8 x 8 pixels, M x 256 of 16 x 16, of one image or of several
below each other. A batch is one call with as many different images; where the folder has fewer than
24, they come again moved around by some pixels, so that all differ. IMF does ten sweeps, NMF
twenty, both from their default start, which is timed with them; the history keeps its two ends.

Times are medians of warm calls, those of the batches of one rank taken in turn; the first call less
the median is the compilation. The relative error is the mean over the batch. Floors are those of
``benchmarks.roofline``, with the rate of copies of one matrix of that size; a batch counts as often
as it has problems.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from benchmarks.costs import COSTS
from benchmarks.report import Timing, environment, geometric_mean, measure, write_json
from benchmarks.roofline import Ceilings, copy_rate, measure_ceilings
from benchmarks.workloads import RANKS, SOLVERS, Solver, luma_planes, relative_errors, sized_plane

BATCHES = (1, 4, 24)
SIZES = ((1536, 64), (24576, 64), (6144, 256))
"""Besides one image of Kodak's size, 6144 x 64, which the batches are of."""


def row_of(
    solver: Solver, x: Any, rank: int, timing: Timing, ceilings: Ceilings, errors: list[float]
) -> dict[str, Any]:
    """Return one row of JSON; ``x`` of shape (M, N) or (B, M, N)."""
    batch = x.shape[0] if x.ndim == 3 else 1
    cost = COSTS[solver.name](*x.shape[-2:], rank, solver.num_iters).times(batch)
    floor = ceilings.floor(cost)
    return {
        "benchmark": "solvers",
        "solver": solver.name,
        "rank": rank,
        "shape": list(x.shape[-2:]),
        "batch": batch,
        "num_iters": solver.num_iters,
        "dtype": str(x.dtype),
        **timing.row(),
        "quality": {"relative_error": float(np.mean(errors))},
        **asdict(cost),
        **ceilings.row(),
        "floor_s": floor,
        "ratio": timing.median / floor,
    }


def line_of(row: dict[str, Any]) -> str:
    """Return one line of the table."""
    shape = f"{row['shape'][0]} x {row['shape'][1]}"
    time, error = 1e3 * row["median_s"], row["quality"]["relative_error"]
    return (
        f"{row['solver']:<7}{shape:>12}{row['rank']:>5}{row['batch']:>6}{time:>10.2f}"
        f"{time / row['batch']:>13.2f}{row['compile_s']:>9.2f}{error:>11.5f}"
        f"{1e3 * row['floor_s']:>12.2f}{row['ratio']:>8.1f}"
    )


def groups(
    folder: Path, names: list[str], ranks: tuple[int, ...], batches: tuple[int, ...], sizes: Any
) -> Iterator[tuple[Solver, int, list[Any]]]:
    """Yield what is timed in turns: a solver, a rank, and matrices or batches of them."""
    planes = jnp.asarray(luma_planes(folder, max(batches)))
    stacks = [planes[0] if count == 1 else planes[:count] for count in batches]
    others = [jnp.asarray(sized_plane(folder, size)) for size in sizes]
    for name in names:
        for rank in ranks:
            yield SOLVERS[name], rank, stacks
            for x in others:
                yield SOLVERS[name], rank, [x]


def print_batches(rows: list[dict[str, Any]]) -> None:
    """Print the time of an image of a batch over that of a single solve."""
    single = {(r["solver"], r["rank"]): r for r in rows if r["batch"] == 1 and r["in_turns"]}
    print("\ntime of an image of a batch over that of a single solve, both measured in turns")
    ratios: dict[int, list[float]] = {}
    for row in rows:
        if row["batch"] > 1:
            alone = single[row["solver"], row["rank"]]["median_s"]
            ratio = row["median_s"] / row["batch"] / alone
            ratios.setdefault(row["batch"], []).append(ratio)
            print(f"  {row['solver']}, rank {row['rank']}, batch {row['batch']}: {ratio:.2f}")
    for batch, values in ratios.items():
        print(f"  geometric mean, batch {batch}: {geometric_mean(values):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--solvers", default=",".join(SOLVERS), help="some of imf,nmf,svd")
    parser.add_argument("--ranks", default=",".join(map(str, RANKS)), help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument("--quick", action="store_true", help="a few small cases, to try it")
    options = parser.parse_args()
    names = options.solvers.split(",")
    if unknown := set(names) - set(SOLVERS):
        parser.error(f"--solvers has no {', '.join(sorted(unknown))}")

    ranks = tuple(int(rank) for rank in options.ranks.split(","))
    batches, sizes, repeats = BATCHES, SIZES, options.repeats
    if options.quick:
        ranks, batches, sizes, repeats = (4, 16), (1, 2), ((1536, 64),), 2
    print(environment())
    own_size = luma_planes(options.data, 1).nbytes
    ceilings = measure_ceilings(own_size)
    print(ceilings.describe() + "\n")
    of_size = {own_size: ceilings}
    print(
        f"{'solver':<7}{'X':>12}{'rank':>5}{'batch':>6}{'time (ms)':>10}{'ms an image':>13}"
        f"{'compile':>9}{'rel. error':>11}{'floor (ms)':>12}{'ratio':>8}"
    )
    rows = []
    plan = list(groups(options.data, names, ranks, batches, sizes))
    for solver, rank, stacks in tqdm(plan, leave=False):
        calls = {k: partial(solver.solve, x, rank) for k, x in enumerate(stacks)}
        for k, timing in measure(calls, repeats).items():
            x, errors = stacks[k], relative_errors(calls[k]())
            num_bytes = x.nbytes // (x.shape[0] if x.ndim == 3 else 1)
            if num_bytes not in of_size:
                of_size[num_bytes] = replace(ceilings, near=copy_rate(num_bytes))
            row = row_of(solver, x, rank, timing, of_size[num_bytes], errors)
            rows.append(row | {"in_turns": len(stacks) > 1})
            tqdm.write(line_of(row))
    print_batches(rows)
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
