"""Properties of integer matrix factorization."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrfjax
from tests.problems import (
    RANK,
    SHAPE,
    SWEEPS,
    every_sweep,
    exact_objective,
    integer_matrices,
    low_rank_integers,
    mostly_slow,
)

pytestmark = pytest.mark.filterwarnings("ignore::lrfjax.FitWarning")

BOUNDS = [(-16, 15), (-4, 3), (0, 7), (-128, 127), (-1, 1), (2, 9)]


def _assert_feasible(factors, bounds):
    for factor in (np.asarray(factors.u), np.asarray(factors.v)):
        assert np.array_equal(factor, np.round(factor))
        assert factor.min() >= bounds[0]
        assert factor.max() <= bounds[1]


def _descend(x, rank, bounds, num_sweeps, **start):
    """Return the exact objectives of a batch after 0, 1, 2, ... sweeps; check feasibility."""
    _, factors = every_sweep(lrfjax.imf, x, rank, num_sweeps, bounds=bounds, **start)
    for each in factors:
        _assert_feasible(each, bounds)
    return np.array([exact_objective(x, each.u, each.v) for each in factors])


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize(
    ("shape", "rank", "size"), [((18, 12), 3, 10), ((18, 12), 8, 255), ((7, 16), 5, 3000)]
)
def test_the_exact_objective_never_rises_on_random_problems(bounds, shape, rank, size):
    # 18 cases of 120 problems: 2,160 in all, 8 sweeps each.
    x = np.concatenate(
        [
            integer_matrices(1, 40, shape, size),
            integer_matrices(2, 40, shape, size),
            low_rank_integers(3, 40, shape, 3),
        ]
    )
    objectives = _descend(x, rank, bounds, 8)
    assert np.all(np.diff(objectives, axis=0) <= 0)
    assert np.any(objectives[-1] < objectives[0])


@pytest.mark.parametrize("bounds", [(-16, 15), (-128, 127), (-8, 7)])
@pytest.mark.parametrize("rank", mostly_slow([1, 6, 17, 64], quick=[6]))
def test_the_exact_objective_never_rises_on_a_photograph(luma_matrix, bounds, rank):
    objectives = _descend(luma_matrix[None], rank, bounds, 10)
    assert np.all(np.diff(objectives, axis=0) <= 0)


def test_the_history_is_the_exact_objective_and_never_rises(luma_matrix):
    result = lrfjax.imf(luma_matrix, 8)
    history = np.asarray(result.history.objective)
    assert np.all(np.diff(history) <= 0)
    final = exact_objective(luma_matrix, result.factors.u, result.factors.v)
    assert history[-1] == np.float32(final)
    norm = np.linalg.norm(luma_matrix.astype(np.float64))
    assert np.isclose(result.history.relative_error[-1], np.sqrt(final) / norm, rtol=1e-6)


@given(
    seed=st.integers(0, 2**16),
    lower=st.integers(-40, 0),
    width=st.integers(0, 60),
    rank=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_factors_are_integers_within_any_bounds(seed, lower, width, rank):
    x = np.random.default_rng(seed).normal(0, 50, SHAPE).astype(np.float32)
    bounds = (lower, lower + width)
    result = lrfjax.imf(x, rank, bounds=bounds, num_iters=SWEEPS)
    _assert_feasible(result.factors, bounds)
    assert np.all(np.diff(np.asarray(result.history.objective)) <= 0)


def test_zero_sweeps_give_the_rounded_start():
    x = integer_matrices(0, 1, SHAPE, 50)[0]
    result = lrfjax.imf(x, 3, num_iters=0)
    u, s, v = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    v = v[:3].T
    # The largest entry of each right singular vector goes to the wider side, the negative one.
    sign = -np.sign(v[np.abs(v).argmax(axis=0), np.arange(3)])
    start_v = np.clip(np.round(v * sign * np.sqrt(s[:3])), -16, 15)
    start_u = np.clip(np.round(u[:, :3] * sign * np.sqrt(s[:3])), -16, 15)
    assert np.array_equal(result.factors.v, start_v)
    assert np.array_equal(result.factors.u, start_u)
    assert result.history.objective.shape == (1,)
    assert int(result.num_iters) == 0


def test_the_column_update_is_the_best_of_all_integers():
    # One row of U, one column: the sweep has to find what trying every integer finds.
    rng = np.random.default_rng(5)
    for _ in range(20):
        x = rng.integers(-20, 21, (1, 4)).astype(np.float32)
        v = rng.integers(-3, 4, (4, 1)).astype(np.float32)
        start = lrfjax.Factors(jnp.zeros((1, 1)), jnp.asarray(v))
        result = lrfjax.imf(x, 1, bounds=(-3, 3), num_iters=1, init=start)
        u = int(result.factors.u[0, 0])
        if not v.any():
            continue
        best = min(exact_objective(x, np.array([[c]]), v) for c in range(-3, 4))
        assert exact_objective(x, np.array([[u]]), v) == best


def test_a_fixed_point_is_found_and_kept():
    x = low_rank_integers(7, 1, SHAPE, RANK)[0]
    result = lrfjax.imf(x, RANK, num_iters=60)
    assert int(result.status) == lrfjax.Status.CONVERGED
    done = int(result.num_iters)
    assert done < 60
    assert int(result.history.num_changed[done]) == 0
    assert np.all(np.asarray(result.history.objective[done:]) == result.history.objective[done])
    again = lrfjax.imf(x, RANK, num_iters=SWEEPS, init=result.factors)
    assert np.array_equal(again.factors.u, result.factors.u)
    assert np.array_equal(again.factors.v, result.factors.v)


def test_tolerance_stops_early_and_the_limit_is_told(luma_matrix):
    loose = lrfjax.imf(luma_matrix, 8, tol=1e-2)
    assert int(loose.status) == lrfjax.Status.CONVERGED
    assert 2 <= int(loose.num_iters) < 10
    limit = lrfjax.imf(luma_matrix, 8)
    assert int(limit.status) == lrfjax.Status.ITERATION_LIMIT
    assert int(limit.num_iters) == 10


def test_the_history_counts_changes_and_bounds(luma_matrix):
    fields = ("num_changed", "bound_share", "factors")
    history = lrfjax.imf(luma_matrix, 5, record=fields).history
    kept = [
        np.concatenate([np.ravel(u), np.ravel(v)]) for u, v in zip(*_kept(history), strict=True)
    ]
    # The first sweep changes the start before rounding.
    for sweep in range(2, 11):
        assert int(history.num_changed[sweep]) == np.sum(kept[sweep - 1] != kept[sweep])
    shares = [np.mean((entries == -16) | (entries == 15)) for entries in kept]
    assert np.allclose(history.bound_share, shares, rtol=1e-6)
    assert history.projected_gradient is None


def _kept(history):
    return np.asarray(history.factors.u), np.asarray(history.factors.v)


def test_recording_less_changes_nothing_but_the_history(luma_matrix):
    every = lrfjax.imf(luma_matrix, 6)
    some = lrfjax.imf(luma_matrix, 6, record_every=5)
    assert np.array_equal(every.factors.u, some.factors.u)
    assert np.array_equal(every.history.objective[::5], some.history.objective)
    assert int(some.num_iters) == 10


@pytest.mark.parametrize(
    "x",
    [
        np.zeros(SHAPE),
        np.full(SHAPE, 7.0),
        np.outer(np.arange(18), np.arange(12)),
        np.eye(18, 12),
        np.array([[5.0]]),
    ],
    ids=["zero", "constant", "rank one", "identity", "1 x 1"],
)
def test_degenerate_matrices_work(x):
    rank = min(RANK, *x.shape)
    result = lrfjax.imf(x, rank, num_iters=SWEEPS)
    assert np.all(np.isfinite(np.asarray(result.history.relative_error)))
    assert int(result.status) != lrfjax.Status.FAILED
    if not x.any():
        assert float(result.history.relative_error[-1]) == 0


@pytest.mark.parametrize("size", [1e-30, 1e-20])
def test_the_relative_error_holds_where_squares_vanish(size):
    result = lrfjax.imf(np.full(SHAPE, size), 1, num_iters=SWEEPS)
    assert float(result.history.relative_error[-1]) == 1
    assert not np.any(np.asarray(result.factors.u))


def test_a_nan_under_jit_is_a_status_not_silence():
    x = np.ones((4, 3), np.float32)
    x[1, 1] = np.nan
    result = jax.jit(lambda x: lrfjax.imf(x, 2))(x)
    assert int(result.status) == lrfjax.Status.FAILED


def test_random_starts_need_a_key_and_differ_by_it(luma_matrix):
    first, second, same = (
        lrfjax.imf(luma_matrix, 4, init="random", key=jax.random.key(k)) for k in (0, 1, 0)
    )
    assert np.array_equal(first.factors.u, same.factors.u)
    assert not np.array_equal(first.factors.u, second.factors.u)
    for a, b in itertools.combinations((first, second), 2):
        assert np.all(np.diff(np.asarray(a.history.objective)) <= 0)
        assert np.isclose(a.history.relative_error[-1], b.history.relative_error[-1], rtol=0.5)
