"""Finite levels and sparse columns: each column update is the best of all, and nothing rises."""

import itertools

import jax
import numpy as np
import pytest

import lrfjax
from tests.problems import (
    BATCH,
    BOX,
    RANK,
    SHAPE,
    SWEEPS,
    every_sweep,
    model,
    objective_in_float64,
)

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

TERNARY = lrfjax.Levels([-1, 0, 1])
BCD = lrfjax.BCD()
POWERS = lrfjax.Levels([-4, -2, -1, -0.5, 0, 0.5, 1, 2, 4])
SETS = {
    "binary and real": (lrfjax.Levels([0, 1]), lrfjax.Real()),
    "ternary": (TERNARY, TERNARY),
    "powers of two": (POWERS, POWERS),
    "no zero": (lrfjax.Levels([-3, -1, 2]), lrfjax.Real()),
    "sparse": (lrfjax.Sparse(4), lrfjax.Real()),
    "sparse, non-negative": (lrfjax.Sparse(4, lrfjax.NonNegative()), lrfjax.NonNegative()),
    "sparse integers": (lrfjax.Sparse(5, BOX), BOX),
    "sparse levels": (lrfjax.Sparse(5, TERNARY), lrfjax.Real()),
}
X = 3 * np.random.default_rng(0).normal(size=(BATCH, *SHAPE)).astype(np.float32)


def is_in(u, constraint):
    """Return whether the columns of a batch of factors lie in a set."""
    if isinstance(constraint, lrfjax.Sparse):
        few = ((u != 0).sum(axis=-2) <= constraint.num_nonzeros).all()
        return few and is_in(u, constraint.base)
    if isinstance(constraint, lrfjax.Levels):
        return np.isin(u, np.asarray(constraint.values, np.float32)).all()
    return np.array_equal(u, np.asarray(constraint.project(u.swapaxes(-1, -2))).swapaxes(-1, -2))


@pytest.mark.parametrize("name", SETS)
def test_every_sweep_is_feasible_and_none_rises(name):
    sets = SETS[name]
    result, sweeps = every_sweep(lrfjax.factorize, X, RANK, SWEEPS, model=model(sets))
    for factors in sweeps:
        assert is_in(factors.u, sets[0])
        assert is_in(factors.v, sets[1])
    values = np.stack([objective_in_float64(X, f.u, f.v) for f in sweeps], axis=1)
    slack = 1e-5 * values[:, :1]
    assert np.all(np.diff(values, axis=1) <= slack)
    assert np.allclose(result.history.objective, values, rtol=1e-4, atol=1e-2)
    assert values[:, -1].mean() < 0.999 * values[:, 0].mean()


def _best_column(x, v, levels, l1, l2, num_nonzeros=None):
    """Return the least penalised objective over all columns of levels, by trying them all."""
    rows, length = x.shape
    costs = np.array(
        [
            [((x[i] - u * v) ** 2).sum() + 2 * l1 * length * abs(u) + l2 * length * u * u
             for u in levels]
            for i in range(rows)
        ]
    )  # fmt: skip
    if num_nonzeros is None:
        return costs.min(axis=1).sum()
    zero = costs[:, list(levels).index(0)]
    savings = np.sort(zero - costs.min(axis=1))[::-1]
    return zero.sum() - savings[:num_nonzeros].sum()


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.3, 0.1)])
@pytest.mark.parametrize("num_nonzeros", [None, 3])
def test_a_column_is_the_best_of_all_columns(num_nonzeros, l1, l2):
    base = lrfjax.Levels([-2, -0.5, 0, 1, 3])
    constraint = base if num_nonzeros is None else lrfjax.Sparse(num_nonzeros, base)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = (2 * rng.normal(size=(8, 5))).astype(np.float32)
        v = rng.normal(size=(5, 1)).astype(np.float32)
        start = lrfjax.Factors(np.zeros((8, 1), np.float32), v)
        sets = (constraint, lrfjax.Real())
        fixed = model(sets, l1=(l1, 0.0), l2=(l2, 0.0), is_fixed=(False, True))
        result = lrfjax.factorize(x, 1, model=fixed, start=start, num_iters=1, record=())
        best = _best_column(x.astype(float), v[:, 0], base.values, l1, l2, num_nonzeros)
        assert np.isclose(result.history.objective[-1], best, rtol=1e-4, atol=1e-4)


def test_weighted_sparse_columns_keep_what_saves_most():
    rng = np.random.default_rng(3)
    x, v = rng.normal(size=(7, 5)), rng.normal(size=(5, 1))
    weights = rng.random((7, 5)) * (1 + 10 * (np.arange(7) % 2))[:, None]
    u = lrfjax.transform(x, v, constraint=lrfjax.Sparse(2), weights=weights)
    best = (weights * x) @ v / (weights @ (v * v))
    savings = (weights @ (v * v) * best**2)[:, 0]
    places = np.argsort(savings)[-2:]
    expected = np.zeros((7, 1))
    expected[places] = best[places]
    assert np.allclose(u, expected, atol=1e-5)


