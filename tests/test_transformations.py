"""jit, vmap, batches, padding and traced arguments change nothing; sweeps compile once a bucket."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrfjax
from tests.problems import RANK, SHAPE, SWEEPS, low_rank_integers, mostly_slow

pytestmark = pytest.mark.unoptimized

OPTIMIZER = optax.sgd(0.1)
FIELDS = ("u_change", "factors")
SOLVERS = {
    "imf": lambda x, rank: lrfjax.imf(x, rank, num_iters=SWEEPS, record=FIELDS),
    "nmf": lambda x, rank: lrfjax.nmf(jnp.abs(x), rank, num_iters=SWEEPS, record=FIELDS),
    "svd": lrfjax.svd,
}


@pytest.fixture(scope="module")
def batch():
    return low_rank_integers(11, 4, SHAPE, 4)


def _assert_same(a, b, exact):
    """Compare results; the changes of the first sweep are from real factors, good to rounding."""
    for (path, left), right in zip(jax.tree.leaves_with_path(a), jax.tree.leaves(b), strict=True):
        left, right = np.asarray(left), np.asarray(right)
        assert left.shape == right.shape
        if exact and "change" in jax.tree_util.keystr(path):
            assert np.allclose(left, right, rtol=1e-5)
        elif exact:
            assert np.array_equal(left, right)
        else:
            assert np.allclose(left, right, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_batch_a_loop_vmap_and_jit_agree(name, batch):
    solver, exact = SOLVERS[name], name == "imf"
    loop = [solver(x, RANK) for x in batch]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *loop)
    _assert_same(solver(batch, RANK), stacked, exact)
    _assert_same(jax.jit(lambda x: solver(x, RANK))(batch[0]), loop[0], exact)
    _assert_same(jax.jit(jax.vmap(lambda x: solver(x, RANK)))(batch), stacked, exact)


@pytest.mark.parametrize("name", SOLVERS)
def test_any_number_of_batch_axes(name, batch):
    solver = SOLVERS[name]
    result = solver(batch.reshape(2, 1, 2, *SHAPE), RANK)
    assert result.factors.u.shape == (2, 1, 2, SHAPE[0], RANK)
    assert result.factors.v.shape == (2, 1, 2, SHAPE[1], RANK)
    assert result.history.objective.shape[:3] == (2, 1, 2)
    assert result.status.shape == (2, 1, 2)
    flat = solver(batch, RANK)
    assert np.array_equal(result.factors.u.reshape(4, SHAPE[0], RANK), flat.factors.u)


def test_padding_changes_nothing(batch):
    # Rank 8 fills its bucket and rank 3 does not; a traced rank has a bucket of all columns.
    x = batch[0]
    traced_solve = jax.jit(lambda x, r: lrfjax.imf(x, r, num_iters=SWEEPS))
    for rank in (RANK, 8):
        padded = lrfjax.imf(x, rank, num_iters=SWEEPS)
        traced = traced_solve(x, rank)
        assert traced.factors.u.shape == SHAPE
        assert not np.any(np.asarray(traced.factors.u[:, rank:]))
        assert np.array_equal(traced.factors.u[:, :rank], padded.factors.u)
        assert np.array_equal(traced.history.objective, padded.history.objective)
        assert np.array_equal(traced.history.bound_share, padded.history.bound_share)


def test_random_starts_do_not_depend_on_the_bucket(batch):
    def start(rank):
        key = jax.random.key(0)
        return lrfjax.imf(batch[0], rank, init="random", key=key, num_iters=0, record=()).factors

    assert np.array_equal(jax.jit(start)(RANK).u[:, :RANK], start(RANK).u)


def test_vmap_over_ranks(batch):
    def errors(rank):
        return lrfjax.imf(batch[0], rank, num_iters=SWEEPS).history.relative_error

    ranks = (1, 4, 7)
    for rank, row in zip(ranks, jax.vmap(errors)(jnp.array(ranks)), strict=True):
        assert np.allclose(row, errors(rank), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::lrfjax.FitWarning")
def test_a_sweep_over_ranks_bounds_and_tolerances_compiles_once_a_bucket(compilations):
    x = np.random.default_rng(0).integers(0, 256, (40, 24)).astype(np.float32)
    ranks = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16]
    for rank in ranks:
        for bounds in [(-16, 15), (-8, 7.0), (np.int64(-128), 127), (0, np.float32(31))]:
            result = lrfjax.imf(x, rank, bounds=bounds, num_iters=2, tol=1e-3 * rank, record=())
            assert result.factors.u.shape == (40, rank)
    assert compilations.count <= 3  # buckets of 8 and 16, and a conversion


def test_warm_starts_of_many_ranks_compile_once_a_bucket(compilations):
    x = np.random.default_rng(0).integers(0, 256, (70, 16)).astype(np.float32)
    for rank in range(1, 9):
        factors = lrfjax.Factors(np.ones((70, rank), np.float32), np.ones((16, rank), np.float32))
        lrfjax.imf(x, np.int64(rank), num_iters=2, init=factors, record=())
    assert compilations.count <= 1


def test_warm_start_continues_where_it_stopped(batch):
    whole = lrfjax.imf(batch[0], RANK, num_iters=2 * SWEEPS)
    half = lrfjax.imf(batch[0], RANK, num_iters=SWEEPS)
    rest = lrfjax.imf(batch[0], RANK, num_iters=SWEEPS, init=half.factors)
    assert np.array_equal(rest.factors.u, whole.factors.u)
    assert np.array_equal(rest.history.objective, whole.history.objective[SWEEPS:])


def test_strict_promotion_and_nan_checks_pass(batch):
    with jax.numpy_dtype_promotion("strict"), jax.debug_nans(True):
        for solver in SOLVERS.values():
            solver(batch[0], RANK)


def _front_doors():
    start = lrfjax.imf(np.ones(SHAPE), RANK, num_iters=0, record=()).factors
    box = lrfjax.IntegerBox(np.float32(-5), np.float32(6))
    fixed = lrfjax.FactorModel(is_fixed=True)
    nmf = lrfjax.Model(lrfjax.NonNegative(), lrfjax.NonNegative())
    affine = {"init": "balanced", "fit_scale": True, "fit_offset": True}
    return {
        **SOLVERS,
        "weights": lambda x, rank: lrfjax.imf(
            x, rank, num_iters=SWEEPS, weights=np.ones(SHAPE), **affine
        ),
        "frozen": lambda x, rank: lrfjax.factorize(
            x, rank, start=start, model=lrfjax.Model(box, fixed), num_iters=SWEEPS
        ),
        "restarts": lambda x, rank: lrfjax.factorize(
            x,
            rank,
            model=lrfjax.Model(box, box, fit_scale=True, fit_offset=True),
            method=lrfjax.BCD(joint_moves=True),
            start="balanced",
            num_iters=SWEEPS,
            num_restarts=2,
        ),
        "gradient": lambda x, rank: lrfjax.factorize(
            x, rank, model=nmf, method=lrfjax.FirstOrder(OPTIMIZER), num_iters=2
        ),
        "divergence": lambda x, rank: lrfjax.factorize(
            x + 1, rank, model=replace(nmf, loss=lrfjax.KullbackLeibler()), num_iters=2
        ),
        "multiplicative": lambda x, rank: lrfjax.factorize(
            x, rank, model=nmf, method=lrfjax.Multiplicative(), num_iters=2
        ),
        "rate": lambda x, rank: lrfjax.imf(x, rank, num_iters=2, rate=4.0),
    }


PARTS = ("divergence", "multiplicative", "rate")
DOORS = ("imf", "nmf", "svd", "weights", "frozen", "restarts", "gradient", *PARTS)


@pytest.mark.parametrize("name", mostly_slow(DOORS, ["imf", "weights"]))
def test_strict_settings_of_the_caller_change_nothing(name, batch):
    solver, x = _front_doors()[name], np.abs(batch[0])
    plain = solver(x, RANK)
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        _assert_same(plain, solver(x, RANK), exact=True)


@pytest.mark.parametrize("name", mostly_slow(["frozen", "svd", "gradient"], ["svd"]))
def test_solvers_run_without_jit(name, batch):
    solver, x = _front_doors()[name], np.abs(batch[0])
    plain = solver(x, RANK)
    with jax.disable_jit():
        inside = solver(x, RANK)
    # Sums run in another order.
    _assert_same(plain, inside, exact=False)


@pytest.mark.parametrize("name", mostly_slow(["imf", "svd", "restarts"], ["imf", "svd"]))
def test_results_can_be_exported(name, batch):
    solver = jax.jit(lambda x: _front_doors()[name](x, RANK))
    x = np.abs(batch[0])
    exported = jax.export.export(solver)(jax.ShapeDtypeStruct(x.shape, x.dtype))
    again = jax.export.deserialize(exported.serialize())
    result = again.call(x)
    assert isinstance(result, lrfjax.Result)
    _assert_same(result, solver(x), exact=False)


def test_no_host_callbacks(batch):
    lowered = jax.jit(lambda x: lrfjax.imf(x, RANK)).lower(batch[0]).as_text()
    assert "callback" not in lowered


def test_float64_stays_float64_where_it_is_enabled(batch):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        x = batch[0].astype(np.float64)
        for solver in SOLVERS.values():
            result = solver(x, RANK)
            assert result.factors.u.dtype == jnp.float64
            assert result.history.objective.dtype == jnp.float64
            assert result.status.dtype == jnp.int32
    assert SOLVERS["imf"](batch[0].astype(np.float64), RANK).factors.u.dtype == jnp.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64, jnp.bfloat16])
def test_other_dtypes_are_computed_in_float32(dtype, batch):
    x = np.abs(batch[0]).astype(dtype)
    result = lrfjax.imf(x, RANK, num_iters=SWEEPS)
    assert result.factors.u.dtype == jnp.float32
    expected = lrfjax.imf(x.astype(np.float32), RANK, num_iters=SWEEPS)
    assert np.array_equal(result.factors.u, expected.factors.u)
