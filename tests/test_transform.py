"""U for a known V: optimal row by row, for any number of rows and columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import lrfjax
from tests.problems import BOX

pytestmark = pytest.mark.unoptimized

RNG = np.random.default_rng(0)
V = np.abs(RNG.normal(size=(12, 3))).astype(np.float32)
X = np.abs(RNG.normal(size=(5, 12))).astype(np.float32)
WIDE = RNG.normal(size=(6, 9)).astype(np.float32)  # more columns than rows


@pytest.mark.parametrize("num_rows", [1, 2, 5])
def test_non_negative_rows_are_those_of_nnls(num_rows):
    u = lrfjax.transform(X[:num_rows], V, constraint=lrfjax.NonNegative())
    expected = [scipy.optimize.nnls(V.astype(float), row)[0] for row in X[:num_rows].astype(float)]
    assert np.abs(np.asarray(u) - expected).max() < 1e-5


def test_real_rows_are_those_of_least_squares():
    u = lrfjax.transform(X, V, constraint=lrfjax.Real())
    expected = np.linalg.lstsq(V, X.T, rcond=None)[0].T
    assert np.abs(np.asarray(u) - expected).max() < 1e-5


def test_weights_and_missing_entries():
    known = RNG.random(X.shape) < 0.8
    weights = known * RNG.random(X.shape)
    u = lrfjax.transform(
        np.where(known, X, np.nan), V, constraint=lrfjax.NonNegative(), weights=weights
    )
    root = np.sqrt(weights)
    for row, x, w in zip(np.asarray(u), X, root, strict=True):
        best = scipy.optimize.nnls(w[:, None] * V.astype(float), w * x)[0]
        assert np.abs(row - best).max() < 1e-4


def test_overcomplete_dictionaries():
    x = RNG.normal(size=(3, 6)).astype(np.float32)
    u = np.asarray(lrfjax.transform(x, WIDE, constraint=lrfjax.NonNegative(), num_iters=100))
    fit = np.linalg.norm(x - u @ WIDE.T, axis=1)
    best = [scipy.optimize.nnls(WIDE.astype(float), row)[1] for row in x.astype(float)]
    assert u.shape == (3, 9)
    assert np.all(u >= 0)
    assert np.allclose(fit, best, atol=1e-3)


def test_integers_are_feasible_and_no_single_step_is_better():
    x = np.round(10 * RNG.normal(size=(4, 12))).astype(np.float32)
    v = np.round(3 * RNG.normal(size=(12, 3))).astype(np.float32)
    u = np.asarray(lrfjax.transform(x, v, constraint=BOX))
    assert np.array_equal(u, np.clip(np.round(u), -5, 6))
    error = ((x - u @ v.T) ** 2).sum(axis=1)
    for r in range(3):
        for step in (-1, 1):
            moved = u.copy()
            moved[:, r] = np.clip(u[:, r] + step, -5, 6)
            assert np.all(((x - moved @ v.T) ** 2).sum(axis=1) >= error)


def test_a_result_brings_its_scale_and_offset():
    x = np.random.default_rng(1).random((18, 12)).astype(np.float32)
    result = lrfjax.imf(x, 3, num_iters=30, init="balanced", fit_scale=True, fit_offset=True)
    u = lrfjax.transform(x, result, constraint=lrfjax.IntegerBox(-16.0, 15.0))
    fitted = lrfjax.Factors(u, result.factors.v, result.factors.scale, result.factors.offset)
    error, before = (
        np.linalg.norm(x - np.asarray(lrfjax.reconstruct(f))) for f in (fitted, result)
    )
    assert error < 1.05 * before


def test_jit_vmap_and_batches_agree():
    def code(x, v):
        return lrfjax.transform(x, v, constraint=lrfjax.NonNegative())

    batch = jnp.stack([X, 2 * X])
    plain = np.stack([code(x, V) for x in batch])
    assert np.allclose(code(batch, V), plain, atol=1e-5)
    assert np.allclose(jax.jit(code)(X, V), plain[0], atol=1e-5)
    assert np.allclose(jax.vmap(code, (0, None))(batch, V), plain, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((X, V[:5]), {}, lrfjax.InputError, r"v must have shape \(12, 3\)"),
        ((X, "pca"), {}, lrfjax.InputTypeError, "v must hold real numbers"),
        ((X, V), {"num_iters": 0}, lrfjax.InputError, "num_iters must be at least 1"),
        ((X, V), {"l1": -1}, lrfjax.InputError, "l1 must be at least 0"),
        ((X, V), {"l2": "a"}, lrfjax.InputTypeError, "l2 must be a real number"),
        ((X, V), {"constraint": "positive"}, lrfjax.InputTypeError, "u must be a set"),
        ((X * np.nan, V), {}, lrfjax.InputError, "x must be finite"),
        ((X, V * np.inf), {}, lrfjax.InputError, "v must be finite"),
    ],
)
def test_bad_input_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        lrfjax.transform(*arguments, **{"constraint": lrfjax.NonNegative(), **options})
