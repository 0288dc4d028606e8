"""What makes solvers faster or their minima lower: extrapolation, passes, joint moves, stopping."""

import itertools
from dataclasses import dataclass

import jax
import numpy as np
import pytest
from sklearn.decomposition import NMF

import lrfjax
from tests.problems import (
    EPS,
    RANK,
    SHAPE,
    SWEEPS,
    every_sweep,
    exact_objective,
    integer_matrices,
    model,
    objective_in_float64,
)

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

X = np.random.default_rng(4).random(SHAPE).astype(np.float32)
BITS = lrfjax.IntegerBox(-16, 15)
FAST = lrfjax.Extrapolated(lrfjax.BCD((2, 3)))


@pytest.mark.parametrize("name", ["non-negative", "real", "box"])
def test_accelerated_sweeps_never_rise_and_gain_more(name):
    x = np.random.default_rng(1).random((30, 40, 20)).astype(np.float32) ** 3
    common = {"model": model(name), "num_iters": 40, "start": "random", "record": ()}
    plain, fast = (
        lrfjax.factorize(x, 6, method=method, key=jax.random.key(0), **common)
        for method in (lrfjax.BCD(), lrfjax.Extrapolated())
    )
    history = np.asarray(fast.history.objective)
    assert np.all(np.diff(history, axis=1) <= 10 * EPS * (x**2).sum(axis=(1, 2))[:, None])
    final = objective_in_float64(x, fast.factors.u, fast.factors.v)
    assert np.allclose(history[:, -1], final, rtol=1e-4)
    assert np.mean(history[:, -1] < plain.history.objective[:, -1]) > 0.6
    assert np.median(history[:, 20] / plain.history.objective[:, 20]) < 1


def test_photographs_need_fewer_accelerated_sweeps(luma_matrix):
    common = {"num_iters": 200, "record": ()}
    plain = lrfjax.nmf(luma_matrix, 8, method=lrfjax.BCD(), **common)
    fast = lrfjax.nmf(luma_matrix, 8, **common)
    goal = float(plain.history.relative_error[-1])
    assert 0 < int(lrfjax.sweeps_to(fast.history, goal)) < 100


@pytest.mark.parametrize("rank", [2, 5])
def test_nmf_agrees_with_scikit_learn(rank):
    x = np.random.default_rng(2).random(SHAPE).astype(np.float32)
    reference = NMF(rank, init="custom", solver="cd", max_iter=3000, tol=0)
    rng = np.random.default_rng(3)
    u, v = (rng.random((n, rank)).astype(np.float32) for n in SHAPE)
    w = reference.fit_transform(x, W=u.copy(), H=v.T.copy())
    theirs = objective_in_float64(x, w, reference.components_.T)
    for method in (None, lrfjax.BCD()):
        start = lrfjax.Factors(u, v)
        ours = lrfjax.nmf(x, rank, init=start, num_iters=2000, record_every=2000, method=method)
        assert abs(float(ours.history.objective[-1]) / theirs - 1) < 0.01


@pytest.mark.parametrize("passes", [2, (1, 4)])
def test_more_passes_descend_too(passes):
    x = integer_matrices(1, 40, SHAPE, 60)
    _, factors = every_sweep(
        lrfjax.factorize, x, RANK, SWEEPS, model=model(BITS), method=lrfjax.BCD(passes)
    )
    values = [exact_objective(x, each.u, each.v) for each in factors]
    assert np.all(np.diff(values, axis=0) <= 0)


def test_a_second_pass_goes_on_where_the_first_ended():
    x = integer_matrices(3, 1, SHAPE, 60)[0]
    start = lrfjax.imf(x, RANK, num_iters=SWEEPS).factors
    fixed = {"model": model(BITS, is_fixed=(False, True)), "num_iters": 1, "record": ()}
    once = lrfjax.factorize(x, RANK, start=start, **fixed).factors
    twice = lrfjax.factorize(x, RANK, start=once, **fixed).factors
    together = lrfjax.factorize(x, RANK, start=start, method=lrfjax.BCD(2), **fixed).factors
    assert np.array_equal(twice.u, together.u)


@pytest.mark.parametrize("bounds", [(-16, 15), (-2, 2), (0, 9)])
def test_joint_moves_descend_exactly_and_end_where_no_pair_gains(bounds):
    x = np.concatenate([integer_matrices(1, 10, (9, 6), 50), integer_matrices(2, 10, (9, 6), 200)])
    box, method = lrfjax.IntegerBox(*bounds), lrfjax.BCD(joint_moves=True)
    _, factors = every_sweep(lrfjax.factorize, x, 3, 30, model=model(box), method=method)
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
    affine = model(BITS, fit_scale=True, fit_offset=True)

    def end(rank, joint_moves):
        method = lrfjax.BCD(joint_moves=joint_moves)
        result = lrfjax.factorize(
            luma_matrix, rank, model=affine, start="balanced", method=method, record=()
        )
        return float(result.history.objective[-1])

    single, joint = ([end(rank, with_pairs) for rank in (4, 6, 8)] for with_pairs in (False, True))
    assert sum(np.log(joint)) < sum(np.log(single))


@pytest.mark.slow
def test_joint_moves_keep_what_is_frozen_and_count_penalties():
    x = integer_matrices(4, 40, SHAPE, 60)
    first = lrfjax.imf(x, RANK, num_iters=SWEEPS, record=()).factors
    kept = np.array([True, False, True])
    result = lrfjax.factorize(
        x, RANK, model=model(BITS, l1=2.0, l2=0.5, frozen=(kept, None)), start=first,
        method=lrfjax.BCD(joint_moves=True), num_iters=SWEEPS, record=(),
    )  # fmt: skip
    assert np.array_equal(result.factors.u[..., kept], first.u[..., kept])
    history = np.asarray(result.history.objective)
    assert np.all(np.diff(history, axis=1) <= 2 * EPS * history[:, :1])


