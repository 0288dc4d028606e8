"""Derivatives through the solvers of real factors, and none through integers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from tests.problems import mostly_slow

pytestmark = pytest.mark.unoptimized

X = np.random.default_rng(0).random((14, 9))
START = lrfjax.Factors(
    np.random.default_rng(1).random((14, 3)), np.random.default_rng(2).random((9, 3))
)
COMMON = {"num_iters": 4, "fixed_length": True, "record": ()}
NMF = lrfjax.Model(lrfjax.NonNegative(), lrfjax.NonNegative())
PENALISED = lrfjax.FactorModel(penalties=(lrfjax.L1(0.001), lrfjax.L2(0.01)))
# The passes of nmf for this shape.
ACCELERATED = lrfjax.Extrapolated(lrfjax.BCD((2, 3)))
SOLVERS = {
    "nmf": lambda x: lrfjax.factorize(
        x, 3, model=NMF, method=ACCELERATED, start="nndsvd", **COMMON
    ),
    "plain HALS": lambda x: lrfjax.factorize(x, 3, model=NMF, start=START, **COMMON),
    "real": lambda x: lrfjax.factorize(x, 3, **COMMON),
    "weights and penalties": lambda x: lrfjax.factorize(
        x, 3, model=lrfjax.Model(PENALISED, PENALISED), start=START, weights=np.sqrt(X), **COMMON
    ),
    "semi-NMF with an offset": lambda x: lrfjax.factorize(
        x, 3, model=lrfjax.Model(lrfjax.NonNegative(), fit_offset=True), start=START, **COMMON
    ),
    "Kullback-Leibler": lambda x: lrfjax.factorize(
        x, 3, model=replace(NMF, loss=lrfjax.KullbackLeibler()), start=START, **COMMON
    ),
    "multiplicative": lambda x: lrfjax.factorize(
        x, 3, model=replace(NMF, loss=lrfjax.KullbackLeibler()), start=START,
        method=lrfjax.Multiplicative(), **COMMON,
    ),
    "first order": lambda x: lrfjax.factorize(
        x, 3, model=NMF, start=START, method=lrfjax.FirstOrder(), **COMMON
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", mostly_slow(SOLVERS, ["real", "Kullback-Leibler"]))
def test_the_gradient_matches_finite_differences(name):
    def objective(x):
        return SOLVERS[name](x).history.objective[-1]

    with jax.enable_x64(True):
        gradient = np.asarray(jax.grad(objective)(X))
        assert np.all(np.isfinite(gradient))
        for seed in range(3):
            direction = np.random.default_rng(seed).normal(size=X.shape)
            step = 1e-6 * direction
            difference = (float(objective(X + step)) - float(objective(X - step))) / 2e-6
            assert np.isclose((gradient * direction).sum(), difference, rtol=1e-4, atol=1e-6)


def test_forward_mode_and_jit_agree_with_reverse_mode():
    def objective(x):
        return SOLVERS["plain HALS"](x).history.objective[-1]

    with jax.enable_x64(True):
        reverse = jax.grad(objective)(X)
        direction = np.ones_like(X)
        _, forward = jax.jvp(objective, (X,), (direction,))
        assert np.isclose(forward, reverse.sum())
        assert np.allclose(jax.jit(jax.grad(objective))(X), reverse)


def test_a_perfect_fit_has_a_finite_gradient():
    x = np.outer([1.0, 2, 3], [4.0, 1, 2]).astype(np.float32)
    start = lrfjax.Factors(np.array([[1.0], [2], [3]]), np.array([[4.0], [1], [2]]))

    def objective(x):
        return lrfjax.factorize(x, 1, model=NMF, start=start, **COMMON).history.objective[-1]

    assert np.allclose(jax.grad(objective)(x), 0, atol=1e-4)


def test_a_row_of_zeros_has_a_slope():
    x, u = X.copy(), START.u[:, :1].copy()
    x[2] = u[2] = 0  # so that the numerators are exactly 0
    start = lrfjax.Factors(u, START.v[:, :1])

    def entry(x):
        return lrfjax.factorize(x, 1, start=start, **COMMON).factors.u[2, 0]

    with jax.enable_x64(True):
        gradient = np.asarray(jax.grad(entry)(x))
        step = 1e-6 * (np.arange(len(x)) == 2)[:, None]
        difference = (float(entry(x + step)) - float(entry(x - step))) / 2e-6
        assert abs(difference) > 0.1
        assert np.isclose(gradient[2].sum(), difference)


@pytest.mark.parametrize("rank", [2, 9])
def test_forward_mode_through_the_svd(rank):
    direction = np.random.default_rng(5).normal(size=X.shape)
    with jax.enable_x64(True):
        _, slope = jax.jvp(lambda x: lrfjax.svd(x, rank), (X,), (direction,))
        high, low = (lrfjax.svd(X + step * direction, rank) for step in (1e-6, -1e-6))
        difference = (np.asarray(high.factors.u) - np.asarray(low.factors.u)) / 2e-6
        assert np.allclose(slope.factors.u, difference, atol=1e-6)
        assert np.all(np.isfinite(slope.history.relative_error))
        if rank == 2:
            change = high.history.relative_error[0] - low.history.relative_error[0]
            assert np.isclose(slope.history.relative_error[0], change / 2e-6)


@pytest.mark.slow
def test_second_derivatives_match_differences_of_gradients():
    x, few = X[:5, :4], {**COMMON, "num_iters": 2}
    start = lrfjax.Factors(START.u[:5, :2], START.v[:4, :2])

    def objective(x):
        return lrfjax.factorize(x, 2, start=start, **few).history.relative_error[-1]

    with jax.enable_x64(True):
        hessian = np.asarray(jax.hessian(objective)(x))
        direction = np.random.default_rng(6).normal(size=x.shape)
        gradient = jax.jit(jax.grad(objective))
        high, low = (np.asarray(gradient(x + step * direction)) for step in (1e-6, -1e-6))
        along = np.tensordot(hessian, direction, 2)
        assert np.allclose(along, (high - low) / 2e-6, atol=1e-7)


def test_a_fixed_length_does_the_same_sweeps():
    x = X.astype(np.float32)
    for method in (lrfjax.BCD((2, 3)), ACCELERATED):
        common = {"model": NMF, "method": method, "start": "nndsvd", "num_iters": 8, "record": ()}
        loose = lrfjax.factorize(x, 3, **common)
        fixed = lrfjax.factorize(x, 3, fixed_length=True, **common)
        assert np.allclose(loose.history.objective, fixed.history.objective, rtol=1e-5)
        assert int(fixed.status) == lrfjax.Status.ITERATION_LIMIT
    # Padded columns stay empty where zero is not feasible.
    box = lrfjax.Box(np.float32(1), np.float32(2))
    traced = jax.jit(lambda r: lrfjax.factorize(x, r, model=lrfjax.Model(box, box), **COMMON))(2)
    assert not np.any(np.asarray(traced.factors.u[:, 2:]))


@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd, lambda f: jax.jit(jax.grad(f))])
def test_integers_say_that_they_have_no_gradient(mode):
    def objective(x):
        return lrfjax.imf(x, 2).history.objective[-1]

    with pytest.raises(lrfjax.InputError, match="x cannot be differentiated through"):
        mode(objective)(jnp.asarray(X, jnp.float32))
