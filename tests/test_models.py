"""What may be asked of a factor beyond its set: penalties, frozen columns, bounds by column; and
the affine model with its starts."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrfjax
from tests.problems import (
    BATCH,
    BOX,
    CONSTRAINTS,
    EPS,
    RANK,
    SHAPE,
    SWEEPS,
    every_sweep,
    integer_matrices,
    low_rank_integers,
    model,
    mostly_slow,
)

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

BITS = lrfjax.IntegerBox(-16, 15)
FAST = lrfjax.Extrapolated(lrfjax.BCD((2, 3)))


def _objective(x, factors, l1, l2):
    """Return the penalised objective in float64, for each problem of a batch."""
    u, v = (np.asarray(f, np.float64) for f in (factors.u, factors.v))
    scale = 1.0 if factors.scale is None else np.asarray(factors.scale, np.float64)[:, None, None]
    offset = (
        0.0 if factors.offset is None else np.asarray(factors.offset, np.float64)[:, None, None]
    )
    fit = scale * (u @ np.swapaxes(v, -1, -2)) + offset
    value = ((x - fit) ** 2).sum(axis=(-2, -1))
    for factor, a, b, size in ((u, l1[0], l2[0], x.shape[-1]), (v, l1[1], l2[1], x.shape[-2])):
        magnitudes, squares = np.abs(factor).sum(axis=(-2, -1)), (factor**2).sum(axis=(-2, -1))
        value = value + size * (2 * a * magnitudes + b * squares)
    return value


@pytest.mark.parametrize(
    ("name", "l1", "l2"),
    [
        *((name, (0.2, 0.4), (0.1, 0.2)) for name in CONSTRAINTS),
        ("integers", (0.5, 0.0), (0.0, 0.0)),
        ("non-negative", (0.0, 0.0), (0.3, 0.1)),
    ],
)
def test_the_penalised_objective_never_rises(name, l1, l2):
    x = np.abs(low_rank_integers(3, BATCH, SHAPE, 3))
    result, factors = every_sweep(lrfjax.factorize, x, RANK, 8, model=model(name, l1=l1, l2=l2))
    values = np.array([_objective(x.astype(np.float64), each, l1, l2) for each in factors])
    slack = 10 * EPS * (x.astype(np.float64) ** 2).sum(axis=(1, 2))
    assert np.all(np.diff(values, axis=0) <= slack)
    assert np.all(values[-1] < values[0])
    assert np.allclose(result.history.objective.T, values, rtol=1e-4)


def test_a_penalised_column_update_is_the_best_of_all_integers():
    rng = np.random.default_rng(8)
    for _ in range(15):
        x = rng.integers(-20, 21, (1, 4)).astype(np.float32)
        v = rng.integers(-3, 4, (4, 1)).astype(np.float32)
        l1, l2 = rng.random(2) * 8
        start = lrfjax.Factors(jnp.zeros((1, 1)), jnp.asarray(v))
        box = lrfjax.IntegerBox(-3, 3)
        penalised = model(box, l1=(l1, 0), l2=(l2, 0), is_fixed=(False, True))
        result = lrfjax.factorize(x, 1, model=penalised, num_iters=1, start=start)
        costs = {
            u: ((x - u * v.T) ** 2).sum() + 4 * (2 * l1 * abs(u) + l2 * u * u) for u in range(-3, 4)
        }
        found = int(result.factors.u[0, 0])
        if v.any():
            assert costs[found] <= min(costs.values()) * (1 + 1e-5)


def test_an_l1_penalty_makes_factors_sparse(luma_matrix):
    shares = []
    for weight in (0.0, 3.0, 30.0):
        result = lrfjax.factorize(luma_matrix, 8, model=model(BITS, l1=(weight, 0)))
        shares.append(float(np.mean(np.asarray(result.factors.u) == 0)))
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_frozen_factor_is_kept_and_the_other_one_fits_it(name):
    x = np.abs(low_rank_integers(4, 1, SHAPE, 3)[0])
    dictionary = np.abs(np.random.default_rng(0).normal(0, 2, (SHAPE[1], RANK))).astype(np.float32)
    start = lrfjax.Factors(np.ones((SHAPE[0], RANK), np.float32), dictionary)
    result = lrfjax.factorize(
        x, RANK, model=model(name, is_fixed=(False, True)), start=start, num_iters=20, record=()
    )
    assert np.array_equal(result.factors.v, dictionary)
    history = np.asarray(result.history.objective)
    assert history[-1] < history[0]
    assert np.all(np.diff(history) <= 10 * EPS * (x**2).sum())
    if name == "real":
        best = np.linalg.lstsq(dictionary, x.T, rcond=None)[1].sum()
        assert np.isclose(history[-1], best, rtol=0.2)


def test_single_columns_can_be_frozen():
    x = low_rank_integers(5, 1, SHAPE, 3)[0]
    first = lrfjax.imf(x, RANK, num_iters=SWEEPS)
    kept = np.array([True, False, True])
    second = lrfjax.factorize(
        x, RANK, model=model(BITS, frozen=kept), num_iters=SWEEPS, start=first.factors
    )
    for before, after in (
        (first.factors.u, second.factors.u),
        (first.factors.v, second.factors.v),
    ):
        assert np.array_equal(np.asarray(before)[:, kept], np.asarray(after)[:, kept])
    assert float(second.history.objective[-1]) <= float(first.history.objective[-1])


@given(seed=st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_every_column_keeps_its_own_bounds(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 30, SHAPE).astype(np.float32)
    lower = -rng.integers(0, 9, RANK)
    upper = lower + rng.integers(1, 9, RANK)
    result = lrfjax.imf(x, RANK, bounds=(lower, upper), num_iters=SWEEPS)
    for factor in (np.asarray(result.factors.u), np.asarray(result.factors.v)):
        assert np.array_equal(factor, np.round(factor))
        assert np.all(factor >= lower)
        assert np.all(factor <= upper)
    columns = np.full(RANK, -4), np.full(RANK, 3)
    same = lrfjax.imf(x, RANK, bounds=columns, num_iters=SWEEPS)
    plain = lrfjax.imf(x, RANK, bounds=(-4, 3), num_iters=SWEEPS)
    assert np.array_equal(same.factors.u, plain.factors.u)


@pytest.mark.parametrize(("fit_scale", "fit_offset"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("start", ["svd", "balanced"])
def test_scale_and_offset_never_raise_the_objective(fit_scale, fit_offset, start):
    x = integer_matrices(2, BATCH, SHAPE, 255) + 90
    affine = model(BOX, fit_scale=fit_scale, fit_offset=fit_offset)
    _, factors = every_sweep(lrfjax.factorize, x, RANK, 8, model=affine, start=start)
    zeros = (0.0, 0.0)
    values = np.array([_objective(x.astype(np.float64), each, zeros, zeros) for each in factors])
    slack = 10 * EPS * (x.astype(np.float64) ** 2).sum(axis=(1, 2))
    assert np.all(np.diff(values, axis=0) <= slack)
    last = factors[-1]
    assert (last.scale is not None) == fit_scale
    assert (last.offset is not None) == fit_offset
    # The closed form is the minimum: no other line through the fitted entries is better.
    for i in range(3):
        z = (np.asarray(last.u[i], np.float64) @ np.asarray(last.v[i], np.float64).T).ravel()
        columns = [z] * fit_scale + [np.ones_like(z)] * fit_offset
        rest = x[i].ravel() - (0 if fit_scale else z)
        fitted = np.linalg.lstsq(np.stack(columns, 1), rest, rcond=None)[0]
        ours = [f[i] for f in (last.scale, last.offset) if f is not None]
        assert np.allclose(fitted, ours, rtol=1e-3, atol=1e-3)


def test_reconstruction_uses_scale_and_offset():
    x = integer_matrices(2, BATCH, SHAPE, 255) + 90
    affine = model(BOX, fit_scale=True, fit_offset=True)
    result = lrfjax.factorize(
        x, RANK, model=affine, start="balanced", num_iters=8, record=("factors",)
    )
    residual = x - np.asarray(lrfjax.reconstruct(result.factors))
    assert np.allclose((residual**2).sum(axis=(1, 2)), result.history.objective[:, -1], rtol=1e-4)


@pytest.mark.slow
def test_better_starts_end_lower(luma_matrix):
    errors = [
        float(lrfjax.imf(luma_matrix, 8, record=(), **params).history.relative_error[-1])
        for params in (
            {},
            {"init": "balanced"},
            {"init": "balanced", "fit_scale": True, "fit_offset": True},
        )
    ]
    bound = float(lrfjax.svd(luma_matrix, 8).history.relative_error[0])
    excess = np.square(errors) - bound**2
    assert excess[2] < excess[1] < excess[0]


@pytest.mark.parametrize(
    "params",
    [
        {"init": "balanced", "fit_scale": True, "fit_offset": True},
        {"init": "random", "key": jax.random.key(2)},
    ],
)
def test_restarts_return_the_best_and_all_histories(params):
    x = low_rank_integers(6, 2, SHAPE, 6) * 8
    params = {"num_iters": 4, "record": (), **params}
    many = lrfjax.imf(x, RANK, num_restarts=10, **params)
    assert many.restarts.objective.shape == (2, 10, 5)
    finals = np.asarray(many.restarts.objective[:, :, -1])
    assert np.array_equal(many.history.objective[:, -1], finals.min(axis=1))
    assert len(np.unique(finals[0])) > 5
    if "key" not in params:
        one = lrfjax.imf(x, RANK, **params)
        assert one.restarts is None
        assert np.allclose(one.history.objective, many.restarts.objective[:, 0], rtol=1e-3)


def test_the_balanced_start_has_equal_root_mean_squares():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(500, 12)).astype(np.float32))
    reals = model("real")
    ut, vt = lrfjax.BalancedStart(lean=1.0)(x, 5, 5, reals)
    rms = [np.sqrt((np.asarray(f) ** 2).mean(axis=1)) for f in (ut, vt)]
    assert np.allclose(*rms, rtol=1e-3)
    plain = lrfjax.SVDStart()(x, 5, 5, reals)
    assert np.allclose(ut.T @ vt, plain[0].T @ plain[1], atol=1e-4)


@pytest.mark.slow
def test_models_compile_once_a_bucket(compilations):
    x = np.random.default_rng(0).integers(0, 256, (40, 24)).astype(np.float32)

    def solve(rank, penalties):
        box = lrfjax.IntegerBox(np.full(rank, -9), np.arange(rank) + 1)
        sides = (lrfjax.FactorModel(box, p) for p in penalties)
        scaled = lrfjax.Model(*sides, fit_scale=True)
        lrfjax.factorize(x, rank, model=scaled, num_iters=2, start="balanced")

    for rank, weight in itertools.product((2, 5, 8), (0.5, 1, np.float64(2.5))):
        penalties = (lrfjax.L1(weight), lrfjax.L2(weight))
        solve(rank, (penalties, penalties[:1]))
    assert compilations.count <= 1
    # Penalties of weight zero are left out, in a program without them.
    solve(5, ((), ()))
    solve(8, ((lrfjax.L1(0),), (lrfjax.L2(0.0), lrfjax.Entropy(np.float32(0)))))
    assert compilations.count <= 2


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"l1": -1.0}, lrfjax.InputError, r"the weight of L1 must be at least 0\.0, got -1"),
        ({"l1": -1}, lrfjax.InputError, r"the weight of L1 must be at least 0\.0, got -1"),
        (
            {"l2": (0, np.nan)},
            lrfjax.InputError,
            r"of L2 must be at least 0\.0, got nan",
        ),
        ({"l2": "a"}, lrfjax.InputTypeError, "penalties must hold numbers"),
        ({"l1": np.ones(2)}, lrfjax.InputTypeError, "the weight of L1 must be a real number"),
        ({"is_fixed": (True, False)}, lrfjax.InputError, "frozen columns need start to be Factors"),
        ({"frozen": np.ones(2, bool)}, lrfjax.InputError, "frozen columns need start to be"),
        ({"is_fixed": 1}, lrfjax.InputTypeError, "is_fixed must be True or False, got 1"),
        ({"frozen": True}, lrfjax.InputTypeError, "frozen must be None or an array of bool"),
        ({"frozen": (np.ones(3), None)}, lrfjax.InputTypeError, "frozen must be None or an array"),
        (
            {"frozen": (np.ones(3, bool), None)},
            lrfjax.InputError,
            "frozen must have one value for each of 2 columns",
        ),
    ],
)
def test_bad_models(params, error, message):
    with pytest.raises(error, match=message):
        lrfjax.factorize(np.arange(12.0).reshape(4, 3), 2, model=model(BITS, **params))


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("l1", -1, lrfjax.InputError, r"l1 must be at least 0\.0, got -1"),
        ("l2", (0, np.nan), lrfjax.InputError, r"l2 must be at least 0\.0, got nan"),
        ("l1", (1, 2, 3), lrfjax.InputTypeError, "l1 must be a number or a pair"),
        ("l2", "a", lrfjax.InputTypeError, "l2 must be a real number, got 'a'"),
    ],
)
def test_bad_penalties_of_a_preset(name, value, error, message):
    with pytest.raises(error, match=message):
        lrfjax.nmf(np.arange(12.0).reshape(4, 3), 2, **{name: value})


@pytest.mark.parametrize("penalties", [lrfjax.L1(1.0), [lrfjax.L1(1.0)], (1.0,), ("l1",)])
def test_what_is_no_penalty_is_named(penalties):
    side = lrfjax.FactorModel(lrfjax.Real(), penalties)
    with pytest.raises(lrfjax.InputTypeError, match="penalties must be a"):
        lrfjax.factorize(np.eye(4), 2, model=lrfjax.Model(side))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_restarts": 0}, "num_restarts must be at least 1, got 0"),
        ({"num_restarts": 3}, "num_restarts=3 needs a start that varies, got SVDStart"),
        ({"bounds": ([-1, -2, -3], 4)}, "one value for each of 2 columns"),
        (
            {"init": lrfjax.Factors(np.ones((4, 2)), np.ones((3, 2)), scale=np.float32(2))},
            "init.scale is given, so fit_scale must be True",
        ),
    ],
)
def test_bad_starts(params, message):
    with pytest.raises(lrfjax.InputError, match=message):
        lrfjax.imf(np.arange(12.0).reshape(4, 3), 2, **params)


def test_a_scale_needs_bounds():
    with pytest.raises(lrfjax.InputError, match="fit_scale needs both factors bounded"):
        lrfjax.factorize(np.eye(4), 2, model=lrfjax.Model(BOX, fit_scale=True))


def test_a_model_is_no_set():
    for sets in (BOX, (BOX, BOX)):
        with pytest.raises(lrfjax.InputTypeError, match="model must be a Model"):
            lrfjax.factorize(np.eye(4), 2, model=sets)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_start_that_violates_a_constraint_is_projected(name):
    x = np.abs(low_rank_integers(6, 1, SHAPE, 3)[0])
    rng = np.random.default_rng(1)
    start = lrfjax.Factors(rng.normal(0, 9, (SHAPE[0], RANK)), rng.normal(0, 9, (SHAPE[1], RANK)))
    result = lrfjax.factorize(x, RANK, model=model(name), start=start, num_iters=0)
    for constraint, before, factor in zip(
        CONSTRAINTS[name], (start.u, start.v), (result.factors.u, result.factors.v), strict=True
    ):
        assert np.allclose(factor, constraint.project(np.asarray(before, np.float32)))


@pytest.mark.parametrize(
    ("constraint", "error", "message"),
    [
        (lrfjax.Box(1.0, 0.0), lrfjax.InputError, "must have lower <= upper"),
        (lrfjax.Box(np.nan, 1.0), lrfjax.InputError, "must have lower <= upper"),
        (lrfjax.IntegerBox(-2.5, 2.5), lrfjax.InputTypeError, "must be a pair of int"),
        (lrfjax.NonNegative, lrfjax.InputTypeError, "must be a set or a FactorModel, got"),
        ("int", lrfjax.InputTypeError, "must be a set or a FactorModel, got 'int'"),
        ((BOX, BOX), lrfjax.InputTypeError, "must be a set or a FactorModel, got"),
        (None, lrfjax.InputTypeError, "must be a set or a FactorModel, got None"),
    ],
)
@pytest.mark.parametrize("side", ["u", "v"])
def test_bad_constraints(side, constraint, error, message):
    with pytest.raises(error, match=f"^{side} {message}"):
        lrfjax.factorize(np.eye(4), 2, model=lrfjax.Model(**{side: constraint}))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_start_needs_a_positive_scale(scale):
    start = lrfjax.Factors(np.ones((4, 2)), np.ones((3, 2)), scale=np.float32(scale))
    with pytest.raises(lrfjax.InputError, match=r"init.scale must be"):
        lrfjax.imf(np.ones((4, 3)), 2, init=start, fit_scale=True)


@pytest.mark.parametrize(
    "shape", mostly_slow([(8, 8), (40, 16), (4096, 16), (7, 30)], quick=[(7, 30)])
)
def test_no_start_fails_on_matrices_of_low_rank(shape):
    rng = np.random.default_rng(shape[0])
    count = 990 if shape[0] < 100 else 40  # 3,010 matrices over all shapes
    periods = rng.integers(1, 9, (count, 2))
    left, right = (
        np.arange(n) % periods[:, k : k + 1] * (rng.random((count, n)) < 0.8)
        for k, n in enumerate(shape)
    )
    x = left[:, :, None] * right[:, None, :]
    x[count // 2 :] += rng.integers(0, 3, (count // 2, shape[0], 1))
    for solver in (lrfjax.imf, lrfjax.nmf):
        result = solver(x, 2, num_iters=SWEEPS, record=())
        assert np.all(np.asarray(result.status) != lrfjax.Status.FAILED)
        assert np.all(np.isfinite(np.asarray(result.history.relative_error)))
    assert np.median(np.asarray(result.history.relative_error)[:, -1]) < 0.01


def test_the_reported_rank_one_matrices_are_solved():
    first = np.outer([0, 0, 5, 1, 0, 0, 0, 4], [0, 0, 1, 5, 0, 0, 1, 4])
    second = np.outer(np.arange(4096) % 3, np.arange(16) % 6)
    assert float(lrfjax.imf(first, 1).history.relative_error[-1]) == 0
    assert float(lrfjax.nmf(second, 1).history.relative_error[-1]) < 1e-3


def test_a_zero_matrix_is_solved_from_any_start_and_within_any_bounds():
    zeros = np.zeros(SHAPE, np.float32)
    start = lrfjax.Factors(np.ones((SHAPE[0], RANK)), np.ones((SHAPE[1], RANK)))
    fixed = model("non-negative", is_fixed=(False, True))
    frozen = lrfjax.factorize(zeros, RANK, model=fixed, method=FAST, start=start, num_iters=SWEEPS)
    assert int(frozen.status) != lrfjax.Status.FAILED
    assert not np.any(np.asarray(frozen.factors.u))
    bounded = lrfjax.imf(zeros, RANK, bounds=(1, 3), num_iters=SWEEPS)
    assert int(bounded.status) != lrfjax.Status.FAILED
    for factor in (np.asarray(bounded.factors.u), np.asarray(bounded.factors.v)):
        assert np.array_equal(factor, np.ones_like(factor))


def test_integer_dtypes_do_not_wrap_around_in_a_reconstruction():
    factors = lrfjax.Factors(np.full((3, 2), 100, np.int8), np.full((4, 2), 100, np.int8))
    assert np.array_equal(lrfjax.reconstruct(factors), np.full((3, 4), 20_000))
