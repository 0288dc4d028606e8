"""What the solvers must compute and move: flops and bytes.

Counts are those of the algorithm, step after step: a product, a decomposition, a pass over the
columns of a factor or over the entries of X. A step reads each array that it needs once and writes
its result once, however often it goes through them. A symmetric product counts half. What is not
work of the algorithm does not count: columns of the rank bucket beyond the rank, the corrections of
compensated sums, what is computed again, and the second Gram matrix, which the start makes only for
small singular values. Neither do M R or N R flops here and there outside the passes over columns.
Sizes are (M, N) for X, R for the rank; an entry has ``ITEM`` bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

ITEM = 4
"""Bytes of a float32."""

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
