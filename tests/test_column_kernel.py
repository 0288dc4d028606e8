"""The GPU kernel for column updates: emulated, lowered, and the choice whether to use it."""

import warnings
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from lrfjax.solvers.methods import column_kernel
from lrfjax.solvers.methods.column_kernel import kernel_for, update_by_kernel
from lrfjax.solvers.methods.columns import Subproblem, update_by_products
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.penalties.penalty import L1, L2
from lrfjax.solvers.sets.boxes import Box, IntegerBox, NonNegative, Real

pytestmark = pytest.mark.unoptimized

NUM_ROWS, LENGTH, RANK = 12, 70, 9  # neither a power of two nor whole tiles
REACH = np.arange(1, NUM_ROWS + 1, dtype=np.float32)
CONSTRAINTS = {
    "real": Real(),
    "non-negative": NonNegative(),
    "box by column": Box(-REACH / 4, REACH / 4),
    "integers": IntegerBox(np.float32(-16), np.float32(15)),
    "integers by column": IntegerBox(-REACH, REACH / 2),
}
BOX = CONSTRAINTS["integers by column"]
KL = lrfjax.KullbackLeibler()


def problem(seed: int = 0, num_rows: int = NUM_ROWS):
    """Products, Gram matrix, factor and norm of integer matrices; the partner of column 2 is 0."""
    rng = np.random.default_rng(seed)
    live = (np.arange(num_rows) < RANK) & (np.arange(num_rows) != 2)
    partner = rng.integers(-5, 6, (40, num_rows)) * live
    x = rng.integers(-60, 61, (LENGTH, 40))
    factor = rng.integers(-20, 21, (LENGTH, num_rows)) + 0.5 * (np.arange(num_rows) == 2)
    arrays = (x @ partner).T, partner.T @ partner, factor.T
    norm = np.sqrt(np.max(np.sum(x * x, axis=1)))
    return [jnp.asarray(a, jnp.float32) for a in (*arrays, norm)]


@partial(jax.jit, static_argnames=("by_kernel", "num_passes"))
def updated(products, gram, factor, norm, rank, model, *, by_kernel=True, num_passes=2):
    args = (products, gram, factor, sub(rank, model, norm), num_passes)
    return update_by_kernel(*args, True) if by_kernel else update_by_products(*args)


def sub(rank, model, norm):
    return Subproblem(model, rank, rank, norm, np.float32(0.8))


def model_of(constraint, frozen=True):
    frozen = np.arange(NUM_ROWS) == 4 if frozen else None
    return FactorModel(constraint, (L1(np.float32(30)), L2(np.float32(0.5))), frozen)


def check(new, plain, constraint):
    if constraint.is_discrete:
        np.testing.assert_array_equal(new, plain)
    else:
        np.testing.assert_allclose(new, plain, rtol=1e-5, atol=1e-5 * np.max(np.abs(plain)))


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_kernel_updates_columns_as_products_do(name):
    """Rank below the bucket, frozen and undetermined columns, penalties, two passes."""
    args = (*problem(), np.int32(RANK), model_of(CONSTRAINTS[name]))
    new, plain = (updated(*args, by_kernel=k) for k in (True, False))
    check(new, plain, CONSTRAINTS[name])
    factor = np.asarray(args[2])
    moved = np.any(np.asarray(new) != factor, axis=1)
    assert not moved[4], "frozen"
    assert not np.any(moved[RANK:])
    assert np.all(moved[[0, 1, 3, 5, 6, 7, 8]])


def test_one_pass_without_penalties_over_whole_tiles():
    model = FactorModel(IntegerBox(np.float32(-16), np.float32(15)))
    products, gram, factor, norm = problem(num_rows=16)
    args = (products[:, :64], gram, factor[:, :64], norm, np.int32(RANK), model)
    new, plain = (updated(*args, by_kernel=k, num_passes=1) for k in (True, False))
    np.testing.assert_array_equal(new, plain)
    assert np.any(np.asarray(new) != np.asarray(args[2]))


def test_a_batch_has_ranks_and_bounds_of_its_own():
    batch = [jnp.stack(a) for a in zip(*(problem(seed) for seed in range(3)), strict=True)]
    ranks = jnp.array([9, 1, 5])
    models = jax.tree.map(lambda a: jnp.stack([a, a, a]), model_of(BOX))
    upper = models.constraint.upper.at[1].add(2)
    models = replace(models, constraint=replace(models.constraint, upper=upper))
    plain, new = (
        jax.vmap(partial(updated, by_kernel=k))(*batch, ranks, models) for k in (False, True)
    )
    np.testing.assert_array_equal(new, plain)


def test_derivatives_are_those_of_the_products():
    products, gram, factor, norm = problem()
    model = model_of(NonNegative(), frozen=False)

    def slope(by_kernel):
        def f(p):
            return updated(p, gram, factor, norm, np.int32(RANK), model, by_kernel=by_kernel)

        return jax.jvp(f, (products,), (jnp.ones_like(products),))[1]

    plain = slope(False)
    np.testing.assert_allclose(slope(True), plain, rtol=1e-5, atol=1e-6)
    assert np.any(plain != 0)


def test_rounding_without_round():
    halves = np.arange(-9, 10, dtype=np.float32) / 2
    near = np.concatenate([np.nextafter(halves, np.float32(s * np.inf)) for s in (-1, 1)])
    large = np.float32([2.0**23 - 0.5, 2.0**23 + 1, -(2.0**24), 3e38, np.inf, -np.inf, np.nan])
    x = np.concatenate([halves, near, large])
    np.testing.assert_array_equal(column_kernel._round_half_even(x), np.round(x))


