"""What the solvers must compute and move, and how long this machine needs for that at least.

    python -m benchmarks.roofline --data KODAK [--json FILE]

A floor is the larger of flops over the rate of large square matrix products and bytes over the rate
of a copy of an array the size of X, both measured in the same run on all cores (Williams, Waterman
and Patterson, Roofline, Communications of the ACM 52, 2009). So where X fits the caches the copy is
one within them, and where it does not it is one of memory. The products of a solve are thinner than
square, and much of the rest is no product, so time over floor is the distance from an ideal, not a
share that could be saved. The luma of the first image, ranks 4 to 64.

Counts are those of the algorithm, step after step: a product, a decomposition, a pass over the
columns of a factor or over the entries of X. A step reads each array that it needs once and writes
its result once, however often it goes through them. A symmetric product counts half. What is not
work of the algorithm does not count: columns of the rank bucket beyond the rank, the corrections of
compensated sums, what is computed again, and the second Gram matrix, which the start makes only for
small singular values. Neither do M R or N R flops here and there outside the passes over columns.
Sizes are (M, N) for X, R for the rank; an entry has ``ITEM`` bytes.
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

from benchmarks.report import environment, measure, seconds, write_json
from benchmarks.workloads import RANKS, SOLVERS, luma_planes, relative_errors

ITEM = 4
"""Bytes of a float32."""

MATMUL_SIZES = (1024, 2048, 3072)
FAR_BYTES = 256 * 2**20
"""Of a copy that is far larger than X, to tell beside it."""
SAMPLE_SIZE = 512
"""About how many vectors a start looks at for its first direction."""


@dataclass(frozen=True)
class Cost:
    """What a solve has to do.

    Attributes:
        flops: additions and multiplications, each counted once, and as many for other operations.
        bytes: read and written.
    """

    flops: int
    bytes: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.bytes + other.bytes)

    def times(self, count: int) -> Cost:
        """Return the cost of doing it so many times."""
        return Cost(count * self.flops, count * self.bytes)


def prepare_cost(rows: int, columns: int) -> Cost:
    """Count what is done to X before anything else: its scaled transpose, and the norms.

    For each entry a division, a square and three sums (by rows, by columns, of all). X is read and
    X^T written.

    Example:
        >>> prepare_cost(6144, 64)
        Cost(flops=1966080, bytes=3145728)
    """
    return Cost(5 * rows * columns, ITEM * 2 * rows * columns)


def start_cost(rows: int, columns: int, rank: int) -> Cost:
    """Count the leading singular pairs through a scaled Gram matrix.

    Of the longer side L and the shorter S: a direction from the Gram matrix of a sample of Q
    vectors (Q S^2, symmetric), squared twice (2 S^3, symmetric); the reflection Y = X H (4 L S);
    the Gram matrix of Y (L S^2, symmetric); its Cholesky factor (S^3 / 3) and the singular values
    and right singular vectors of that (12 S^3; Golub and Van Loan, Matrix Computations, section
    8.6); Y times the leading R of these (2 L S R). X is read and Y written, Y is read for the Gram
    matrix and for the product, and the factors are written.

    Example:
        >>> start_cost(6144, 64, 16)
        Cost(flops=45176149, bytes=6688768)
    """
    longer, shorter = max(rows, columns), min(rows, columns)
    sample = -(-longer // max(longer // SAMPLE_SIZE, 1))
    small = sample * shorter**2 + (2 + 12) * shorter**3 + shorter**3 // 3
    large = 4 * longer * shorter + longer * shorter**2 + 2 * longer * shorter * rank
    return Cost(small + large, ITEM * (4 * rows * columns + rank * (rows + columns)))


def objective_cost(rows: int, columns: int, rank: int) -> Cost:
    """Count ||X - U V^T||^2 from the residual.

    The product (2 M N R), the difference, its square and the sum (3 M N); X and the factors read.
    """
    size = rows * columns
    return Cost(2 * size * rank + 3 * size, ITEM * (size + rank * (rows + columns)))


def factor_cost(length: int, other: int, rank: int, passes: int, elementwise: int) -> Cost:
    """Count the update of a factor of ``length`` rows; the other one has ``other``.

    X times the other factor (2 L O R), the other's Gram matrix (O R^2, symmetric); in each pass for
    each column the product of the factor with a row of that (2 L R) and what is done to its entries
    (``elementwise`` flops each). X is read; the products are written, and read in each pass, as
    the factor is read and written in each; the other factor is read.
    """
    entries = length * rank
    flops = 2 * entries * other + other * rank**2 + passes * entries * (2 * rank + elementwise)
    moved = length * other + entries * (1 + 3 * passes) + other * rank
    return Cost(flops, ITEM * moved)


def sweep_cost(
    rows: int, columns: int, rank: int, passes: tuple[int, int] = (1, 1), elementwise: int = 7
) -> Cost:
    """Count a sweep: U, then V. X is read twice.

    Args:
        rows: M.
        columns: N.
        rank: R.
        passes: over the columns of U and of V.
        elementwise: flops of each entry in each pass. For integers 7: the numerator from three
            terms, the division, rounding, and a comparison with either bound. For non-negative
            entries 5: a single bound and no rounding.
    """
    return factor_cost(rows, columns, rank, passes[0], elementwise) + factor_cost(
        columns, rows, rank, passes[1], elementwise
    )


def imf_cost(rows: int, columns: int, rank: int, num_iters: int, entries: int = 2) -> Cost:
    """Count ``imf``: X, the start, the sweeps, and the objective of each entry of the history.

    Args:
        rows: M.
        columns: N.
        rank: R.
        num_iters: sweeps.
        entries: of the history, entry 0 included: 2 with ``record_every=num_iters``.

    Example:
        >>> imf_cost(6144, 64, 16, 10).flops
        380955989
    """
    size = rows, columns, rank
    return (
        prepare_cost(rows, columns)
        + start_cost(*size)
        + sweep_cost(*size).times(num_iters)
        + objective_cost(*size).times(entries)
    )


def default_passes(rows: int, columns: int) -> tuple[int, int]:
    """Return how often ``nmf`` goes through the columns of U and of V in a sweep by default."""
    return min(max(2 * columns // rows, 2), 8), min(max(2 * rows // columns, 2), 8)


def nmf_cost(rows: int, columns: int, rank: int, num_iters: int, entries: int = 2) -> Cost:
    """Count ``nmf`` with its defaults: X, NNDSVD, sweeps of several passes, extrapolation.

    After a sweep the objective follows from products that there are already: <X^T U, V> and
    <U^T U, V^T V> (2 N R + N R^2 + 2 R^2). Then each entry of the factors is moved on and clipped
    (4 flops); the factors and those before are read, and the ones ahead written.
    """
    size = rows, columns, rank
    both = rank * (rows + columns)
    ahead = Cost(2 * columns * rank + columns * rank**2 + 2 * rank**2 + 4 * both, ITEM * 3 * both)
    sweep = sweep_cost(*size, default_passes(rows, columns), 5) + ahead
    begun = prepare_cost(rows, columns) + start_cost(*size)
    return begun + sweep.times(num_iters) + objective_cost(*size).times(entries)


def svd_cost(rows: int, columns: int, rank: int, num_iters: int = 0, entries: int = 1) -> Cost:
    """Count ``svd``: all singular triplets by a QR decomposition first, norm and objective.

    6 L S^2 + 20 S^3 for the longer side L and the shorter S (R-SVD; Golub and Van Loan, section
    8.6). X is read, Q written and read again, the singular vectors are written. A truncated SVD
    could do with less; this is what the accurate full one costs. The norm of X takes 2 M N flops
    and reads it.

    Args:
        rows: M.
        columns: N.
        rank: R, of the factors whose objective is taken.
        num_iters: not used; there are no sweeps.
        entries: of the history.
    """
    longer, shorter = max(rows, columns), min(rows, columns)
    flops = 6 * longer * shorter**2 + 20 * shorter**3
    flops += 2 * rows * columns
    decomposition = Cost(flops, ITEM * (5 * longer * shorter + shorter**2))
    return decomposition + objective_cost(rows, columns, rank).times(entries)


COSTS = {"imf": imf_cost, "nmf": nmf_cost, "svd": svd_cost}
"""The counting function of each solver, called with (M, N, R, num_iters, entries)."""


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