@pytest.mark.parametrize(
    ("rule", "tolerance"),
    [(lrfjax.Stalled, 1e-4), (lrfjax.SmallChange, 1e-2), (lrfjax.SmallGradient, 1e-2)],
)
def test_each_rule_stops(rule, tolerance):
    result = _stopped_by(rule(tolerance))
    done = int(result.num_iters)
    assert int(result.status) == lrfjax.Status.CONVERGED
    assert done < 2000
    history = result.history
    if rule is lrfjax.Stalled:
        same = lrfjax.nmf(X, RANK, num_iters=2000, tol=tolerance)
        assert int(same.num_iters) == done
    if rule is lrfjax.SmallGradient:
        ratio = np.asarray(history.projected_gradient) / history.projected_gradient[0]
        assert ratio[done] <= tolerance < ratio[done - 1]
    if rule is lrfjax.SmallChange:
        assert np.maximum(history.u_change, history.v_change)[done] <= tolerance


def _stopped_by(stop, **options):
    """Return what ``nmf`` computes, with another stopping rule."""
    return lrfjax.factorize(
        X, RANK, model=model("non-negative"), method=FAST, start="nndsvd", num_iters=2000,
        stop=stop, **options,
    )  # fmt: skip


def test_of_several_rules_the_first_one_stops():
    rules = (lrfjax.Stalled(1e-4), lrfjax.SmallChange(1e-2), lrfjax.SmallGradient(1e-2))
    alone = [int(_stopped_by(rule).num_iters) for rule in rules]
    assert len(set(alone)) == 3
    assert int(_stopped_by(lrfjax.AnyOf(rules)).num_iters) == min(alone)
    off = tuple(type(rule)(0.0) for rule in rules)
    assert int(_stopped_by(lrfjax.AnyOf((*off, rules[1]))).num_iters) == alone[1]


def test_what_is_recorded_does_not_change_when_to_stop():
    quiet = _stopped_by(lrfjax.SmallGradient(1e-2), record=())
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
    ("make", "message"),
    [
        (lambda: {"method": lrfjax.BCD(0)}, "num_passes must be at least 1, got 0"),
        (lambda: {"stop": lrfjax.Stalled(-1)}, "stop must be at least 0.0, got -1"),
        (lambda: {"stop": lrfjax.SmallChange(-1.0)}, "stop must be at least 0.0, got -1"),
        (lambda: {"stop": lrfjax.SmallGradient(np.nan)}, "stop must be at least 0.0, got nan"),
        (lambda: {"stop": lrfjax.AnyOf((lrfjax.Stalled(-1),))}, "stop must be at least 0.0"),
        (
            lambda: {"method": lrfjax.BCD(joint_moves=True)},
            "joint_moves=True needs an integer factor",
        ),
        (
            lambda: {"fixed_length": True, "stop": lrfjax.Stalled(0.1)},
            "fixed_length=True runs all sweeps",
        ),
        (
            lambda: {"start": "balanced", "num_restarts": 2},
            "num_restarts=2 from .balanced. needs",
        ),
        (
            lambda: {
                "model": model(BITS),
                "method": lrfjax.BCD(joint_moves=True),
                "weights": np.ones((4, 3)),
            },
            "joint_moves=True does not support weights",
        ),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(lrfjax.InputError, match=message):
        lrfjax.factorize(np.ones((4, 3)), 2, **make())


def test_a_bad_tolerance_of_a_preset_is_named():
    x = np.ones((4, 3))
    for solver in (lrfjax.imf, lrfjax.nmf):
        with pytest.raises(lrfjax.InputError, match=r"tol must be at least 0\.0, got -1"):
            solver(x, 2, tol=-1)


@pytest.mark.parametrize("rules", [3, (lrfjax.Stalled(0.1), "tol"), (lrfjax.BCD(),)])
def test_what_is_no_rule_is_named(rules):
    with pytest.raises(lrfjax.InputTypeError, match="stop must"):
        lrfjax.factorize(np.ones((4, 3)), 2, stop=lrfjax.AnyOf(rules))


def test_rules_of_the_caller_may_have_any_numbers():
    @jax.tree_util.register_dataclass
    @dataclass(frozen=True)
    class Below(lrfjax.Stop):
        """Stop where the objective plus a number is negative."""

        shift: float

        def __call__(self, first, before, after):
            return after.objective + self.shift < 0

    x = np.outer(np.arange(1.0, 19), np.arange(1.0, 13))
    result = lrfjax.factorize(x, 1, stop=Below(-1e-3), num_iters=50)
    assert int(result.status) == lrfjax.Status.CONVERGED
    assert float(result.history.objective[-1]) < 1e-3


def test_integers_have_no_extrapolation_and_no_gradient():
    box = lrfjax.IntegerBox(np.float32(-3), np.float32(3))
    with pytest.raises(lrfjax.InputError, match=r"Extrapolated\(.*\) needs continuous sets"):
        lrfjax.factorize(np.ones((4, 3)), 2, model=model(box), method=lrfjax.Extrapolated())
    with pytest.raises(lrfjax.InputError, match="stop needs 'projected_gradient', which does not"):
        lrfjax.factorize(np.ones((4, 3)), 2, model=model(box), stop=lrfjax.SmallGradient(0.1))
    with pytest.raises(lrfjax.InputTypeError, match="num_passes must be an integer or a pair"):
        lrfjax.BCD((1, 2, 3))
