"""X of any size and mean, and weights of any span: powers of two and constants lose nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from lrfjax.solvers.methods.affine import round_mean
from tests.problems import BOX, RANK, SHAPE, SWEEPS, model

pytestmark = [pytest.mark.unoptimized, pytest.mark.filterwarnings("ignore::lrfjax.FitWarning")]

X = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
STARTS = lrfjax.Factors(
    np.random.default_rng(1).integers(-5, 6, (SHAPE[0], RANK)).astype(np.float32),
    np.random.default_rng(2).integers(-5, 6, (SHAPE[1], RANK)).astype(np.float32),
)
INTEGERS = {"model": model(BOX), "num_iters": SWEEPS}
AFFINE = {"model": model(BOX, fit_scale=True, fit_offset=True), "num_iters": SWEEPS}


@pytest.mark.parametrize("exponent", [-112, -72, 66, 112])
@pytest.mark.parametrize("start", ["balanced", STARTS], ids=["balanced", "given"])
def test_a_fitted_scale_takes_any_power_of_two(exponent, start):
    plain = lrfjax.factorize(X, RANK, start=start, **AFFINE)
    scaled = lrfjax.factorize(np.ldexp(X, exponent), RANK, start=start, **AFFINE)
    assert np.array_equal(plain.factors.u, scaled.factors.u)
    assert np.array_equal(plain.factors.v, scaled.factors.v)
    assert np.array_equal(plain.history.relative_error, scaled.history.relative_error)
    assert np.array_equal(np.ldexp(plain.factors.scale, exponent), scaled.factors.scale)
    assert np.array_equal(np.ldexp(plain.factors.offset, exponent), scaled.factors.offset)


def test_given_factors_without_a_scale_start_from_the_best_one():
    result = lrfjax.factorize(X * 1e-22, RANK, start=STARTS, **AFFINE)
    z = np.asarray(STARTS.u) @ np.asarray(STARTS.v).T
    # A line through (Z, X).
    slope = np.polyfit(z.ravel(), X.ravel(), 1)[0]
    rest = X - slope * z
    expected = np.linalg.norm(rest - rest.mean()) / np.linalg.norm(X)
    if slope > 0:  # a negative scale is not allowed
        assert np.isclose(result.history.relative_error[0], expected, rtol=1e-4)
    assert float(result.history.relative_error[-1]) < 0.9


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize("fit_scale", [False, True])
def test_a_large_mean_costs_nothing(fit_scale, with_weights):
    deviations = np.round(27 * X)
    weights = np.ones(SHAPE) - 0.5 * (np.arange(SHAPE[1]) % 2) if with_weights else None
    params = {"init": "balanced", "num_iters": SWEEPS, "fit_offset": True, "fit_scale": fit_scale}
    near = lrfjax.imf(deviations, RANK, weights=weights, **params)
    far = lrfjax.imf(deviations + 1e6, RANK, weights=weights, **params)
    assert np.isclose(far.history.objective[-1], near.history.objective[-1], rtol=0.02)
    fit = np.asarray(lrfjax.reconstruct(far.factors), np.float64)
    share = 1.0 if weights is None else weights
    error = (share * (deviations + 1e6 - fit) ** 2).sum()
    assert np.isclose(error, far.history.objective[-1], rtol=0.01)
    norm = np.sqrt((share * (deviations + 1e6) ** 2).sum())
    assert np.isclose(far.history.relative_error[-1], np.sqrt(error) / norm, rtol=0.01)


def test_the_constant_subtracted_keeps_integers():
    x = np.random.default_rng(3).integers(0, 256, SHAPE).astype(np.float32)
    for mean in (0, 1e3, 1e6):
        shift = float(round_mean(jnp.asarray(x + mean), None))
        assert shift == round(shift)
        assert abs(shift - x.mean() - mean) < 100


def test_overflow_of_squares_is_no_failure():
    x = np.full(SHAPE, 1e30)
    result = lrfjax.imf(x, 1, num_iters=SWEEPS)
    assert np.isclose(result.history.relative_error[-1], 1)
    assert np.isinf(result.history.objective[-1])
    product = np.asarray(lrfjax.reconstruct(result.factors))
    assert np.all(product == 256)  # -16 times -16, as near as the bounds come


@pytest.mark.parametrize("solver", ["nmf", "factorize"])
@pytest.mark.parametrize("size", [1e-36, 1e-30, 1.0, 1e30])
@pytest.mark.parametrize("l1", [0.1, 1e30])
def test_a_history_with_nan_is_a_failure(solver, size, l1):
    x = np.abs(X) * np.float32(size)
    if solver == "nmf":
        result = lrfjax.nmf(x, RANK, l1=l1, num_iters=SWEEPS)
    else:
        result = lrfjax.factorize(x, RANK, model=model("real", l1=l1), num_iters=SWEEPS)
    objective = np.asarray(result.history.objective)
    assert not np.isnan(objective).any() or int(result.status) == lrfjax.Status.FAILED
    if size < 1:  # such a penalty leaves nothing
        assert not np.any(np.asarray(result.factors.u))
        assert objective[-1] < 1e-20


@pytest.mark.parametrize("low", [1e-36, 1e-18])
def test_rows_of_small_weights_are_fitted_like_others(low):
    v = np.random.default_rng(4).normal(size=(SHAPE[1], RANK)).astype(np.float32)
    weights = np.ones(SHAPE, np.float32)
    weights[::2] = low
    weights[1::2] = 1 / low
    weights *= 1 + np.arange(SHAPE[1]) % 3
    start = lrfjax.Factors(np.zeros((SHAPE[0], RANK), np.float32), v)
    fixed = model("real", is_fixed=(False, True))
    result = lrfjax.factorize(
        X, RANK, model=fixed, weights=weights, start=start, num_iters=200, record=()
    )
    assert int(result.status) != lrfjax.Status.FAILED
    root = np.sqrt(1.0 + np.arange(SHAPE[1]) % 3)
    best = np.linalg.lstsq(root[:, None] * v, root[:, None] * X.T, rcond=None)[0].T
    assert np.allclose(result.factors.u, best, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_wide_integers_are_computed_in_float64(dtype):
    x = np.array([[2**40 + 1, 5], [3, 2**35 + 7]], dtype)
    with jax.enable_x64(True):
        result = lrfjax.svd(x, 2)
        assert result.factors.u.dtype == jnp.float64
        assert np.allclose(lrfjax.reconstruct(result.factors), x, rtol=1e-15, atol=1e-3)
        assert lrfjax.imf(x, 2, num_iters=1).factors.u.dtype == jnp.float64
    assert lrfjax.svd(x, 2).factors.u.dtype == jnp.float32


@pytest.mark.parametrize("start", ["svd", "balanced", "nndsvd"])
def test_a_constant_matrix_uses_all_columns(start):
    for value in (3, 7, 35, 60, 1000, 0.3):
        x = np.full(SHAPE, value)
        result = lrfjax.factorize(x, RANK, start=start, **INTEGERS)
        wanted = min(value, 3 * 36)  # three columns of at most 6 times 6
        assert np.all(np.abs(np.asarray(lrfjax.reconstruct(result.factors)) - wanted) <= 0.5)


@pytest.mark.parametrize(
    "fitted", [{"fit_scale": True}, {"fit_offset": True}, {"fit_scale": True, "fit_offset": True}]
)
def test_a_warm_start_that_has_converged_stays(fitted):
    affine = {"model": model(BOX, **fitted), "num_iters": 60}
    x = 10 * X + 4
    for seed in range(10):
        rng = np.random.default_rng(seed)
        factors = (rng.integers(-5, 7, (length, RANK)).astype(np.float32) for length in SHAPE)
        plain = lrfjax.factorize(x, RANK, start=lrfjax.Factors(*factors), **INTEGERS)
        first = lrfjax.factorize(x, RANK, start=plain.factors, **affine)
        if int(first.status) != lrfjax.Status.CONVERGED:
            continue
        again = lrfjax.factorize(x, RANK, start=first.factors, **affine)
        assert np.array_equal(first.factors.u, again.factors.u)
        assert np.isclose(first.history.objective[-1], again.history.objective[-1], rtol=1e-5)
