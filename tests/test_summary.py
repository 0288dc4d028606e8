"""Results at the prompt and in notebooks, and the many things that count as X, weights or a key."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental import sparse

import lrfjax
from tests.problems import RANK, SHAPE, SWEEPS, low_rank_integers, model

pytestmark = pytest.mark.unoptimized

X = low_rank_integers(3, 4, SHAPE, 4)


def solve(x, **options):
    return lrfjax.imf(x, RANK, num_iters=SWEEPS, **options)


def test_a_result_says_what_it_is():
    text = repr(solve(X[0]))
    for part in ("U: (18, 3) float32", "V: (12, 3) float32", "sweeps: ", "relative error: 0."):
        assert part in text
    assert len(text) < 200
    page = solve(X[0])._repr_html_()
    assert page.count("<tr>") == 5
    assert "relative error" in page
    many = repr(solve(X))
    assert "U: (4, 18, 3)" in many
    assert " to " in many
    assert "iteration limit" in many or "converged" in many


def test_a_history_says_what_it_holds():
    history = solve(X[0]).history
    assert "entries: (7,)" in repr(history)
    assert f"{float(history.relative_error[0]):.4g} -> " in repr(history)
    assert "num_changed" in repr(history)


def test_texts_need_no_numbers():
    seen = []

    def program(x):
        result = solve(x)
        seen.extend([repr(result), repr(result.history), repr(result.factors)])
        return result

    result = jax.jit(program)(X[0])
    assert "U: (18, 3) float32" in seen[0]
    assert "relative error" not in seen[0]
    for tree in (jax.tree.map(lambda a: None, result), jax.tree.map(lambda a: "?", result)):
        assert all(map(repr, (tree, tree.factors, tree.history)))
    assert "0 to" not in repr(jax.eval_shape(solve, X[0]))


def test_status_in_words():
    one = lrfjax.imf(np.ones(SHAPE), RANK, num_iters=SWEEPS)
    assert one.status_name == "converged"
    assert bool(one.converged)
    many = solve(X, tol=0.3)
    assert many.status_name.shape == many.converged.shape == (4,)
    assert np.array_equal(np.asarray(many.converged), many.status_name == "converged")


def test_equality_does_not_raise():
    one, other = solve(X[0]), solve(X[0])
    assert one == one
    assert one != other
    assert one.factors != other.factors
    assert len({one, other}) == 2


def test_a_history_as_columns():
    result = lrfjax.imf(np.ones(SHAPE), RANK, num_iters=SWEEPS)
    columns = result.history.to_dict()
    done = int(result.num_iters)
    assert done < SWEEPS
    assert columns["sweeps"].tolist() == list(range(done + 1))
    assert all(len(column) == done + 1 for column in columns.values())
    assert "factors" not in columns
    assert "projected_gradient" not in columns
    frame = result.history.to_pandas()
    assert frame.index.tolist() == columns["sweeps"].tolist()
    assert np.array_equal(frame["objective"], columns["objective"])
    with pytest.raises(lrfjax.InputError, match=r"batch of shape \(4,\)"):
        solve(X).history.to_dict()


def test_a_result_stands_for_its_factors_and_its_history():
    result = solve(X[0])
    assert np.array_equal(lrfjax.reconstruct(result), lrfjax.reconstruct(result.factors))
    first_order = partial(lrfjax.factorize, method=lrfjax.FirstOrder())
    for solver in (lrfjax.imf, lrfjax.factorize, first_order, lrfjax.init):
        name = "init" if solver is lrfjax.imf else "start"
        again, same = (
            solver(X[0], RANK, num_iters=1, **{name: start}) for start in (result, result.factors)
        )
        assert np.array_equal(again.factors.u, same.factors.u)
    assert lrfjax.sweeps_to(result, 0.9) == lrfjax.sweeps_to(result.history, 0.9)


def test_masks_are_weights():
    mask = np.random.default_rng(0).random(SHAPE) < 0.2
    data = np.where(mask, np.nan, X[0])
    masked = solve(np.ma.masked_array(data, mask))
    weighted = solve(X[0], weights=~mask)
    assert np.array_equal(masked.factors.u, weighted.factors.u)
    both = solve(np.ma.masked_array(data, mask), weights=np.full(SHAPE, 2.0))
    assert np.array_equal(both.factors.u, weighted.factors.u)
    plain = solve(np.ma.masked_array(X[0], np.zeros(SHAPE, bool)))
    assert np.array_equal(plain.factors.u, solve(X[0]).factors.u)
    with pytest.raises(lrfjax.InputTypeError, match="x must be without a mask here"):
        lrfjax.svd(np.ma.masked_array(data, mask), RANK)


def test_booleans_are_numbers():
    x = X[0] > 0
    assert np.array_equal(solve(x).factors.u, solve(x.astype(float)).factors.u)
    assert np.array_equal(lrfjax.svd(jnp.asarray(x), 1).factors.u, lrfjax.svd(1 * x, 1).factors.u)


def test_integers_are_seeds():
    by_seed, by_key = (solve(X[0], init="random", key=key) for key in (7, jax.random.key(7)))
    assert np.array_equal(by_seed.factors.u, by_key.factors.u)
    with pytest.raises(lrfjax.InputError, match="key must be between 0 and"):
        solve(X[0], init="random", key=-1)


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
def test_sparse_matrices_say_what_to_do(make):
    with pytest.raises(lrfjax.InputTypeError, match=r"x must be a dense array.*x\.toarray\(\)"):
        solve(make(X[0]))


def test_sparse_arrays_of_jax_say_what_to_do():
    with pytest.raises(lrfjax.InputTypeError, match=r"x must be a dense array.*x\.todense\(\)"):
        solve(sparse.BCOO.fromdense(X[0]))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.random.default_rng(0).random(SHAPE) * 0.01, "all entries of [uv] are 0.*too small"),
        (np.random.default_rng(0).random(SHAPE) * 1e5, "lie at their bounds.*too large"),
    ],
)
def test_x_of_the_wrong_size_is_told(x, words):
    with pytest.warns(lrfjax.FitWarning, match=words) as found:
        solve(x)
    assert found[0].filename == __file__
    assert "fit_scale" in str(found[0].message)
    # The remedy works, and says nothing.
    result = solve(x, init="balanced", fit_scale=True, fit_offset=True)
    assert float(result.history.relative_error[-1]) < 0.45


@pytest.mark.slow
def test_nothing_is_told_where_nothing_is_wrong():
    # Warnings are errors here.
    solve(np.zeros(SHAPE))
    lrfjax.imf(np.random.default_rng(0).random(SHAPE) < 0.5, RANK, bounds=(0, 1))
    lrfjax.imf(np.random.default_rng(0).random(SHAPE) * 0.01, RANK, num_iters=0)
    lrfjax.imf(X[0], RANK, num_iters=SWEEPS, rate=1e6)
    dear = model(lrfjax.IntegerBox(-16, 15), l1=1e6)
    lrfjax.factorize(X[0], RANK, model=dear, num_iters=SWEEPS)
    jax.jit(solve)(np.random.default_rng(0).random(SHAPE) * 0.01)
