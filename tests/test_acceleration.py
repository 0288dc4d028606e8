"""What makes solvers faster or their minima lower: extrapolation, passes, joint moves, stopping."""

import itertools

import jax
import numpy as np
import pytest
from sklearn.decomposition import NMF

import lrfjax
from tests.problems import (
    CONSTRAINTS,
    EPS,
    RANK,
    SHAPE,
    SWEEPS,
    every_sweep,
    exact_objective,
    integer_matrices,
    objective_in_float64,
)

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

X = np.random.default_rng(4).random(SHAPE).astype(np.float32)


@pytest.mark.parametrize("name", ["non-negative", "real", "box"])
def test_accelerated_sweeps_never_rise_and_gain_more(name):
    x = np.random.default_rng(1).random((30, 40, 20)).astype(np.float32) ** 3
    common = {"constraints": CONSTRAINTS[name], "num_iters": 40, "init": "random", "record": ()}
    plain, fast = (
        lrfjax.factorize(x, 6, accelerate=a, key=jax.random.key(0), **common) for a in (False, True)
    )
    history = np.asarray(fast.history.objective)
    assert np.all(np.diff(history, axis=1) <= 10 * EPS * (x**2).sum(axis=(1, 2))[:, None])
    final = objective_in_float64(x, fast.factors.u, fast.factors.v)
    assert np.allclose(history[:, -1], final, rtol=1e-4)
    assert np.mean(history[:, -1] < plain.history.objective[:, -1]) > 0.6
    assert np.median(history[:, 20] / plain.history.objective[:, 20]) < 1


def test_photographs_need_fewer_accelerated_sweeps(luma_matrix):
    common = {"num_iters": 200, "record": ()}
    plain = lrfjax.nmf(luma_matrix, 8, accelerate=False, num_passes=1, **common)
    fast = lrfjax.nmf(luma_matrix, 8, **common)
    goal = float(plain.history.relative_error[-1])
    assert 0 < int(lrfjax.sweeps_to(fast.history, goal)) < 100


@pytest.mark.parametrize("rank", [2, 5])
def test_nmf_agrees_with_scikit_learn(rank):
    x = np.random.default_rng(2).random(SHAPE).astype(np.float32)
    model = NMF(rank, init="custom", solver="cd", max_iter=3000, tol=0)
    rng = np.random.default_rng(3)
    u, v = (rng.random((n, rank)).astype(np.float32) for n in SHAPE)
    w = model.fit_transform(x, W=u.copy(), H=v.T.copy())
    theirs = objective_in_float64(x, w, model.components_.T)
    for params in ({}, {"accelerate": False, "num_passes": 1}):
        start = lrfjax.Factors(u, v)
        ours = lrfjax.nmf(x, rank, init=start, num_iters=2000, record_every=2000, **params)
        assert abs(float(ours.history.objective[-1]) / theirs - 1) < 0.01


@pytest.mark.parametrize("passes", [2, (1, 4)])
def test_more_passes_descend_too(passes):
    x = integer_matrices(1, 40, SHAPE, 60)
    _, factors = every_sweep(lrfjax.imf, x, RANK, SWEEPS, num_passes=passes)
    values = [exact_objective(x, each.u, each.v) for each in factors]
    assert np.all(np.diff(values, axis=0) <= 0)


def test_a_second_pass_goes_on_where_the_first_ended():
    x = integer_matrices(3, 1, SHAPE, 60)[0]
    start = lrfjax.imf(x, RANK, num_iters=SWEEPS).factors
    frozen = {"frozen": (False, True), "num_iters": 1, "record": ()}
    once = lrfjax.imf(x, RANK, init=start, **frozen).factors
    twice = lrfjax.imf(x, RANK, init=once, **frozen).factors
    together = lrfjax.imf(x, RANK, init=start, num_passes=2, **frozen).factors
    assert np.array_equal(twice.u, together.u)


@pytest.mark.parametrize("bounds", [(-16, 15), (-2, 2), (0, 9)])
def test_joint_moves_descend_exactly_and_end_where_no_pair_gains(bounds):
    x = np.concatenate([integer_matrices(1, 10, (9, 6), 50), integer_matrices(2, 10, (9, 6), 200)])
    _, factors = every_sweep(lrfjax.imf, x, 3, 30, bounds=bounds, joint_moves=True)
    values = [exact_objective(x, each.u, each.v) for each in factors]
    assert np.all(np.diff(values, axis=0) <= 0)
    settled = np.flatnonzero(values[-1] == values[-2])
    assert settled.size > 5
    u, v = (f.astype(int) for f in (factors[-1].u, factors[-1].v))
    for k in settled:
        for row, (r, s) in itertools.product(range(9), itertools.combinations(range(3), 2)):
            for p, q in itertools.product((-1, 0, 1), repeat=2):
                moved = u[k].copy()
                moved[row, [r, s]] += p, q
                if bounds[0] <= moved.min() and moved.max() <= bounds[1]:
                    assert exact_objective(x[k], moved, v[k]) >= values[-1][k]