def test_binary_factors_are_found_where_they_exist():
    rng = np.random.default_rng(1)
    u, v = rng.random((40, 2)) < 0.4, rng.normal(size=(12, 2))
    x = (u @ v.T).astype(np.float32)
    sets = (lrfjax.Levels([0, 1]), lrfjax.Real())
    result = lrfjax.factorize(
        x, 2, model=model(sets), start="random", key=0, num_restarts=20, num_iters=40, record=()
    )
    assert float(result.history.relative_error[-1]) < 1e-3


@pytest.mark.slow
def test_levels_with_a_fitted_scale_jit_and_vmap():
    def solve(x):
        return lrfjax.factorize(
            x, RANK, model=model(TERNARY, fit_scale=True), start="balanced", num_iters=SWEEPS,
            record=(),
        )  # fmt: skip

    plain = solve(100 * X[0])
    unscaled = lrfjax.factorize(X[0], RANK, model=model(TERNARY), num_iters=SWEEPS)
    error, other = (float(r.history.relative_error[-1]) for r in (plain, unscaled))
    assert error < other
    assert np.array_equal(jax.jit(solve)(100 * X[0]).factors.u, plain.factors.u)
    mapped = jax.vmap(solve)(100 * X[:2])
    assert np.isclose(mapped.history.relative_error[0, -1], error, rtol=0.05)


@pytest.mark.slow
def test_gradient_methods_know_all_discrete_sets():
    for sets in ((TERNARY, lrfjax.Real()), (lrfjax.Sparse(4, BOX), BOX)):
        method = lrfjax.FirstOrder()
        result = lrfjax.factorize(X[0], RANK, model=model(sets), method=method, num_iters=5)
        assert is_in(np.asarray(result.factors.u), sets[0])


@pytest.mark.slow
def test_a_sparse_set_of_all_entries_changes_nothing():
    sets = (lrfjax.Sparse(18, lrfjax.NonNegative()), lrfjax.NonNegative())
    plain = (lrfjax.NonNegative(), lrfjax.NonNegative())
    x = np.abs(X[0])
    found = [lrfjax.factorize(x, RANK, model=model(c), num_iters=SWEEPS) for c in (sets, plain)]
    assert np.allclose(found[0].factors.u, found[1].factors.u, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lrfjax.Levels([1]), lrfjax.InputError, "values must be at least two"),
        (lambda: lrfjax.Levels([1, 1.0]), lrfjax.InputError, "values must be at least two"),
        (lambda: lrfjax.Levels([0, np.inf]), lrfjax.InputError, "values must be .*inf"),
        (lambda: lrfjax.Levels("ab"), lrfjax.InputTypeError, "values must be a list of numbers"),
        (lambda: lrfjax.Levels(3), lrfjax.InputTypeError, "values must be a list of numbers"),
        (lambda: lrfjax.Sparse(0), lrfjax.InputError, "num_nonzeros must be at least 1, got 0"),
        (lambda: lrfjax.Sparse(2.5), lrfjax.InputTypeError, "num_nonzeros must be an integer"),
    ],
)
def test_bad_sets_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("of_model", "method", "message"),
    [
        (model(lrfjax.Sparse(2, lrfjax.Box(1.0, 2.0))), BCD, "u must have zero in the base"),
        (model(lrfjax.Sparse(2, lrfjax.Levels([-1, 1]))), BCD, "u must have zero in the base"),
        (
            model((lrfjax.Real(), lrfjax.Sparse(2, lrfjax.Box(1.0, 2.0)))),
            BCD,
            "v must have zero in the base",
        ),
        (model(lrfjax.Levels([-1, 1]), l1=0.1), BCD, "l1 must be 0 for levels on both sides"),
        (
            model((lrfjax.Real(), lrfjax.Levels([-1, 1])), l1=0.1),
            BCD,
            "l1 must be 0 for levels on both sides",
        ),
        (model(TERNARY), lrfjax.Extrapolated(BCD), "needs continuous sets"),
        (model(TERNARY), lrfjax.BCD(joint_moves=True), "joint_moves=True needs an integer factor"),
        (model(lrfjax.Sparse(2), fit_scale=True), BCD, "fit_scale needs both factors bounded"),
    ],
)
def test_sets_that_do_not_fit_are_named(of_model, method, message):
    with pytest.raises(lrfjax.InputError, match=message):
        lrfjax.factorize(X[0], 2, model=of_model, method=method)


def test_all_supports_of_a_small_column():
    """Compare one sparse update with least squares on every support."""
    rng = np.random.default_rng(5)
    x, v = rng.normal(size=(5, 4)), rng.normal(size=(4, 1))
    u = np.asarray(lrfjax.transform(x, v, constraint=lrfjax.Sparse(2)))
    error = ((x - u @ v.T) ** 2).sum()
    best = x @ v / (v * v).sum()
    for support in itertools.combinations(range(5), 2):
        other = np.zeros((5, 1))
        other[list(support)] = best[list(support)]
        assert error <= ((x - other @ v.T) ** 2).sum() + 1e-5
