"""What histories hold, under every transformation, and what is made of them."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

import lrfjax
from tests.problems import RANK, SHAPE, SWEEPS, low_rank_integers, model

pytestmark = pytest.mark.unoptimized

X = np.abs(low_rank_integers(1, 4, SHAPE, 4))


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_the_factors_of_every_sweep_are_kept_on_request():
    fields = ("u_change", "v_change", "factors")
    kept = lrfjax.imf(X[0], RANK, num_iters=SWEEPS, record=fields).history.factors
    assert kept.u.shape == (SWEEPS + 1, SHAPE[0], RANK)
    assert kept.v.shape == (SWEEPS + 1, SHAPE[1], RANK)
    for sweep in (0, 2, SWEEPS):
        there = lrfjax.imf(X[0], RANK, num_iters=sweep, record=()).factors
        assert np.array_equal(kept.u[sweep], there.u)
        assert np.array_equal(kept.v[sweep], there.v)


@pytest.mark.parametrize("solver", [lrfjax.imf, lrfjax.nmf])
def test_changes_are_relative_to_the_entry_before(solver):
    fields = ("u_change", "v_change", "factors")
    history = solver(X[0], RANK, num_iters=SWEEPS, record=fields).history
    for name in ("u", "v"):
        kept = np.asarray(getattr(history.factors, name), np.float64)
        change = np.asarray(getattr(history, f"{name}_change"))
        assert change[0] == 0
        # The first sweep of integers sets off from the start before rounding.
        for k in range(2 if solver is lrfjax.imf else 1, SWEEPS + 1):
            expected = np.linalg.norm(kept[k] - kept[k - 1]) / np.linalg.norm(kept[k])
            assert np.isclose(change[k], expected, rtol=1e-4, atol=1e-7)


def test_changes_are_those_since_the_entry_before():
    fields = ("u_change", "v_change", "factors")
    history = lrfjax.imf(X[0], RANK, num_iters=SWEEPS, record_every=3, record=fields).history
    kept = np.asarray(history.factors.u, np.float64)
    expected = np.linalg.norm(kept[2] - kept[1]) / np.linalg.norm(kept[2])
    assert np.isclose(history.u_change[2], expected, rtol=1e-4, atol=1e-7)


def test_a_restart_keeps_its_factors_too():
    result = lrfjax.imf(
        X[0],
        RANK,
        num_iters=2,
        init="random",
        key=jax.random.key(0),
        num_restarts=3,
        record=("factors",),
    )
    assert result.history.factors.u.shape == (3, SHAPE[0], RANK)
    assert result.restarts.factors.u.shape == (3, 3, SHAPE[0], RANK)
    assert result.restarts.u_change is None


def test_what_is_not_asked_for_is_not_there():
    full = lrfjax.imf(X[0], RANK, num_iters=SWEEPS)
    bare = lrfjax.imf(X[0], RANK, num_iters=SWEEPS, record=())
    assert bare.history.num_changed is None
    assert bare.history.u_change is None
    assert np.array_equal(bare.history.objective, full.history.objective)
    gradient = lrfjax.factorize(
        X[0], RANK, model=model("non-negative"), method=lrfjax.FirstOrder(), num_iters=2,
        record=("factors",),
    )  # fmt: skip
    assert gradient.history.factors.u.shape == (3, SHAPE[0], RANK)
    assert gradient.history.bound_share is None


@pytest.mark.parametrize("l1", [0.0, 0.3])
def test_the_projected_gradient_vanishes_at_a_penalised_minimum(l1):
    x = np.random.default_rng(3).random((20, 12))
    with jax.enable_x64(True):
        result = lrfjax.nmf(x, 3, num_iters=3000, record_every=3000, l1=l1 / 20, l2=0.01)
        gradient = np.asarray(result.history.projected_gradient)
    assert gradient[-1] < 1e-5 * gradient[0]


def test_the_gradient_of_a_frozen_factor_does_not_count():
    start = lrfjax.Factors(np.ones((18, 3)), np.random.default_rng(0).random((12, 3)))
    fixed = model("non-negative", is_fixed=(False, True))
    method = lrfjax.Extrapolated(lrfjax.BCD((2, 3)))
    result = lrfjax.factorize(X[0], RANK, model=fixed, method=method, num_iters=300, start=start)
    gradient = np.asarray(result.history.projected_gradient)
    assert gradient[-1] < 1e-3 * gradient[0]


def test_sweeps_to_a_tolerance():
    history = lrfjax.imf(X, RANK, num_iters=SWEEPS).history
    errors = np.asarray(history.relative_error)
    bound = float(errors[0, 2])
    expected = [
        int(history.sweeps[k][np.argmax(e <= bound)]) if np.any(e <= bound) else -1
        for k, e in enumerate(errors)
    ]
    assert np.array_equal(lrfjax.sweeps_to(history, bound), expected)
    assert np.all(lrfjax.sweeps_to(history, 0.0) == -1)
    with pytest.raises(lrfjax.InputError, match="relative_error must be at least"):
        lrfjax.sweeps_to(history, -1.0)


def test_a_table_has_a_line_for_each_solver():
    results = {
        "IMF": lrfjax.imf(X[0], RANK, num_iters=SWEEPS),
        "batch": lrfjax.nmf(X, RANK, num_iters=SWEEPS, tol=1e-2),
    }
    times = {"IMF": lrfjax.SweepTimes(0.001, 0.002)}
    text = lrfjax.convergence_table(results, (0.5, 1e-9), times)
    lines = text.splitlines()
    assert len(lines) == 3
    assert "to 0.5" in lines[0]
    sweeps = int(results["IMF"].num_iters)
    assert f"{1 + 2 * sweeps:.1f} ms" in lines[1]
    assert "converged" in lines[2]
    assert "- in 100%" in lines[2]
    with pytest.raises(lrfjax.InputError, match="results must hold"):
        lrfjax.convergence_table({})
    with pytest.raises(lrfjax.InputError, match=r"times must name results, got \['SVD'\]"):
        lrfjax.convergence_table(results, times={"SVD": times["IMF"]})


def test_times_of_a_solver():
    times = lrfjax.time_sweeps(
        lambda n: lrfjax.nmf(X[0], RANK, num_iters=n, record_every=n, record=()), 6, 3
    )
    assert times.start > 0
    assert np.allclose(
        times.after(np.array([0, 10])), [times.start, times.start + 10 * times.sweep]
    )
    stops = lambda n: lrfjax.imf(np.outer([1, 2], [3, 4]), 1, num_iters=n)  # noqa: E731
    with pytest.raises(lrfjax.InputError, match="solve must do all sweeps"):
        lrfjax.time_sweeps(stops, 50, 1)
    with pytest.raises(lrfjax.InputTypeError, match="solve must be a function"):
        lrfjax.time_sweeps(3)


def test_a_batch_is_drawn_with_its_band_and_seconds_on_the_axis():
    results = {
        "IMF": lrfjax.imf(X, RANK, num_iters=SWEEPS),
        "NMF": lrfjax.nmf(X[0], RANK, num_iters=SWEEPS),
    }
    ax = lrfjax.plot_convergence(results).axes[0]
    assert len(ax.collections) == 1
    errors = np.asarray(results["IMF"].history.relative_error)
    drawn = np.asarray(ax.lines[0].get_ydata())
    assert np.allclose(drawn, np.median(errors, axis=0)[: drawn.size])
    times = {name: lrfjax.SweepTimes(0.5, 0.25) for name in results}
    ax = lrfjax.plot_convergence(results, times=times).axes[0]
    assert ax.get_xlabel() == "time (ms)"
    assert np.asarray(ax.lines[1].get_xdata())[1] == 750
    with pytest.raises(lrfjax.InputError, match=r"times must have all results, lacks \['NMF'\]"):
        lrfjax.plot_convergence(results, times={"IMF": times["IMF"]})


@pytest.mark.parametrize(
    ("record", "error", "message"),
    [
        (("nonsense",), lrfjax.InputError, "record must be one of"),
        ("factors", lrfjax.InputTypeError, "record must be a sequence of names"),
        (("projected_gradient",), lrfjax.InputError, "record names 'projected_gradient'"),
        ((3,), lrfjax.InputError, "record must be one of"),
    ],
)
def test_bad_records(record, error, message):
    with pytest.raises(error, match=message):
        lrfjax.imf(X[0], 3, record=record)
