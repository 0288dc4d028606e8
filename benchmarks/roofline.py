"""Distance of the solvers from the limits of the machine.

python -m benchmarks.roofline --data KODAK
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from tqdm import tqdm

from benchmarks.costs import COSTS, ITEM, Cost
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import geometric_mean, images, seconds
from benchmarks.report import measure as time_calls
from benchmarks.workloads import RANKS, SOLVERS, luma_of, relative_errors
from lrfjax.evaluation.page import table

ABOUT = """\
Luma of the first image. A floor is the larger of two times: the solver's flops at the rate of large
square matrix products, and its bytes at the rate of a copy of an array the size of X (Williams,
Waterman and Patterson, Roofline, Communications of the ACM 52, 2009). Both rates are measured in
the same run on all cores; `benchmarks/costs.py` counts flops and bytes. The products of a solve are
long and narrow, and much of the rest is no product. So time over floor is the distance from an
ideal, not a possible saving. IMF does 10 sweeps, NMF 20, start included."""

MATMUL_SIZES = (1024, 2048, 3072)
FAR_BYTES = 256 * 2**20
"""Size of an array far larger than X, whose copy is measured too."""


@dataclass(frozen=True)
class Ceilings:
    """Highest measured rates of a device, all its cores together.

    Attributes:
        flops: flops per second of the best of a few large float32 matrix products at full
            precision.
        near: bytes per second, read and written, of a copy the size of X.
        far: bytes per second, read and written, of a copy of ``FAR_BYTES``.
    """

    flops: float
    near: float
    far: float

    def floor(self, cost: Cost) -> float:
        """Return the least seconds of a solve at these rates, with the faster of both copies."""
        return max(cost.flops / self.flops, cost.bytes / max(self.near, self.far))

    def row(self) -> dict[str, float]:
        """Return the columns of a row of JSON."""
        return {f"ceiling_{name}": value for name, value in asdict(self).items()}


def describe(row: Row) -> str:
    """Return one sentence on the ceilings of a row."""
    flops, near, far = (row[f"ceiling_{name}"] / 1e9 for name in ("flops", "near", "far"))
    return (
        f"Ceilings: {flops:.0f} GFLOP/s (float32 product), {near:.1f} GB/s (copy the size of X), "
        f"{far:.1f} GB/s (copy far larger than X)."
    )


@partial(jax.jit, static_argnames="count")
def _copies(x: Array, count: int) -> Array:
    """Add 1 ``count`` times; each time reads and writes the array."""
    return lax.fori_loop(0, count, lambda _, y: lax.optimization_barrier(y + 1), x)


@jax.jit
def _product(a: Array) -> Array:
    return jnp.matmul(a, a, precision=lax.Precision.HIGHEST)


def _best(call: Callable[[], Any], repeats: int) -> float:
    seconds(call)
    return min(seconds(call) for _ in range(repeats))


def copy_rate(num_bytes: int, repeats: int = 5, moved_bytes: int = FAR_BYTES) -> float:
    """Return the rate of the fastest copy of an array, in bytes read and written per second.

    Args:
        num_bytes: size of the array.
        repeats: number of timed runs.
        moved_bytes: least number of bytes that a run reads; many make overheads negligible.
    """
    array = jnp.zeros(num_bytes // ITEM, jnp.float32)
    count = max(2 * moved_bytes // num_bytes, 8)
    return 2 * num_bytes * count / _best(lambda: _copies(array, count), repeats)


def measure_ceilings(
    num_bytes: int,
    device: jax.Device | None = None,
    repeats: int = 5,
    sizes: tuple[int, ...] = MATMUL_SIZES,
    far_bytes: int = FAR_BYTES,
) -> Ceilings:
    """Measure the highest rates of a device: the best of some repeats.

    Args:
        num_bytes: size of X; its copy stays in the caches if X does.
        device: device to measure; None stands for JAX's default device.
        repeats: number of runs of each product and copy.
        sizes: sides of the square matrices.
        far_bytes: size of the array of the far copy.
    """
    with jax.default_device(device):
        rates = []
        for size in sizes:
            square = jnp.ones((size, size), jnp.float32)
            time = _best(partial(_product, square), repeats)
            rates.append(2 * size**3 / time)
        near, far = (copy_rate(total, repeats, far_bytes) for total in (num_bytes, far_bytes))
    return Ceilings(max(rates), near, far)


def ceilings_of(num_bytes: int, quick: bool, device: jax.Device | None = None) -> Ceilings:
    """Return the ceilings of a device; of a trial run, rough ones within a fraction of a second."""
    if quick:
        return measure_ceilings(num_bytes, device, 1, (128,), FAR_BYTES // 64)
    return measure_ceilings(num_bytes, device)


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each solver and rank."""
    x = luma_of(images(options.data)[0])
    ceilings = ceilings_of(x.nbytes, options.quick)
    ranks, repeats = (RANKS[:1], 1) if options.quick else (RANKS, options.repeats)
    rows: list[Row] = []
    for solver in tqdm(SOLVERS.values(), leave=False):
        calls = {rank: partial(solver.solve, jnp.asarray(x), rank) for rank in ranks}
        for rank, timing in time_calls(calls, repeats).items():
            cost = COSTS[solver.name](x.shape[0], x.shape[1], rank, solver.num_iters)
            floor = ceilings.floor(cost)
            rows.append(
                {
                    "solver": solver.name,
                    "rank": rank,
                    "shape": x.shape,
                    "num_iters": solver.num_iters,
                    **timing.row(),
                    "relative_error": relative_errors(calls[rank]())[0],
                    **asdict(cost),
                    **ceilings.row(),
                    "floor_s": floor,
                    "over_floor": timing.median / floor,
                    "bound_by": "flops" if cost.flops / ceilings.flops >= floor else "bytes",
                }
            )
    return rows


def show(rows: Rows) -> str:
    """Return counts, floors and times by solver and rank."""
    lines = [
        [
            row["solver"],
            str(row["rank"]),
            f"{row['flops'] / 1e6:.1f}",
            f"{row['bytes'] / 1e6:.1f}",
            row["bound_by"],
            f"{1e3 * row['floor_s']:.2f}",
            f"{1e3 * row['median_s']:.2f}",
            f"{row['over_floor']:.1f}",
        ]
        for row in rows
    ]
    heads = ["solver", "rank", "Mflop", "MB", "bound by", "floor (ms)", "time (ms)", "time / floor"]
    means = ", ".join(
        f"{name} {geometric_mean([row['over_floor'] for row in found]):.1f}"
        for (name,), found in group(rows, "solver").items()
    )
    height, width = rows[0]["shape"]
    return "\n\n".join(
        [
            f"X is {height} x {width}. {describe(rows[0])}",
            table(heads, lines),
            f"Geometric means of time / floor: {means}.",
        ]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of repeats."""
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each solver")


BENCHMARK = Benchmark("roofline", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
