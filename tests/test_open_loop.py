"""The open loop: init, step and finish; resume; callbacks and the progress bar."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrfjax
from lrfjax.types import Status
from tests.problems import BOX, RANK, SHAPE, low_rank_integers

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

NON_NEGATIVE = lrfjax.Model(lrfjax.NonNegative(), lrfjax.NonNegative())
SOLVES = {
    "integers": {"model": lrfjax.Model(BOX, BOX)},
    "affine": {
        "model": lrfjax.Model(BOX, BOX, fit_scale=True, fit_offset=True),
        "start": "balanced",
    },
    "nmf": {"model": NON_NEGATIVE, "method": lrfjax.Extrapolated(lrfjax.BCD(2)), "start": "nndsvd"},
    "kl": {
        "model": replace(NON_NEGATIVE, loss=lrfjax.KullbackLeibler()),
        "method": lrfjax.Extrapolated(lrfjax.BCD(2)),
        "start": "nndsvd",
    },
    "first order": {"method": lrfjax.FirstOrder(optax.adam(0.05)), "start": "random", "key": 1},
}


def _x(count=None):
    x = np.abs(low_rank_integers(4, count or 1, SHAPE, 4))
    return x if count else x[0]


def _by_hand(x, num_iters, **options):
    solve = lrfjax.init(x, RANK, num_iters=num_iters, **options)
    while not np.all(solve.is_done):
        solve = lrfjax.step(solve)
    return solve


def _assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("name", ["affine"])
def test_parts_of_a_solve_of_integers_equal_one(name):
    x = _x(3)
    whole = lrfjax.factorize(x, RANK, num_iters=6, **SOLVES[name])
    half = lrfjax.factorize(x, RANK, num_iters=3, **SOLVES[name])
    resumed = lrfjax.resume(lrfjax.resume(half, 2), 1)
    _assert_equal(whole.factors.u, resumed.factors.u)
    _assert_equal(whole.num_iters, resumed.num_iters)
    assert resumed.history.sweeps.shape == (3, 7)


@pytest.mark.parametrize("name", ["integers", "kl", "first order"])
def test_the_loop_by_hand_is_factorize(name):
    x = _x()
    whole = lrfjax.factorize(x, RANK, num_iters=6, **SOLVES[name])
    solve = _by_hand(x, 6, **SOLVES[name])
    result = lrfjax.finish(solve)
    np.testing.assert_allclose(result.history.objective, whole.history.objective, rtol=1e-4)
    assert int(result.status) == int(whole.status)
    _assert_equal(solve.factors, result.factors)
    assert int(solve.sweep) == int(result.num_iters)
    assert float(solve.entry.objective) == float(result.history.objective[-1])
    if name == "integers":
        _assert_equal(whole.factors, result.factors)


def test_steps_run_inside_jit_and_vmap():
    def three_steps(x):
        solve = lrfjax.init(x, RANK, model=NON_NEGATIVE, num_iters=5, start="nndsvd")
        solve = jax.lax.fori_loop(0, 3, lambda _, s: lrfjax.step(s), solve)
        return lrfjax.finish(solve)

    x = _x(2)
    mapped = jax.jit(jax.vmap(three_steps))(x)
    for k in range(2):
        solve = lrfjax.init(x[k], RANK, model=NON_NEGATIVE, num_iters=5, start="nndsvd")
        for _ in range(3):
            solve = lrfjax.step(solve)
        alone = lrfjax.finish(solve)
        np.testing.assert_array_equal(mapped.num_iters[k], 3)
        np.testing.assert_allclose(mapped.history.objective[k], alone.history.objective, rtol=1e-4)


@pytest.mark.slow
def test_a_batch_stops_problem_by_problem():
    x = _x(4)
    options = {"model": lrfjax.Model(BOX, BOX)}
    solve = _by_hand(x, 40, **options)
    whole = lrfjax.factorize(x, RANK, num_iters=40, **options)
    _assert_equal(lrfjax.finish(solve).num_iters, whole.num_iters)
    again = lrfjax.step(solve)
    _assert_equal(again.progress, solve.progress)


def test_a_solve_prints_what_it_is():
    assert "sweeps: 0" in repr(lrfjax.init(_x(), RANK, model=NON_NEGATIVE, start="nndsvd"))


def test_a_converged_solve_goes_on_with_a_new_rule():
    x = _x()
    loose = lrfjax.nmf(x, RANK, num_iters=30, tol=0.2)
    assert loose.converged
    goes_on = lrfjax.resume(loose, 10, stop=lrfjax.Stalled(1e-9))
    assert int(goes_on.num_iters) > int(loose.num_iters)
    assert float(goes_on.history.objective[-1]) < float(loose.history.objective[-1])


@pytest.mark.slow
def test_the_best_of_several_starts_goes_on():
    x = _x()
    result = lrfjax.nmf(x, RANK, num_iters=5, init="random", key=0, num_restarts=3)
    resumed = lrfjax.resume(result, 5)
    assert resumed.history.sweeps.shape == (11,)
    assert float(resumed.history.objective[5]) == float(result.history.objective[-1])
    assert np.all(np.diff(resumed.history.objective) <= 1e-4 * resumed.history.objective[0])


@pytest.mark.parametrize("every", [3])
def test_a_callback_sees_every_entry_and_the_factors(every):
    x, seen = _x(), []

    def callback(sweep, entry, look):
        seen.append((sweep, float(entry.objective), look()))

    options = {"model": lrfjax.Model(BOX, BOX), "num_iters": 6, "record_every": every}
    result = lrfjax.factorize(x, RANK, callback=callback, **options)
    silent = lrfjax.factorize(x, RANK, **options)
    _assert_equal(result, silent)
    sweeps, objectives, factors = zip(*seen, strict=True)
    np.testing.assert_array_equal(sweeps, result.history.sweeps[1 : len(sweeps) + 1])
    np.testing.assert_array_equal(objectives, result.history.objective[1 : len(sweeps) + 1])
    _assert_equal(factors[-1], result.factors)


def test_a_callback_stops_a_solve_which_can_go_on():
    x = _x()
    options = {"model": NON_NEGATIVE, "start": "nndsvd", "num_iters": 6}
    stopped = lrfjax.factorize(x, RANK, callback=lambda sweep, *_: sweep == 2, **options)
    assert stopped.status == Status.STOPPED
    assert stopped.status_name == "stopped"
    assert int(stopped.num_iters) == 2


def test_a_progress_bar_goes_to_the_end(capsys):
    lrfjax.factorize(_x(), RANK, model=NON_NEGATIVE, start="nndsvd", num_iters=6, progress=True)
    shown = capsys.readouterr().err
    assert "6/6" in shown
    assert "relative error" in shown


def test_own_values_are_recorded_in_the_units_of_x():
    def largest(factors):
        return jnp.max(factors.u) * jnp.max(factors.v)

    record = lrfjax.Record(fields=("factors",), own=(("largest", largest),))
    x = 4096 * _x()
    result = lrfjax.factorize(
        x, RANK, model=NON_NEGATIVE, start="nndsvd", num_iters=4, record=record
    )
    kept = result.history.factors
    expected = np.max(kept.u, axis=(1, 2)) * np.max(kept.v, axis=(1, 2))
    np.testing.assert_allclose(result.history.own["largest"], expected, rtol=1e-6)
    np.testing.assert_array_equal(
        result.history.to_dict()["largest"], result.history.own["largest"]
    )
