"""Weighted factorization and missing entries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from tests.problems import (
    BATCH,
    CONSTRAINTS,
    EPS,
    RANK,
    SHAPE,
    SWEEPS,
    every_sweep,
    low_rank_integers,
    model,
)

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

KINDS = ("missing", "smooth", "wide")


def _weights(kind, shape):
    rng = np.random.default_rng(len(kind))
    if kind == "missing":
        return (rng.random(shape) > 0.3).astype(np.float32)
    if kind == "smooth":
        return rng.random(shape).astype(np.float32)
    return (10.0 ** rng.integers(-4, 5, (*shape[:-1], 1)) * rng.random(shape)).astype(np.float32)


def _objective(x, weights, factors):
    """Return the weighted squared error in float64, for each problem of a batch."""
    u, v = (np.asarray(f, np.float64) for f in (factors.u, factors.v))
    residual = x.astype(np.float64) - u @ np.swapaxes(v, -1, -2)
    if factors.scale is not None:
        scale, offset = (
            np.asarray(a, np.float64)[:, None, None] for a in (factors.scale, factors.offset)
        )
        residual = x - scale * (u @ np.swapaxes(v, -1, -2)) - offset
    return (weights.astype(np.float64) * residual**2).sum(axis=(-2, -1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_weighted_objective_never_rises(name, kind):
    x = np.abs(low_rank_integers(3, BATCH, SHAPE, 3))
    weights = _weights(kind, x.shape)
    result, factors = every_sweep(lrfjax.factorize, x, RANK, 8, model=model(name), weights=weights)
    values = np.array([_objective(x, weights, each) for each in factors])
    norm = (weights.astype(np.float64) * x**2).sum(axis=(1, 2))
    # With integers and weights 0 and 1 all is exact.
    is_exact = name == "integers" and kind == "missing"
    assert np.all(np.diff(values, axis=0) <= (0 if is_exact else 10 * EPS * norm))
    assert np.all(values[-1] < values[0])
    history = np.asarray(result.history.objective).T
    assert np.allclose(history, values, rtol=1e-4, atol=1e-6 * values[0])


def test_the_objective_falls_with_scale_and_offset():
    x = np.abs(low_rank_integers(4, BATCH, SHAPE, 3)) * 3
    weights = _weights("missing", x.shape)
    result = lrfjax.imf(
        x, RANK, num_iters=12, init="balanced", fit_scale=True, fit_offset=True, weights=weights,
        record=(),
    )  # fmt: skip
    history = np.asarray(result.history.objective)
    assert np.all(np.diff(history, axis=1) <= 10 * EPS * history[:, :1])
    assert np.allclose(history[:, -1], _objective(x, weights, result.factors), rtol=1e-4)
    assert np.all(history[:, -1] < history[:, 0])


@pytest.mark.parametrize("name", ["integers", "non-negative", "real"])
def test_unit_weights_change_nothing_but_rounding(name):
    x = np.abs(low_rank_integers(5, 1, SHAPE, 3)[0])
    params = {"model": model(name), "num_iters": SWEEPS, "record": ()}
    plain = lrfjax.factorize(x, RANK, **params)
    weighted = lrfjax.factorize(x, RANK, weights=np.ones(SHAPE), **params)
    assert np.allclose(plain.history.objective, weighted.history.objective, rtol=1e-3)
    assert np.allclose(
        lrfjax.reconstruct(plain.factors), lrfjax.reconstruct(weighted.factors), atol=0.05
    )


def test_whole_weights_are_repeated_rows():
    x = np.abs(low_rank_integers(6, 1, SHAPE, 3)[0])
    counts = np.random.default_rng(1).integers(1, 4, SHAPE[0])
    start = lrfjax.Factors(np.ones((SHAPE[0], 2)), np.arange(24.0).reshape(12, 2) % 5)
    weights = np.repeat(counts[:, None], SHAPE[1], axis=1)
    weighted = lrfjax.imf(x, 2, init=start, weights=weights, num_iters=4, record=())
    again = lrfjax.Factors(np.repeat(start.u, counts, axis=0), start.v)
    repeated = lrfjax.imf(np.repeat(x, counts, axis=0), 2, init=again, num_iters=4, record=())
    assert np.array_equal(weighted.factors.v, repeated.factors.v)
    assert np.array_equal(np.repeat(weighted.factors.u, counts, axis=0), repeated.factors.u)
    assert np.array_equal(weighted.history.objective, repeated.history.objective)


def test_a_weighted_column_update_is_the_best_of_all_integers():
    rng = np.random.default_rng(8)
    for _ in range(20):
        x = rng.integers(-20, 21, (1, 4)).astype(np.float32)
        v = rng.integers(-3, 4, (4, 1)).astype(np.float32)
        weights = rng.random((1, 4)) * (rng.random((1, 4)) > 0.3)
        if not np.any(weights.T * v):
            continue
        start = lrfjax.Factors(jnp.zeros((1, 1)), jnp.asarray(v))
        fixed = model(lrfjax.IntegerBox(-3, 3), is_fixed=(False, True))
        result = lrfjax.factorize(x, 1, model=fixed, num_iters=1, start=start, weights=weights)
        costs = {u: (weights * (x - u * v.T) ** 2).sum() for u in range(-3, 4)}
        found = costs[int(result.factors.u[0, 0])]
        assert found <= min(costs.values()) * (1 + 1e-5)


def test_what_is_missing_may_be_anything():
    x = np.abs(low_rank_integers(7, 1, SHAPE, 3)[0])
    weights = _weights("missing", SHAPE)
    results = []
    for filler in (0.0, np.nan, np.inf, -1e30):
        filled = np.where(weights > 0, x, np.float32(filler))
        results.append(lrfjax.nmf(filled, RANK, num_iters=SWEEPS, weights=weights, record=()))
    for other in results[1:]:
        assert np.array_equal(results[0].factors.u, other.factors.u)
        assert np.array_equal(results[0].history.objective, other.history.objective)
    mask = lrfjax.nmf(filled, RANK, num_iters=SWEEPS, weights=weights > 0, record=())
    assert np.array_equal(results[0].factors.u, mask.factors.u)
    on_device = lrfjax.nmf(
        jnp.asarray(filled), RANK, num_iters=SWEEPS, weights=jnp.asarray(weights), record=()
    )
    assert np.array_equal(results[0].factors.u, on_device.factors.u)
    with pytest.raises(lrfjax.InputError, match="x must be finite"):
        lrfjax.nmf(np.full(SHAPE, np.nan), RANK, weights=weights)


def test_an_exact_matrix_is_recovered_where_it_is_missing():
    rng = np.random.default_rng(2)
    x = (rng.random((40, 2)) @ rng.random((2, 30)) + 0.1).astype(np.float32)
    weights = (rng.random(x.shape) > 0.3).astype(np.float32)
    result = lrfjax.factorize(x, 3, weights=weights, num_iters=400, record=(), record_every=400)
    gap = np.asarray(lrfjax.reconstruct(result.factors)) - x
    assert np.abs(gap[weights == 0]).max() < 0.02


@pytest.mark.parametrize("name", ["integers", "non-negative", "real"])
def test_a_photograph_with_30_percent_of_its_pixels_missing_is_inpainted(name, luma_matrix):
    weights = (np.random.default_rng(3).random(luma_matrix.shape) > 0.3).astype(np.float32)
    missing = weights == 0
    broken = np.where(missing, np.nan, luma_matrix)
    if name == "integers":
        box = lrfjax.IntegerBox(-16, 15)
        ridge = model(box, l2=0.05, fit_scale=True, fit_offset=True)
        params = {"start": "balanced", "num_iters": 30}
    else:
        ridge, params = model(name, l2=0.05), {"num_iters": 60}
    result = lrfjax.factorize(broken, 4, model=ridge, weights=weights, record=(), **params)
    fit = np.clip(np.asarray(lrfjax.reconstruct(result.factors)), 0, 255)
    mean = np.nanmean(broken, axis=1, keepdims=True) * np.ones_like(fit)
    errors = [((a - luma_matrix)[missing] ** 2).mean() for a in (fit, mean)]
    # The mean of each patch is what one would fill in without a factorization.
    assert 10 * np.log10(errors[1] / errors[0]) > 2


@pytest.mark.slow
def test_batches_vmap_and_shared_weights_agree():
    x = np.abs(low_rank_integers(9, 3, SHAPE, 3))
    weights = _weights("missing", SHAPE)

    def solve(a):
        return lrfjax.imf(a, RANK, weights=weights, num_iters=SWEEPS, record=()).factors.u

    each = np.stack([solve(a) for a in x])
    assert np.array_equal(solve(x), each)
    assert np.array_equal(jax.vmap(solve)(x), each)


@pytest.mark.parametrize("solver", [lrfjax.imf, lrfjax.nmf, lrfjax.factorize])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones((4, 3)), "weights must be non-negative, got an entry of -1"),
        (np.zeros((4, 3)), "weights must not be all zero"),
        (np.full((4, 3), 2.0**-140), "weights must not be all zero"),
        (np.full((4, 3), np.nan), "weights must be finite in float32, got nan"),
        (np.full((4, 3), np.inf), "weights must be finite in float32, got inf"),
        (np.ones((3, 4)), r"weights must have the shape of x, \(4, 3\), got \(3, 4\)"),
        (np.ones(3), "weights must have at least 2 axes"),
    ],
)
def test_bad_weights(solver, weights, message):
    with pytest.raises(lrfjax.InputError, match=message):
        solver(np.ones((4, 3)), 2, weights=weights)


def test_weights_of_no_number():
    with pytest.raises(lrfjax.InputTypeError, match="weights must hold real numbers"):
        lrfjax.nmf(np.ones((4, 3)), 2, weights=np.full((4, 3), "a"))
