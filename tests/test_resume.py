"""A solve that goes on ends as if it had never stopped."""

import jax
import numpy as np
import pytest

import lrfjax
from tests.problems import RANK, SHAPE, low_rank_integers

X = np.abs(low_rank_integers(2, 5, SHAPE, 4)).astype(np.float32) + 0.3
POSITIVE = lrfjax.Model(lrfjax.NonNegative(), lrfjax.NonNegative())
METHODS = {
    "ahead": lrfjax.Extrapolated(lrfjax.BCD(2)),
    "first-order": lrfjax.FirstOrder(),
}


def _solve(x, num_iters, name="ahead", **parts):
    return lrfjax.factorize(
        x, RANK, model=POSITIVE, start="nndsvd", method=METHODS[name], num_iters=num_iters, **parts
    )


def _assert_same(found, expected):
    found, expected = jax.tree.leaves(found), jax.tree.leaves(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("ahead", X[0]),
        pytest.param("ahead", X, marks=pytest.mark.slow),
        pytest.param("first-order", X[0], marks=pytest.mark.slow),
    ],
)
def test_two_parts_are_one_run_bit_for_bit(name, x):
    _assert_same(lrfjax.resume(_solve(x, 4, name), 6), _solve(x, 10, name))


@pytest.mark.slow
def test_a_solve_that_a_callback_stopped_goes_on_from_there():
    early = _solve(X[0], 10, callback=lambda sweep, entry, factors: sweep == 3)
    assert early.status == lrfjax.Status.STOPPED
    assert early.num_iters == 3
    _assert_same(lrfjax.resume(early, 2), _solve(X[0], 5))  # fewer sweeps in all than asked for
    _assert_same(lrfjax.resume(early, 9), _solve(X[0], 12))


@pytest.mark.slow
def test_a_solve_with_a_new_rule_goes_on_from_where_the_old_one_stopped():
    early = _solve(X[0], 50, stop=lrfjax.Stalled(0.05))
    done = int(early.num_iters)
    assert early.converged
    assert 0 < done < 40
    same = lrfjax.resume(early, 4)
    assert same.converged
    assert same.num_iters == done
    _assert_same(same, _solve(X[0], 54, stop=lrfjax.Stalled(0.05)))
    further = lrfjax.resume(early, 4, stop=lrfjax.Stalled(1e-9))
    _assert_same(further, _solve(X[0], done + 4, stop=lrfjax.Stalled(1e-9)))


@pytest.mark.slow
def test_problems_that_stopped_at_different_sweeps_end_at_the_same_one():
    x = np.stack([X[0], np.where(np.eye(*SHAPE) > 0, 9.0, 0.1).astype(np.float32)])
    early = _solve(x, 50, stop=lrfjax.Stalled(0.05))
    done = np.asarray(early.num_iters)
    assert done[0] != done[1]
    assert done.max() < 50
    further = lrfjax.resume(early, 4, stop=lrfjax.Stalled(0.0))
    _assert_same(further, _solve(x, int(done.max()) + 4))
