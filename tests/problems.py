"""What the tests of the solvers share: shapes, constraints, matrices and exact objectives.

Each combination of shape, rank bucket, number of sweeps and kind of model compiles once. So tests
take these unless another one is the point, and look at every sweep of one solve.
"""

import jax
import numpy as np
import pytest

import lrfjax

EPS = np.finfo(np.float32).eps
SHAPE, RANK, SWEEPS = (18, 12), 3, 6
BATCH = 40
BOX = lrfjax.IntegerBox(np.float32(-5), np.float32(6))
CONSTRAINTS = {
    "integers": (BOX, BOX),
    "non-negative": (lrfjax.NonNegative(), lrfjax.NonNegative()),
    "real": (lrfjax.Real(), lrfjax.Real()),
    "box": (lrfjax.Box(np.float32(-2), np.float32(1)), lrfjax.Box(np.float32(-9), np.float32(9))),
    "mixed": (BOX, lrfjax.Real()),
}


def model(sets, *, l1=0.0, l2=0.0, rate=0.0, frozen=None, is_fixed=False, **others):
    """Return a model of two factors.

    Args:
        sets: a name of ``CONSTRAINTS``, one set for both factors, or a pair. All other arguments
            are one value for both factors, or a pair, too.
        l1: weight of the magnitudes.
        l2: weight of the squares.
        rate: weight of the entropy.
        frozen: booleans by column, or None.
        is_fixed: whether the factor keeps its start.
        **others: further arguments of ``Model``.
    """
    sets = CONSTRAINTS[sets] if isinstance(sets, str) else _pair(sets)
    by_side = zip(sets, *map(_pair, (l1, l2, rate, frozen, is_fixed)), strict=True)
    sides = [
        lrfjax.FactorModel(
            constraint,
            (lrfjax.L1(one), lrfjax.L2(two), lrfjax.Entropy(bit)),
            frozen=mask,
            is_fixed=fixed,
        )
        for constraint, one, two, bit, mask, fixed in by_side
    ]
    return lrfjax.Model(*sides, **others)


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def mostly_slow(cases, quick):
    """Return the cases as parameters of a test; all but the ``quick`` ones run on demand."""
    return [pytest.param(case, marks=() if case in quick else pytest.mark.slow) for case in cases]


def every_sweep(solve, x, rank, num_iters, **options):
    """Return the result of one solve of a batch, and its factors after 0, 1, 2, ... sweeps."""
    result = solve(x, rank, num_iters=num_iters, record=("factors",), **options)
    kept = jax.tree.map(np.asarray, result.history.factors)
    return result, [jax.tree.map(lambda a, k=k: a[:, k], kept) for k in range(num_iters + 1)]


def integer_matrices(seed: int, count: int, shape: tuple[int, int], size: int) -> np.ndarray:
    """Return random integers in [-size, size] (odd seeds) or [0, size] (even ones), float32."""
    rng = np.random.default_rng(seed)
    low = -size if seed % 2 else 0
    return rng.integers(low, size + 1, (count, *shape)).astype(np.float32)


def low_rank_integers(seed: int, count: int, shape: tuple[int, int], rank: int) -> np.ndarray:
    """Return products of random integer factors, plus noise of one unit, float32."""
    rng = np.random.default_rng(seed)
    u = rng.integers(-6, 7, (count, shape[0], rank))
    v = rng.integers(-6, 7, (count, shape[1], rank))
    noise = rng.integers(-1, 2, (count, *shape))
    return (u @ v.transpose(0, 2, 1) + noise).astype(np.float32)


def exact_objective(x: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return ||X - U V^T||^2 of integer matrices in int64, for each problem of a batch."""
    x, u, v = (np.asarray(a).astype(np.int64) for a in (x, u, v))
    return ((x - u @ np.swapaxes(v, -1, -2)) ** 2).sum(axis=(-2, -1))


def objective_in_float64(x: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return ||X - U V^T||^2 in float64, for each problem of a batch."""
    x, u, v = (np.asarray(a, np.float64) for a in (x, u, v))
    return ((x - u @ np.swapaxes(v, -1, -2)) ** 2).sum(axis=(-2, -1))
