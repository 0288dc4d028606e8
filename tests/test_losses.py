"""Losses: parabolas above them, and a table of methods, losses, sets and problems."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import NMF

import lrfjax
from lrfjax.solvers.methods import majorised
from lrfjax.solvers.methods.columns import Subproblem
from tests.test_own_parts import Huber

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

BETAS = (0.0, 0.3, 0.5, 1.0, 1.4, 1.9, 2.0)
LOSSES = {
    "squared": lrfjax.SquaredError(),
    "kl": lrfjax.KullbackLeibler(),
    "itakura-saito": lrfjax.ItakuraSaito(),
    "beta 0.5": lrfjax.BetaDivergence(0.5),
    "beta 1.5": lrfjax.BetaDivergence(1.5),
    "huber": Huber(0.5),
}
SETS = {
    "non-negative": lrfjax.NonNegative(),
    "box": lrfjax.Box(0.0, 2.5),
    "integers": lrfjax.IntegerBox(0, 5),
    "levels": lrfjax.Levels([0, 1, 2]),
    "sparse": lrfjax.Sparse(9, lrfjax.NonNegative()),
}
METHODS = {
    "bcd": lrfjax.BCD(2),
    "extrapolated": lrfjax.Extrapolated(lrfjax.BCD(2)),
    "multiplicative": lrfjax.Multiplicative(),
    "multiplicative, extrapolated": lrfjax.Extrapolated(lrfjax.Multiplicative()),
}
SHAPE, RANK, SWEEPS, BATCH = (13, 8), 3, 6, 200


def _positive(seed, count=BATCH):
    rng = np.random.default_rng(seed)
    u, v = (rng.gamma(0.5, 1.0, (count, length, RANK)) for length in SHAPE)
    return u @ v.transpose(0, 2, 1) * rng.uniform(0.5, 1.5, (count, *SHAPE)) + 1e-3


def _data(problem, loss):
    """Return matrices and weights; zeros in X where the loss takes them."""
    x = _positive(1)
    rng = np.random.default_rng(2)
    if loss != "itakura-saito":
        x[rng.random(x.shape) < 0.3] = 0
        x[0, 4], x[1, :, 2] = 0, 0  # a row and a column of zeros
    weights = None
    if problem == "weights":
        weights = rng.random(x.shape) * (rng.random(x.shape) < 0.8)
        weights[:, 0, 0] = 1
    return x, weights


def _allowed(method, loss, kind):
    if method != "bcd" and kind in ("integers", "levels"):
        return False
    is_multiplicative = method.startswith("multiplicative")
    return not is_multiplicative or (kind == "non-negative" and loss != "huber")


QUICK = {
    *(("bcd", loss, "non-negative", "plain") for loss in LOSSES),
    ("bcd", "kl", "integers", "weights"),
    ("bcd", "itakura-saito", "levels", "plain"),
    ("bcd", "beta 1.5", "sparse", "plain"),
    ("extrapolated", "kl", "non-negative", "weights"),
    ("multiplicative", "beta 0.5", "non-negative", "weights"),
}
"""Cases of the daily suite."""

TABLE = [
    pytest.param(*case, id="-".join(case), marks=() if case in QUICK else (pytest.mark.slow,))
    for case in itertools.product(METHODS, LOSSES, SETS, ("plain", "weights"))
    if _allowed(*case[:3])
]


def _set_for(loss, kind):
    """Return a set; without zero where the loss is infinite there and a set has no way out."""
    if loss in ("itakura-saito", "beta 0.5") and kind in ("integers", "levels"):
        return {"integers": lrfjax.IntegerBox(1, 6), "levels": lrfjax.Levels([0.5, 1, 2])}[kind]
    return SETS[kind]


def _solve(method, loss, kind, x, weights, **options):
    constraint = _set_for(loss, kind)
    return lrfjax.factorize(
        x,
        RANK,
        model=lrfjax.Model(constraint, constraint, loss=LOSSES[loss]),
        method=METHODS[method],
        start="random",
        key=0,
        weights=weights,
        num_iters=SWEEPS,
        **options,
    )


@pytest.mark.parametrize(("method", "loss", "kind", "problem"), TABLE)
def test_the_objective_never_rises_and_factors_are_feasible(method, loss, kind, problem):
    with jax.enable_x64(True):
        x, weights = _data(problem, loss)
        result = _solve(method, loss, kind, x, weights)
        objective = np.asarray(result.history.objective)
        assert objective.dtype == np.float64
        assert np.all(np.isfinite(objective))
        slack = 1e-10 * np.maximum(objective[:, :-1], objective[:, :1] * 1e-3)
        assert np.all(np.diff(objective, axis=1) <= slack)
        # Only a start of integers or levels can be where nothing is left to gain.
        stands = np.asarray(result.converged) & (kind in ("integers", "levels"))
        assert np.all((objective[:, -1] < objective[:, 0]) | stands)
        for factor in (result.factors.u, result.factors.v):
            if kind != "sparse":
                np.testing.assert_array_equal(_set_for(loss, kind).project(factor), factor)
            else:
                assert np.all(np.sum(np.asarray(factor) != 0, axis=-2) <= 9)


@pytest.mark.parametrize("beta", BETAS)
@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(0, 1e3),
    z=st.floats(1e-3, 1e3),
    fall=st.floats(0, 0.999),
    share=st.floats(0, 1),
    rise=st.floats(0, 100),
)
def test_the_parabola_lies_above_the_divergence(beta, x, z, fall, share, rise):
    x = max(x, 1e-6) if beta == 0 else x
    loss = lrfjax.BetaDivergence(beta)
    with jax.enable_x64(True):
        x, z = jnp.float64(x), jnp.float64(z)
        at, slope = loss.value(x, z), loss.slope(x, z)
        curvature = loss.curvature(x, z, jnp.float64(fall))
        for other in (z * (1 - share * fall), z * (1 + rise)):
            parabola = at + slope * (other - z) + curvature / 2 * (other - z) ** 2
            size = jnp.abs(at) + jnp.abs(slope) * (other + z) + curvature * (other + z) ** 2
            assert loss.value(x, other) <= parabola + 1e-9 * size


@pytest.mark.parametrize("beta", BETAS)
def test_values_and_slopes_are_those_of_the_divergence(beta):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, z = rng.gamma(1.0, 2.0, (2, 200)) + 1e-3
        loss = lrfjax.BetaDivergence(beta)
        if beta == 0:
            expected = x / z - np.log(x / z) - 1
        elif beta == 1:
            expected = x * np.log(x / z) - x + z
        else:
            powers = x**beta + (beta - 1) * z**beta - beta * x * z ** (beta - 1)
            expected = powers / (beta * (beta - 1))
        np.testing.assert_allclose(loss.value(x, z), expected, rtol=1e-8, atol=1e-12)
        slope = jax.vmap(jax.grad(loss.value, argnums=1))(jnp.asarray(x), jnp.asarray(z))
        np.testing.assert_allclose(loss.slope(x, z), slope, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(loss.value(x, x), 0, atol=1e-15)


@pytest.mark.parametrize("loss", ["kl", "squared"])
def test_rows_in_tiles_are_updated_as_all_at_once(loss, monkeypatch):
    rng = np.random.default_rng(0)
    target, weights = rng.gamma(1.0, 1.0, (2, 8, 13)).astype(np.float32)
    partner, factor = (rng.gamma(1.0, 1.0, (3, n)).astype(np.float32) for n in (8, 13))
    side = lrfjax.FactorModel(lrfjax.NonNegative())
    for sub in (
        Subproblem(side, 3, 3, 0.0),
        Subproblem(side, 3, 3, 0.0).in_unit(jnp.exp2(jnp.arange(13.0) % 3)),
    ):
        arguments = (target, weights, partner, factor, sub, LOSSES[loss], jnp.float32(1), 2)
        whole = majorised.update_by_parabolas(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(majorised, "_TILE_BYTES", 5 * 4 * 3 * 3)
            tiled = majorised.update_by_parabolas(*arguments)
        np.testing.assert_allclose(tiled, whole, rtol=1e-5)
        assert np.any(whole != factor)


def test_multiplicative_updates_are_those_of_scikit_learn():
    with jax.enable_x64(True):
        x = _positive(5, 1)[0]
        rng = np.random.default_rng(1)
        u, v = (np.abs(rng.normal(size=(length, RANK))) + 0.1 for length in SHAPE)
        for beta, name in ((0.0, "itakura-saito"), (1.0, "kullback-leibler"), (2.0, "frobenius")):
            model = NMF(RANK, init="custom", solver="mu", beta_loss=name, max_iter=4, tol=0)
            w = model.fit_transform(x, W=u.copy(), H=np.ascontiguousarray(v.T))
            result = lrfjax.nmf(
                x, RANK, loss=lrfjax.BetaDivergence(beta), init=lrfjax.Factors(u, v),
                method=lrfjax.Multiplicative(), num_iters=4,
            )  # fmt: skip
            np.testing.assert_allclose(result.factors.u, w, rtol=1e-6)
            np.testing.assert_allclose(result.factors.v, model.components_.T, rtol=1e-6)


@pytest.mark.slow
def test_kl_reaches_a_lower_divergence_than_multiplicative_updates():
    x = _positive(7, 4)
    kl = lrfjax.KullbackLeibler()
    ours = lrfjax.nmf(x, RANK, loss=kl, num_iters=40, record=()).history.objective
    other = lrfjax.nmf(x, RANK, loss=kl, method=lrfjax.Multiplicative(), num_iters=40, record=())
    assert np.all(ours[:, -1] < other.history.objective[:, -1])


@pytest.mark.parametrize("loss", ["kl", "beta 0.5"])
def test_divergences_do_not_depend_on_the_scale_of_x(loss):
    x = _positive(3, 2).astype(np.float32)
    one = lrfjax.nmf(x, RANK, loss=LOSSES[loss], num_iters=5)
    degree = LOSSES[loss].degree
    for scale in (2.0**-40, 2.0**20):
        other = lrfjax.nmf(np.float32(scale) * x, RANK, loss=LOSSES[loss], num_iters=5)
        np.testing.assert_allclose(
            np.asarray(other.history.objective, np.float64) / scale**degree,
            one.history.objective,
            rtol=2e-3,
        )


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("kl", "non-negative"),
        ("kl", "integers"),
        ("itakura-saito", "levels"),
        ("huber", "integers"),
    ],
)
def test_transform_takes_all_losses_and_sets(loss, kind):
    x = _positive(4, 3)
    v = np.asarray(lrfjax.nmf(x, RANK, num_iters=20).factors.v) + 0.05
    constraint = _set_for(loss, kind)
    u = lrfjax.transform(x, v, constraint=constraint, loss=LOSSES[loss], num_iters=20)
    np.testing.assert_array_equal(constraint.project(u), u)
    alone = lrfjax.transform(x[0, :1], v[0], constraint=constraint, loss=LOSSES[loss], num_iters=20)
    np.testing.assert_allclose(alone, u[0, :1], rtol=2e-3, atol=2e-3)

    def total(u):
        z = np.maximum(np.asarray(u) @ np.swapaxes(v, -1, -2), 1e-9)
        return np.sum(np.asarray(LOSSES[loss].value(jnp.asarray(x, jnp.float32), jnp.asarray(z))))

    rng = np.random.default_rng(0)
    for _ in range(5):
        nearby = constraint.project(u + rng.normal(size=u.shape) * 0.5)
        assert total(u) <= total(nearby) * (1 + 1e-4)
