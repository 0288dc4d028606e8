"""The truncated SVD against LAPACK's own acceptance ratios."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from lrfjax.solvers.starts.gram_svd import leading_singular_pairs

EPS = np.finfo(np.float32).eps
THRESHOLD = 35  # the one of LAPACK's test programs


def _orthogonal(rng, rows, columns):
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


def _matrix(kind, rows, columns):
    rng = np.random.default_rng(rows * 100 + columns)
    size = min(rows, columns)
    if kind == "zero":
        return np.zeros((rows, columns))
    if kind == "identity":
        return np.eye(rows, columns)
    if size == 0:
        return np.zeros((rows, columns))
    spectrum = {
        "graded": np.logspace(0, -6, size),
        "deficient": np.where(np.arange(size) < (size + 1) // 2, 1.0, 0.0),
        "large": np.linspace(1, 2, size) * 1e30,
        "small": np.linspace(1, 2, size) * 1e-30,
        "random": rng.random(size),
    }[kind]
    return (_orthogonal(rng, rows, size) * np.sort(spectrum)[::-1]) @ _orthogonal(
        rng, columns, size
    ).T


KINDS = ["zero", "identity", "graded", "deficient", "large", "small", "random"]
SHAPES = [(0, 0), (0, 3), (1, 1), (2, 5), (17, 17), (33, 9), (9, 33), (64, 64), (64, 40)]


@pytest.mark.parametrize("shape", SHAPES)
def test_lapack_ratios(shape):
    x = np.stack([_matrix(kind, *shape) for kind in KINDS]).astype(np.float32)
    batch = [np.asarray(a, np.float64) for a in lrfjax.truncated_svd(jnp.asarray(x))]
    for i, kind in enumerate(KINDS):
        a = x[i].astype(np.float64)
        u, s, v = (part[i] for part in batch)
        size, largest = min(shape), max(max(shape), 1)
        assert u.shape == (shape[0], size), kind
        assert v.shape == (shape[1], size), kind
        assert np.all(s >= 0), kind
        assert np.all(np.diff(s) <= 0), kind
        norm = max(np.abs(s).max(initial=0), np.finfo(np.float64).tiny)
        ratio = np.abs(a - (u * s) @ v.T).max(initial=0) / (norm * largest * EPS)
        assert ratio < THRESHOLD, (kind, "reconstruction")
        for q in (u, v):
            ratio = np.abs(q.T @ q - np.eye(size)).max(initial=0) / (largest * EPS)
            assert ratio < THRESHOLD, (kind, "orthogonality")
        if size:
            single = lrfjax.truncated_svd(jnp.asarray(x[i]))
            assert np.allclose(single[1], s, rtol=1e-5, atol=norm * EPS * largest), kind


def test_signs_are_fixed():
    x = np.random.default_rng(0).normal(size=(12, 7)).astype(np.float32)
    _, _, v = lrfjax.truncated_svd(jnp.asarray(x), 4)
    v = np.asarray(v)
    assert np.all(v[np.abs(v).argmax(axis=0), np.arange(4)] > 0)
    flipped = lrfjax.truncated_svd(jnp.asarray(-x), 4)
    assert np.allclose(flipped[2], v, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-34, 1e-30, 1.0, 1e30, 1e38])
def test_the_front_door_gives_the_best_fit_of_its_rank(scale):
    rng = np.random.default_rng(1)
    x = (rng.uniform(-2, 2, size=(3, 12, 7)) * scale).astype(np.float32)
    result = lrfjax.svd(x, 3)
    assert result.factors.u.shape == (3, 12, 3)
    assert result.factors.v.shape == (3, 7, 3)
    assert result.history.relative_error.shape == (3, 1)
    s = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    expected = np.sqrt((s[:, 3:] ** 2).sum(axis=1) / (s**2).sum(axis=1))
    assert np.allclose(result.history.relative_error[:, 0], expected, rtol=1e-5)
    assert np.all(np.asarray(result.status) == lrfjax.Status.CONVERGED)
    u, v = np.asarray(result.factors.u, np.float64), np.asarray(result.factors.v, np.float64)
    assert np.allclose((u**2).sum(axis=1), s[:, :3], rtol=1e-5)
    assert np.allclose((v**2).sum(axis=1), s[:, :3], rtol=1e-5)


def test_the_start_of_the_solvers_is_as_accurate_as_a_direct_svd():
    # A condition of 1e5: the Gram matrix alone would know nothing of the last vectors.
    rng = np.random.default_rng(2)
    spectrum = np.logspace(0, -5, 24)
    x = ((_orthogonal(rng, 500, 24) * spectrum) @ _orthogonal(rng, 24, 24).T).astype(np.float32)
    for matrix in (x, x.T):
        u, s, v = jax.jit(lambda x: leading_singular_pairs(x, 24))(matrix)
        assert np.all(np.abs(np.asarray(s) - spectrum) <= 50 * EPS)
        for q in (np.asarray(u), np.asarray(v)):
            assert np.abs(q @ q.T - np.eye(24)).max() < 0.2


@pytest.mark.parametrize(
    "x",
    [
        np.full((300, 64), 100.0),  # one singular value, and noise that is parallel
        np.outer(np.arange(1, 301), np.ones(64)),
        np.tile(np.random.default_rng(3).integers(0, 256, (300, 32)), 2),
        100 + 1e-4 * np.random.default_rng(4).normal(size=(300, 64)),
        np.eye(300, 64) * (np.arange(64) == 63),
    ],
    ids=["constant", "rank 1", "twice the same", "nearly constant", "one entry"],
)
def test_the_start_of_deficient_matrices_is_as_good_a_fit(x):
    x = x.astype(np.float32)
    u, s, v = jax.jit(lambda x: leading_singular_pairs(x, 8))(x)
    u, s, v = (np.asarray(a, np.float64) for a in (u, s, v))
    spectrum = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    squared = np.sum((x - (u.T * s) @ v) ** 2) - np.sum(spectrum[8:] ** 2)
    assert np.sqrt(max(squared, 0)) <= 50 * EPS * np.linalg.norm(spectrum)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_matrix_that_is_not_finite_has_no_singular_values(value):
    x = np.random.default_rng(0).normal(size=(2, 12, 8)).astype(np.float32)
    x[1, 3, 4] = value
    for part in lrfjax.truncated_svd(x):
        assert np.all(np.isfinite(part[0]))
        assert np.all(np.isnan(part[1]))
    assert int(jax.jit(lambda x: lrfjax.svd(x, 3))(x[1]).status) == lrfjax.Status.FAILED