def test_joint_moves_find_lower_minima(luma_matrix):
    model = {"init": "balanced", "fit_scale": True, "fit_offset": True, "record": ()}
    ranks = (4, 6, 8)
    single, joint = (
        [float(lrfjax.imf(luma_matrix, r, joint_moves=j, **model).history.objective[-1])
         for r in ranks]
        for j in (False, True)
    )  # fmt: skip
    assert sum(np.log(joint)) < sum(np.log(single))


def test_joint_moves_keep_what_is_frozen_and_count_penalties():
    x = integer_matrices(4, 40, SHAPE, 60)
    first = lrfjax.imf(x, RANK, num_iters=SWEEPS, record=()).factors
    kept = np.array([True, False, True])
    params = {"joint_moves": True, "l1": 2.0, "l2": 0.5, "frozen": (kept, False), "record": ()}
    result = lrfjax.imf(x, RANK, num_iters=SWEEPS, init=first, **params)
    assert np.array_equal(result.factors.u[..., kept], first.u[..., kept])
    history = np.asarray(result.history.objective)
    assert np.all(np.diff(history, axis=1) <= 2 * EPS * history[:, :1])


@pytest.mark.parametrize(
    ("name", "tolerance"), [("tol", 1e-4), ("change_tol", 1e-2), ("gradient_tol", 1e-2)]
)
def test_each_tolerance_stops(name, tolerance):
    result = lrfjax.nmf(X, RANK, num_iters=2000, **{name: tolerance})
    done = int(result.num_iters)
    assert int(result.status) == lrfjax.Status.CONVERGED, name
    assert done < 2000
    history = result.history
    if name == "gradient_tol":
        ratio = np.asarray(history.projected_gradient) / history.projected_gradient[0]
        assert ratio[done] <= tolerance < ratio[done - 1]
    if name == "change_tol":
        assert np.maximum(history.u_change, history.v_change)[done] <= tolerance


def test_what_is_recorded_does_not_change_when_to_stop():
    quiet = lrfjax.nmf(X, RANK, num_iters=2000, gradient_tol=1e-2, record=())
    assert quiet.history.projected_gradient is None
    assert int(quiet.status) == lrfjax.Status.CONVERGED
    integers = integer_matrices(4, 1, SHAPE, 60)[0]
    full, bare = (lrfjax.imf(integers, RANK, num_iters=60, record=r) for r in (None, ()))
    assert int(bare.num_iters) == int(full.num_iters) < 60
    assert bare.history.num_changed is None


def test_a_nearly_exact_fit_is_still_accelerated():
    rng = np.random.default_rng(0)
    x = (rng.random((40, 3)) @ rng.random((3, 30))).astype(np.float32)
    errors = np.asarray(lrfjax.nmf(x, 3, num_iters=200, record=()).history.relative_error)
    assert errors[200] < 1e-5
    assert np.all(np.diff(errors**2) <= 10 * EPS)


def test_the_best_restart_is_found_at_any_scale():
    params = {"init": "random", "key": jax.random.key(0), "num_restarts": 6, "num_iters": 4}
    for scale in (2.0**-80, 1.0, 2.0**70):
        result = lrfjax.nmf(X * np.float32(scale), RANK, record=(), **params)
        last = np.asarray(result.restarts.relative_error[:, -1])
        assert float(result.history.relative_error[-1]) == last.min()


@pytest.mark.parametrize(
    ("solver", "params", "message"),
    [
        (lrfjax.nmf, {"num_passes": 0}, "num_passes must be at least 1, got 0"),
        (lrfjax.nmf, {"change_tol": -1}, "change_tol must be at least 0.0, got -1"),
        (lrfjax.nmf, {"gradient_tol": np.nan}, "gradient_tol must be at least 0.0, got nan"),
        (lrfjax.factorize, {"joint_moves": True}, "joint_moves=True needs an integer factor"),
        (lrfjax.nmf, {"fixed_length": True, "tol": 0.1}, "fixed_length=True runs all sweeps"),
        (lrfjax.nmf, {"init": "balanced", "num_restarts": 2}, "num_restarts=2 with init"),
        (
            lrfjax.imf,
            {"joint_moves": True, "weights": np.ones((4, 3))},
            "joint_moves=True does not support weights",
        ),
    ],
)
def test_bad_settings(solver, params, message):
    with pytest.raises(lrfjax.InputError, match=message):
        solver(np.ones((4, 3)), 2, **params)


def test_integers_have_no_extrapolation_and_no_gradient():
    box = lrfjax.IntegerBox(np.float32(-3), np.float32(3))
    with pytest.raises(lrfjax.InputError, match="accelerate=True needs continuous constraints"):
        lrfjax.factorize(np.ones((4, 3)), 2, constraints=(box, box), accelerate=True)
    with pytest.raises(lrfjax.InputError, match="gradient_tol must be 0 for discrete sets"):
        lrfjax.factorize(np.ones((4, 3)), 2, constraints=(box, box), gradient_tol=0.1)
    with pytest.raises(lrfjax.InputTypeError, match="num_passes must be an integer or a pair"):
        lrfjax.imf(np.ones((4, 3)), 2, num_passes=(1, 2, 3))
