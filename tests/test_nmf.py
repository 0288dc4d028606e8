"""Properties of non-negative matrix factorization and of the general front door."""

import jax
import numpy as np
import pytest

import lrfjax
from tests.problems import EPS, RANK, SHAPE, SWEEPS, every_sweep, mostly_slow, objective_in_float64


def _random(seed, shape, scale=1.0):
    return (np.random.default_rng(seed).random(shape) ** 3 * scale).astype(np.float32)


@pytest.mark.parametrize("init", ["nndsvd", "svd", "random"])
@pytest.mark.parametrize("rank", mostly_slow([1, RANK, 8], quick=[1, 8]))
def test_the_objective_in_float64_does_not_rise(init, rank):
    x = np.concatenate(
        [_random(1, (100, *SHAPE)), _random(2, (100, *SHAPE), 1e4), _random(3, (50, *SHAPE), 1e-6)]
    )
    key = jax.random.key(3) if init == "random" else None
    _, factors = every_sweep(lrfjax.nmf, x, rank, 12, init=init, key=key)
    assert all(min(each.u.min(), each.v.min()) >= 0 for each in factors)
    values = np.array([objective_in_float64(x, each.u, each.v) for each in factors])
    norm = (x.astype(np.float64) ** 2).sum(axis=(1, 2))
    assert np.all(np.diff(values, axis=0) <= 10 * EPS * norm)


def test_a_photograph_is_factorized_near_the_svd_bound(luma_matrix):
    result = lrfjax.nmf(luma_matrix, 8, num_iters=100)
    history = result.history
    bound = float(lrfjax.svd(luma_matrix, 8).history.relative_error[0])
    assert bound < float(history.relative_error[-1]) < 1.5 * bound
    assert float(history.projected_gradient[-1]) < 0.05 * float(history.projected_gradient[0])
    entries = np.concatenate([np.ravel(result.factors.u), np.ravel(result.factors.v)])
    assert np.isclose(history.bound_share[-1], np.mean(entries == 0), rtol=1e-6)
    assert history.num_changed is None


def test_the_projected_gradient_is_that_of_the_objective():
    x = _random(4, SHAPE)
    result = lrfjax.nmf(x, RANK, num_iters=SWEEPS)
    u, v = (np.asarray(f, np.float64) for f in (result.factors.u, result.factors.v))
    residual = u @ v.T - x
    gradients = [(u, 2 * residual @ v), (v, 2 * residual.T @ u)]
    parts = [np.where(f > 0, g, np.minimum(g, 0)) for f, g in gradients]
    expected = np.sqrt(sum((p**2).sum() for p in parts))
    assert np.isclose(result.history.projected_gradient[-1], expected, rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-35, 1e-25, 1e-12, 1.0, 1e12, 1e25, 2e38])
def test_the_scale_of_the_data_does_not_matter(scale):
    x = _random(5, SHAPE).astype(np.float64)
    plain = lrfjax.nmf(x.astype(np.float32), RANK, num_iters=SWEEPS)
    scaled = lrfjax.nmf((x * scale).astype(np.float32), RANK, num_iters=SWEEPS)
    assert int(scaled.status) != lrfjax.Status.FAILED
    assert np.allclose(
        plain.history.relative_error, scaled.history.relative_error, rtol=1e-3, atol=1e-6
    )
    fit = np.asarray(lrfjax.reconstruct(scaled.factors), np.float64) / scale
    assert np.allclose(fit, lrfjax.reconstruct(plain.factors), atol=1e-2)


def test_tolerance_stops_when_nothing_is_gained():
    x = np.outer(np.arange(1.0, 19), np.arange(1.0, 13))
    result = lrfjax.nmf(x, 1, num_iters=500, tol=1e-3, record=())
    assert int(result.num_iters) < 500
    assert int(result.status) == lrfjax.Status.CONVERGED


@pytest.mark.parametrize("x", [np.zeros(SHAPE), np.ones(SHAPE), np.eye(*SHAPE)])
def test_degenerate_matrices_work(x):
    result = lrfjax.nmf(x, RANK, num_iters=SWEEPS)
    assert np.all(np.isfinite(np.asarray(result.history.relative_error)))
    assert int(result.status) != lrfjax.Status.FAILED


def test_unconstrained_descent_reaches_the_svd_bound():
    x = np.random.default_rng(6).normal(size=SHAPE).astype(np.float32)
    result = lrfjax.factorize(
        x, RANK, num_iters=300, start="random", key=jax.random.key(1), record_every=50
    )
    bound = float(lrfjax.svd(x, RANK).history.relative_error[0])
    assert np.isclose(result.history.relative_error[-1], bound, rtol=1e-3)
    assert result.history.bound_share is None


def test_constraints_mix():
    x = np.random.default_rng(7).normal(size=SHAPE).astype(np.float32) * 10
    common = {"num_iters": 20, "record": ()}
    semi = lrfjax.factorize(x, 4, model=lrfjax.Model(u=lrfjax.NonNegative()), **common)
    assert np.min(np.asarray(semi.factors.u)) >= 0
    assert np.min(np.asarray(semi.factors.v)) < 0
    box = lrfjax.IntegerBox(np.float32(-3), np.float32(3))
    mixed = lrfjax.factorize(x, 4, model=lrfjax.Model(box, lrfjax.Real()), **common)
    u = np.asarray(mixed.factors.u)
    assert np.array_equal(u, np.round(u))
    assert np.abs(u).max() <= 3
    for result in (semi, mixed):
        history = np.asarray(result.history.objective)
        assert np.all(np.diff(history) <= 10 * EPS * (x**2).sum())
        assert history[-1] < history[0]
