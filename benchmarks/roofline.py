"""How long this machine needs at least for what the solvers must compute and move.

    python -m benchmarks.roofline --data KODAK [--json FILE]

A floor is the larger of flops over the rate of large square matrix products and bytes over the rate
of a copy of an array the size of X, both measured in the same run on all cores (Williams, Waterman
and Patterson, Roofline, Communications of the ACM 52, 2009). So where X fits the caches the copy is
one within them, and where it does not it is one of memory. The products of a solve are thinner than
square, and much of the rest is no product, so time over floor is the distance from an ideal, not a
share that could be saved. The luma of the first image, ranks 4 to 64. What is counted:
``benchmarks.costs``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from benchmarks.costs import COSTS, ITEM, Cost
from benchmarks.report import environment, measure, seconds, write_json
from benchmarks.workloads import RANKS, SOLVERS, luma_planes, relative_errors

MATMUL_SIZES = (1024, 2048, 3072)
FAR_BYTES = 256 * 2**20
"""Of a copy that is far larger than X, to tell beside it."""


@dataclass(frozen=True)
class Ceilings:
    """What a device does at best, all its cores together.

    Attributes:
        flops: a second, the best of a few large float32 matrix products at full precision.
        near: bytes a second, read and written, of a copy the size of X.
        far: bytes a second, read and written, of a copy of ``FAR_BYTES``.
    """

    flops: float
    near: float
    far: float

    def floor(self, cost: Cost) -> float:
        """Return the seconds that the steps of a solve take at these rates, at least.

        Of the copies the one the size of X counts, or the other one should that be faster.
        """
        return max(cost.flops / self.flops, cost.bytes / max(self.near, self.far))

    def describe(self) -> str:
        """Return one line."""
        return (
            f"ceilings: {self.flops / 1e9:.0f} GFLOP/s (float32 product, HIGHEST), copies of the "
            f"size of X at {self.near / 1e9:.1f} GB/s, "
            f"of an array far larger at {self.far / 1e9:.1f} GB/s"
        )

    def row(self) -> dict[str, float]:
        """Return the columns of a row of JSON."""
        return {f"ceiling_{name}": value for name, value in asdict(self).items()}


@partial(jax.jit, static_argnames="count")
def _copies(x: Array, count: int) -> Array:
    """Add 1 so many times, which reads and writes the array each time."""
    return lax.fori_loop(0, count, lambda _, y: lax.optimization_barrier(y + 1), x)


@jax.jit
def _product(a: Array) -> Array:
    return jnp.matmul(a, a, precision=lax.Precision.HIGHEST)


def _best(call: Callable[[], Any], repeats: int) -> float:
    seconds(call)
    return min(seconds(call) for _ in range(repeats))


def copy_rate(num_bytes: int, repeats: int = 5, moved_bytes: int = FAR_BYTES) -> float:
    """Return the bytes a second, read and written, of the fastest copy of an array.

    Args:
        num_bytes: the size of the array.
        repeats: the best of so many counts.
        moved_bytes: read in each repeat, at least, so that what surrounds the copies weighs little.
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
    """Measure a device: the best of some repeats, as a ceiling should be.

    Args:
        num_bytes: the size of X, for a copy that stays in the caches where X does.
        device: JAX's default device where it is None.
        repeats: of each product and copy.
        sizes: of the square matrices.
        far_bytes: of the other copy.
    """
    with jax.default_device(device):
        rates = []
        for size in sizes:
            square = jnp.ones((size, size), jnp.float32)
            time = _best(lambda square=square: _product(square), repeats)
            rates.append(2 * size**3 / time)
        near, far = (copy_rate(total, repeats, far_bytes) for total in (num_bytes, far_bytes))
    return Ceilings(max(rates), near, far)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()

    x = luma_planes(options.data, 1)[0]
    print(environment())
    ceilings = measure_ceilings(x.nbytes)
    print(ceilings.describe())
    print(f"luma {x.shape[0]} x {x.shape[1]}, float32\n")
    print(
        f"{'solver':<7}{'rank':>5}{'sweeps':>8}{'Mflop':>9}{'MB':>8}{'floor (ms)':>12}"
        f"{'time (ms)':>11}{'time / floor':>14}  bound by"
    )
    rows = []
    for solver in SOLVERS.values():
        calls = {rank: partial(solver.solve, jnp.asarray(x), rank) for rank in RANKS}
        for rank, timing in measure(calls, options.repeats).items():
            cost = COSTS[solver.name](*x.shape, rank, solver.num_iters)
            floor = ceilings.floor(cost)
            bound = "flops" if cost.flops / ceilings.flops >= floor else "bytes"
            print(
                f"{solver.name:<7}{rank:>5}{solver.num_iters:>8}{cost.flops / 1e6:>9.1f}"
                f"{cost.bytes / 1e6:>8.1f}{1e3 * floor:>12.2f}{1e3 * timing.median:>11.2f}"
                f"{timing.median / floor:>14.1f}  {bound}",
                flush=True,
            )
            rows.append(
                {
                    "benchmark": "roofline",
                    "solver": solver.name,
                    "rank": rank,
                    "shape": x.shape,
                    "batch": 1,
                    "dtype": "float32",
                    **timing.row(),
                    "quality": {"relative_error": relative_errors(calls[rank]())[0]},
                    **asdict(cost),
                    **ceilings.row(),
                    "floor_s": floor,
                    "ratio": timing.median / floor,
                    "bound": bound,
                }
            )
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
