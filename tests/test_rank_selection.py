"""Rank helpers against brute force."""

from fractions import Fraction

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrfjax
from lrfjax.solvers.rank_selection import rank_for_error, rank_for_ratio

SIDES = st.integers(1, 40)


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 2000))
def test_rank_for_ratio_is_the_largest_that_fits(rows, columns, hundredths):
    ratio = Fraction(hundredths, 100)
    fits = [
        rank
        for rank in range(1, min(rows, columns) + 1)
        if rank * (rows + columns) * ratio <= rows * columns
    ]
    assert rank_for_ratio((rows, columns), hundredths / 100) == max(fits, default=1)


def test_rank_for_ratio_reads_decimals_as_written():
    # 256 / (1.6 * 32) is 5; the binary fraction nearest to 1.6 lies above it.
    assert rank_for_ratio((16, 16), 1.6) == 5
    assert rank_for_ratio((16, 16), 1e-300) == 16
    assert rank_for_ratio((16, 16), 1e300) == 1


def _matrix(seed, rows, columns, rank):
    rng = np.random.default_rng(seed)
    spectrum = 10.0 ** rng.uniform(-3, 3, rank)
    return (rng.normal(size=(rows, rank)) * spectrum) @ rng.normal(size=(rank, columns))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1.2))
def test_rank_for_error_is_the_smallest_that_suffices(seed, rows, columns, bound):
    x = _matrix(seed, rows, columns, min(rows, columns))
    u, s, vt = np.linalg.svd(x, full_matrices=False)

    def error(rank):
        return np.linalg.norm(x - (u[:, :rank] * s[:rank]) @ vt[:rank]) / np.linalg.norm(x)

    rank = rank_for_error(x, bound)
    assert 1 <= rank <= min(rows, columns)
    assert error(rank) <= bound + 1e-13
    assert rank == 1 or error(rank - 1) > bound - 1e-13


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12), st.data())
def test_zero_error_gives_the_numerical_rank(seed, rows, columns, data):
    rank = data.draw(st.integers(1, min(rows, columns)))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))
    assert rank_for_error(x, 0) == np.linalg.matrix_rank(x)
    assert rank_for_error(x.T, 0.0) == rank_for_error(x, 0)


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1.0, 1e170, 1e300])
def test_rank_for_error_does_not_depend_on_the_scale(scale):
    x = _matrix(1, 10, 8, 8)
    x /= np.abs(x).max()
    for bound in (0.5, 1e-2, 1e-4, 0.0):
        assert rank_for_error(x * scale, bound) == rank_for_error(x, bound)


def test_special_matrices():
    assert rank_for_error(np.zeros((4, 3)), 0.0) == 1
    assert rank_for_error(np.eye(5), 0.0) == 5
    assert rank_for_error(np.eye(5, dtype=np.uint8), 1.0) == 1
    assert rank_for_error(np.diag([4, 3]), 0.6) == 1
    assert rank_for_error(np.eye(5), float("inf")) == 1


def test_rank_for_error_is_met_by_the_solver(luma_matrix):
    for bound in (0.3, 0.1, 0.03):
        rank = rank_for_error(luma_matrix, bound)
        assert float(lrfjax.svd(luma_matrix, rank).history.relative_error[0]) <= bound * (1 + 1e-4)


@pytest.mark.parametrize(
    ("shape", "ratio", "error", "message"),
    [
        ((4, 3), 0, lrfjax.InputError, "ratio must be positive and finite.*, got 0"),
        ((4, 3), -1.0, lrfjax.InputError, "ratio must be positive and finite.*, got -1"),
        ((4, 3), float("nan"), lrfjax.InputError, "ratio must be .* got nan"),
        ((4, 3), float("inf"), lrfjax.InputError, "ratio must be .* got inf"),
        ((4, 3), "2", lrfjax.InputTypeError, "ratio must be a real number, got '2'"),
        ((4, 0), 2, lrfjax.InputError, r"shape\[1\] must be at least 1, got 0"),
        ((4.5, 3), 2, lrfjax.InputTypeError, r"shape\[0\] must be an integer, got 4.5"),
        ((4, 3, 2), 2, lrfjax.InputTypeError, "shape must be a pair"),
        (4, 2, lrfjax.InputTypeError, "shape must be a pair"),
    ],
)
def test_bad_ratios_are_named(shape, ratio, error, message):
    with pytest.raises(error, match=message):
        rank_for_ratio(shape, ratio)


@pytest.mark.parametrize(
    ("x", "bound", "error", "message"),
    [
        (np.eye(3), -0.1, lrfjax.InputError, "relative_error must be at least 0.0, got -0.1"),
        (np.eye(3), float("nan"), lrfjax.InputError, "relative_error must be .* got nan"),
        (np.eye(3), None, lrfjax.InputTypeError, "relative_error must be a real number, got None"),
        (np.full((2, 2), np.nan), 0.1, lrfjax.InputError, "x must be finite.*, got nan"),
        (np.ones(3), 0.1, lrfjax.InputError, "x must have 2 axes"),
        (np.ones((0, 3)), 0.1, lrfjax.InputError, "x must have 2 axes"),
        (np.ones((2, 2), complex), 0.1, lrfjax.InputTypeError, "x must hold real numbers"),
        ("matrix", 0.1, lrfjax.InputTypeError, "x must hold real numbers"),
    ],
)
def test_bad_errors_are_named(x, bound, error, message):
    with pytest.raises(error, match=message):
        rank_for_error(x, bound)


def test_traced_matrices_are_refused():
    with pytest.raises(lrfjax.InputTypeError, match="x must be concrete"):
        jax.jit(lambda x: rank_for_error(x, 0.1))(np.eye(3))