@pytest.mark.parametrize("name", ["real", "box by column", "integers"])
def test_the_kernel_lowers_for_cuda_without_a_gpu(name):
    args = (*problem(), np.int32(RANK), model_of(CONSTRAINTS[name]))

    def update(products, gram, factor, norm, rank, model):
        return update_by_kernel(products, gram, factor, sub(rank, model, norm), 2)

    traced = jax.jit(jax.vmap(update, (0, *[None] * 5))).trace(args[0][None], *args[1:])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The Pallas Triton backend", DeprecationWarning)
        try:
            text = traced.lower(lowering_platforms=("cuda",)).as_text()
        except RuntimeError as error:  # from JAX 0.11 on
            if "No supported GPU devices" not in str(error):
                raise
            pytest.skip("this JAX lowers for a GPU only where there is one")
    assert "column_updates" in text
    assert "triton" in text


@pytest.fixture
def on_cuda(monkeypatch):
    """Pretend that the CPU is a GPU, on which the kernel can only be emulated."""
    monkeypatch.setattr(column_kernel, "_cuda_device", lambda: jax.devices("cpu")[0])
    column_kernel._probed.cache_clear()
    yield lambda kernel: monkeypatch.setattr(column_kernel, "update_by_kernel", kernel)
    column_kernel._probed.cache_clear()


def emulated(*args):
    return update_by_kernel(*args, True)


def test_a_cpu_uses_xla():
    with jax.default_device(jax.devices("cpu")[0]):
        assert column_kernel.column_kernel() == "xla"
        assert kernel_for(np.float32, 16, Model(model_of(BOX))) == "xla"


def test_a_kernel_that_agrees_is_used_where_it_applies(on_cuda):
    calls = []
    on_cuda(lambda *args: calls.append(0) or emulated(*args))

    @jax.jit
    def choose(x):
        return x if column_kernel.column_kernel() == "pallas" else -x

    assert choose(1.0) == 1.0, "found out while something is traced"
    model = Model(model_of(BOX), Real())
    assert kernel_for(jnp.float32, 256, model) == "pallas"
    assert kernel_for(jnp.float32, 257, model) == "xla"
    assert kernel_for(jnp.float16, 16, model) == "xla"
    rate = lrfjax.Entropy(np.float32(1)).fitted_to(lrfjax.IntegerBox(-2, 2))
    for other in (
        Model(FactorModel(object())),
        Model(lrfjax.Sparse(3)),
        Model(FactorModel(lrfjax.IntegerBox(-2, 2), (rate,))),
        Model(NonNegative(), NonNegative(), lrfjax.KullbackLeibler()),
    ):
        assert kernel_for(jnp.float32, 16, other) == "xla"
    assert len(calls) == 2, "two problems, once a process"

    def choose_for_a_device(x):
        assert kernel_for(jnp.float32, 16, model) == "xla"
        return x

    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",))
    spec = jax.sharding.PartitionSpec("batch")
    mapped = jax.shard_map(choose_for_a_device, mesh=mesh, in_specs=spec, out_specs=spec)
    jax.eval_shape(mapped, jnp.zeros(3))


def slightly_wrong(*args):
    return emulated(*args).at[0, 5].add(1.0)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [(update_by_kernel, "interpret mode"), (slightly_wrong, "differ by 1")],
    ids=["raises", "is wrong"],
)
def test_a_kernel_that_fails_is_not_used_and_said_so_once(on_cuda, kernel, reason):
    on_cuda(kernel)
    with pytest.warns(RuntimeWarning, match=f"Pallas kernel failed.*{reason}"):
        assert column_kernel.column_kernel() == "xla"
    assert column_kernel.column_kernel() == "xla"


def test_a_deprecation_raised_as_an_error_does_not_break_a_solver(on_cuda):
    def deprecated(*args):
        warnings.warn("The Pallas Triton backend is deprecated", DeprecationWarning, stacklevel=2)
        return emulated(*args)

    on_cuda(deprecated)
    assert column_kernel.column_kernel() == "xla"


def test_a_solve_takes_the_kernel_on_cuda_and_the_loop_on_a_cpu(on_cuda, monkeypatch):
    on_cuda(emulated)
    x = np.random.default_rng(0).integers(0, 99, (24, 12)).astype(np.float32)

    def solve(x, **options):
        return lrfjax.imf(x, 3, num_iters=1, **options).factors.u

    def in_parts(x, **parts):
        return lrfjax.factorize(x, 3, num_iters=1, **parts).factors.u

    seen = []

    def spy(*args, num_passes):
        seen.append(num_passes)
        return update_by_products(*args, num_passes)

    monkeypatch.setattr("lrfjax.solvers.methods.bcd.update_by_kernel", spy)
    jax.jit(solve).trace(x).lower(lowering_platforms=("cuda",))
    assert seen == [1, 1], "for U and for V"
    jax.jit(partial(solve, weights=np.ones_like(x))).trace(x)
    jax.jit(partial(solve, rate=1.0)).trace(x)
    jax.jit(partial(in_parts, model=Model(NonNegative(), NonNegative(), KL))).trace(x)
    jax.jit(partial(in_parts, fixed_length=True)).trace(x)
    jax.jit(partial(in_parts, method=lrfjax.FirstOrder())).trace(x)
    assert len(seen) == 2, "weights, rates, divergences and reverse mode have no kernel"
    jax.jit(partial(in_parts, method=lrfjax.BCD((2, 3)))).trace(x)
    accelerated = lrfjax.Extrapolated(lrfjax.BCD((4, 5)))
    jax.jit(partial(in_parts, method=accelerated)).trace(x)
    assert seen[2:] == [2, 3, 4, 5], "passes are those of the method"
    chosen = solve(x)
    column_kernel._probed.cache_clear()
    monkeypatch.setattr(column_kernel, "_cuda_device", lambda: None)
    np.testing.assert_array_equal(chosen, solve(x))
