"""Properties of the first-order methods: feasibility, agreement, histories, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrfjax
from tests.problems import exact_objective, low_rank_integers, objective_in_float64

pytestmark = [
    pytest.mark.unoptimized,
    # The integers of the comparison need not fit well.
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

# Tests share shapes, ranks and counts of steps where they can, since each combination compiles.
BOX = lrfjax.IntegerBox(-4, 3)
ADAM, MOMENTUM = optax.adam(0.1), optax.sgd(0.1, momentum=0.9)
CONSTRAINTS = {
    "real": lrfjax.Real(),
    "non-negative": lrfjax.NonNegative(),
    "box": lrfjax.Box(-1.5, 2.0),
    "integer": BOX,
    "mixed": (BOX, lrfjax.Real()),
}


def descend(x, rank, *, sets=lrfjax.NonNegative(), optimizer=None, **options):  # noqa: B008
    """Solve by a first-order method; ``sets`` is one for both factors, or a pair."""
    u, v = sets if isinstance(sets, tuple) else (sets, sets)
    method = lrfjax.FirstOrder(optimizer)
    options = {"num_iters": 100} | options
    return lrfjax.factorize(x, rank, model=lrfjax.Model(u, v), method=method, **options)


def _random(seed, shape):
    return (np.random.default_rng(seed).random(shape) ** 3).astype(np.float32)


@pytest.fixture(scope="module")
def batch():
    return low_rank_integers(21, 4, (14, 9), 3)


@pytest.mark.parametrize(
    ("start", "optimizer"), [("svd", None), ("nndsvd", MOMENTUM)], ids=["adam", "momentum"]
)
def test_projected_gradient_ends_near_hals(start, optimizer):
    x = _random(1, (24, 16))
    hals = lrfjax.nmf(x, 4, num_iters=200).history.objective[-1]
    result = descend(x, 4, optimizer=optimizer, start=start, num_iters=300)
    assert float(result.history.objective[-1]) < 1.05 * float(hals)
    assert min(float(result.factors.u.min()), float(result.factors.v.min())) >= 0
    assert int(result.status) == lrfjax.Status.ITERATION_LIMIT
    assert (int(result.num_iters), result.num_iters.dtype) == (300, jnp.int32)


def test_plain_gradient_reaches_the_svd_bound():
    x = np.random.default_rng(2).normal(size=(20, 12)).astype(np.float32)
    bound = float(lrfjax.svd(x, 3).history.relative_error[0])
    result = descend(x, 3, sets=lrfjax.Real(), start="random", key=jax.random.key(0), num_iters=300)
    assert bound * (1 - 1e-5) < float(result.history.relative_error[-1]) < 1.01 * bound
    assert result.history.bound_share is None


@pytest.mark.parametrize("optimizer", [ADAM, MOMENTUM], ids=["adam", "momentum"])
def test_straight_through_improves_on_a_random_start(optimizer, batch):
    result = descend(
        batch,
        3,
        sets=BOX,
        optimizer=optimizer,
        start="random",
        key=jax.random.key(1),
        num_iters=100,
    )
    history = np.asarray(result.history.objective)
    assert np.all(history[:, -1] < 0.8 * history[:, 0])
    for factor in (np.asarray(result.factors.u), np.asarray(result.factors.v)):
        assert np.array_equal(factor, np.round(factor))
        assert factor.min() >= -4
        assert factor.max() <= 3
    # Integers in float32: the last entry is exact.
    assert np.array_equal(
        history[:, -1], exact_objective(batch, result.factors.u, result.factors.v)
    )


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_history_describes_the_factors_and_they_are_feasible(name, batch):
    constraint = CONSTRAINTS[name]
    x = batch[0]
    for num_iters in (0, 12) if name == "integer" else (12,):
        result = descend(x, 3, sets=constraint, num_iters=num_iters)
        u, v = (np.asarray(f) for f in (result.factors.u, result.factors.v))
        history = result.history
        assert history.objective.shape == (num_iters + 1,)
        expected = objective_in_float64(x, u, v)
        assert np.isclose(history.objective[-1], expected, rtol=1e-5)
        relative = np.sqrt(expected / (x.astype(np.float64) ** 2).sum())
        assert np.isclose(history.relative_error[-1], relative, rtol=1e-5)
        assert np.array_equal(history.sweeps, np.arange(num_iters + 1))
        pair = constraint if isinstance(constraint, tuple) else (constraint, constraint)
        for one, factor in zip(pair, (u, v), strict=True):
            assert np.array_equal(one.project(factor), factor)
        has_integers = any(c.is_discrete for c in pair)
        assert (history.num_changed is not None) == has_integers
        assert (history.projected_gradient is None) == has_integers


def test_the_gradient_passes_straight_through_the_rounding():
    # One step of plain gradient descent, written out: the gradient is that at the rounded factors
    # and is applied to the latent ones, in units of the root mean square of the start.
    x = low_rank_integers(22, 1, (8, 6), 2)[0].astype(np.float64)
    rng = np.random.default_rng(3)
    u, v = rng.normal(size=(8, 2)) * 2, rng.normal(size=(6, 2)) * 2
    ru, rv = (np.clip(np.round(f), -4, 3) for f in (u, v))
    weight = 2 * 6 * 0.3 / (x**2).sum()
    new_u = np.clip(u, -4, 3) + weight * np.mean(u**2) * (x - ru @ rv.T) @ rv
    new_v = np.clip(v, -4, 3) + weight * np.mean(v**2) * (x - ru @ rv.T).T @ ru
    start = lrfjax.Factors(u.astype(np.float32), v.astype(np.float32))
    result = descend(x, 2, sets=BOX, optimizer=optax.sgd(0.3), num_iters=1, start=start)
    assert np.array_equal(result.factors.u, np.clip(np.round(new_u), -4, 3))
    assert np.array_equal(result.factors.v, np.clip(np.round(new_v), -4, 3))
    changed = (np.asarray(result.factors.u) != ru).sum() + (
        np.asarray(result.factors.v) != rv
    ).sum()
    assert changed > 0
    assert result.history.num_changed.tolist() == [0, changed]


def test_a_batch_a_loop_vmap_and_jit_agree(batch):
    def solve(x):
        return descend(x, 3, sets=CONSTRAINTS["mixed"], num_iters=12)

    loop = [solve(x) for x in batch]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *loop)
    deep = solve(batch.reshape(2, 1, 2, 14, 9))
    assert deep.factors.u.shape == (2, 1, 2, 14, 3)
    assert deep.status.shape == (2, 1, 2)
    deep = jax.tree.map(lambda a: a.reshape(4, *a.shape[3:]), deep)
    for other in (solve(batch), jax.jit(jax.vmap(solve))(batch), deep):
        for a, b in zip(jax.tree.leaves(stacked), jax.tree.leaves(other), strict=True):
            assert a.shape == b.shape
            assert np.allclose(a, b, rtol=2e-3, atol=2e-3)


def test_record_every_thins_the_history(batch):
    whole = descend(batch[0], 3, sets=BOX, num_iters=12)
    thin = descend(batch[0], 3, sets=BOX, num_iters=12, record_every=4)
    assert np.array_equal(thin.history.objective, whole.history.objective[::4])
    assert np.array_equal(thin.history.sweeps, [0, 4, 8, 12])
    assert np.array_equal(thin.factors.u, whole.factors.u)
    assert int(thin.num_iters) == 12


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 7.0, 1e20])
def test_learning_rates_do_not_depend_on_the_scale(scale):
    x = _random(4, (14, 9)).astype(np.float64)
    plain = descend(x.astype(np.float32), 3, num_iters=12)
    scaled = descend((x * scale).astype(np.float32), 3, num_iters=12)
    assert int(scaled.status) == lrfjax.Status.ITERATION_LIMIT
    assert np.allclose(
        scaled.history.relative_error, plain.history.relative_error, rtol=1e-2, atol=1e-4
    )


def test_nan_under_jit_fails_and_so_does_divergence(batch):
    solve = jax.jit(lambda x: descend(x, 3, num_iters=12))
    assert int(solve(np.full((14, 9), np.nan, np.float32)).status) == lrfjax.Status.FAILED
    wild = descend(batch[0], 3, sets=lrfjax.Real(), optimizer=optax.sgd(1e6), num_iters=50)
    assert int(wild.status) == lrfjax.Status.FAILED


def test_zeros_stay_zeros():
    for constraint in (lrfjax.NonNegative(), lrfjax.Real(), BOX):
        result = descend(np.zeros((14, 9)), 3, sets=constraint, num_iters=12)
        assert not np.any(np.asarray(result.history.objective))
        assert not np.any(np.asarray(result.history.relative_error))


def test_an_optimizer_compiles_once_and_needs_no_host(batch, compilations):
    for lower in (-4, -5.0, np.int64(-6)):
        box = lrfjax.IntegerBox(lower, 3)
        descend(batch[0], 4, sets=box, optimizer=MOMENTUM, num_iters=2)
    assert compilations.count == 1
    text = jax.jit(lambda x: descend(x, 4)).lower(batch[0]).as_text()
    assert "callback" not in text


def test_learning_rates_vmap(batch):
    x = np.abs(batch[0])

    def final(rate):
        result = descend(x, 3, optimizer=optax.sgd(rate), num_iters=10)
        return result.history.relative_error[-1]

    errors = jax.vmap(final)(jnp.array([0.0, 0.01, 0.2]))
    assert np.all(np.diff(errors) < 0)


def test_a_polyak_step_gets_the_loss(batch):
    x = batch[0]
    start = lrfjax.Factors(np.ones((14, 2), np.float32), np.ones((9, 2), np.float32))
    optimizer = optax.polyak_sgd(max_learning_rate=1e3)
    result = descend(x, 2, sets=lrfjax.Real(), optimizer=optimizer, start=start, num_iters=1)
    # The step is the loss over the squared norm of its gradient.
    u, v = np.ones((14, 2)), np.ones((9, 2))
    residual, weight = u @ v.T - x, 9 / (x.astype(np.float64) ** 2).sum()
    du, dv = 2 * weight * residual @ v, 2 * weight * residual.T @ u
    rate = weight * (residual**2).sum() / ((du**2).sum() + (dv**2).sum())
    assert np.allclose(result.factors.u, u - rate * du, rtol=1e-4, atol=1e-5)
    assert np.allclose(result.factors.v, v - rate * dv, rtol=1e-4, atol=1e-5)


def test_bounds_by_column(batch):
    box = lrfjax.IntegerBox(np.array([-1, -2, 0]), np.array([1, 2, 3]))
    result = descend(batch[0], 3, sets=box, num_iters=5)
    for factor in (np.asarray(result.factors.u), np.asarray(result.factors.v)):
        assert np.all(factor >= box.lower)
        assert np.all(factor <= box.upper)


def test_float64_and_strict_promotion(batch):
    # Plain momentum: Adam itself, as optax has it, does not pass under strict promotion.
    x = batch[0].astype(np.float64)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        result = descend(x, 3, sets=CONSTRAINTS["mixed"], optimizer=MOMENTUM, num_iters=2)
    assert result.factors.u.dtype == result.history.objective.dtype == jnp.float64
    assert result.num_iters.dtype == result.status.dtype == jnp.int32


def test_straight_through_steps_go_on_while_no_integer_changes(batch):
    # The latent factors move by less than a rounding step at a time.
    rng = np.random.default_rng(7)
    start = lrfjax.Factors(*(rng.integers(-3, 3, (n, 3)).astype(np.float32) for n in (14, 9)))
    result = descend(batch[0], 3, sets=BOX, optimizer=optax.sgd(0.1), start=start, num_iters=100)
    changed = np.asarray(result.history.num_changed)
    assert changed[1] == 0 < changed.sum()
    assert int(result.num_iters) == 100
    assert int(result.status) == lrfjax.Status.ITERATION_LIMIT


def test_padding_and_a_traced_rank_change_nothing(batch):
    def solve(rank, **options):
        return descend(batch[0], rank, optimizer=MOMENTUM, num_iters=12, **options)

    plain = solve(3)
    for other in (solve(3, max_rank=9), jax.jit(solve)(3)):
        assert other.factors.u.shape == (14, 9)
        assert not np.any(np.asarray(other.factors.u[:, 3:]))
        assert np.allclose(other.factors.u[:, :3], plain.factors.u, rtol=1e-3, atol=1e-3)
        assert np.allclose(other.history.objective, plain.history.objective, rtol=1e-4)


def test_entries_of_weight_zero_have_no_gradient(batch):
    x = np.abs(batch[0])
    weights = np.random.default_rng(5).random(x.shape) > 0.2
    results = [
        descend(np.where(weights, x, hidden), 3, weights=weights, num_iters=100)
        for hidden in (0.0, np.nan)
    ]
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        assert np.array_equal(a, b)
    u, v = (np.asarray(part, np.float64) for part in (results[0].factors.u, results[0].factors.v))
    seen = np.linalg.norm((x - u @ v.T)[weights]) / np.linalg.norm(x[weights])
    assert np.isclose(results[0].history.relative_error[-1], seen, rtol=1e-4)
    history = np.asarray(results[0].history.objective)
    assert history[-1] < 0.8 * history[0]


@pytest.mark.slow
def test_other_losses_end_near_block_coordinate_descent():
    x = np.random.default_rng(6).poisson(3.0, (14, 9)).astype(np.float32)
    loss = lrfjax.KullbackLeibler()
    model = lrfjax.Model(lrfjax.NonNegative(), lrfjax.NonNegative(), loss)
    result = lrfjax.factorize(x, 3, model=model, method=lrfjax.FirstOrder(), num_iters=300)
    goal = lrfjax.nmf(x, 3, loss=loss, num_iters=100).history.objective[-1]
    assert float(result.history.objective[-1]) < 1.05 * float(goal)


X = np.ones((4, 3), np.float32)
ONES = (np.ones((4, 2), np.float32), np.ones((3, 2), np.float32))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"rank": 0}, lrfjax.InputError, "rank must be between 1 and 3, got 0"),
        ({"rank": 4}, lrfjax.InputError, "rank must be between 1 and 3, got 4"),
        ({"rank": 1.5}, lrfjax.InputTypeError, "rank must be an integer, got 1.5"),
        ({"num_iters": -1}, lrfjax.InputError, "num_iters must be at least 0, got -1"),
        ({"record_every": 3}, lrfjax.InputError, "record_every must divide num_iters, got 3"),
        ({"optimizer": "adam"}, lrfjax.InputTypeError, "optimizer must be .* got 'adam'"),
        ({"optimizer": optax.adam}, lrfjax.InputTypeError, "optimizer must be .* got <function"),
        ({"sets": "nmf"}, lrfjax.InputTypeError, "u must be a set .* got 'nmf'"),
        ({"sets": lrfjax.NonNegative}, lrfjax.InputTypeError, "u must be .*NonNegative"),
        ({"sets": (BOX, (BOX,))}, lrfjax.InputTypeError, "v must be a set or a FactorModel"),
        ({"sets": lrfjax.IntegerBox(2, 1)}, lrfjax.InputError, "u must be .* <= "),
        ({"sets": lrfjax.Box(2.0, 1.0)}, lrfjax.InputError, "u must have lower <= upper"),
        (
            {"sets": lrfjax.Box(np.zeros(3), 1.0)},
            lrfjax.InputError,
            "u must have one value for each of 2 columns",
        ),
        ({"start": "best"}, lrfjax.InputError, "start must be one of .* got 'best'"),
        ({"start": 3}, lrfjax.InputTypeError, "start must be one of .* got 3"),
        ({"start": "random"}, lrfjax.InputError, "key must be given"),
        (
            {"start": "random", "key": -1},
            lrfjax.InputError,
            "key must be between 0 and .*, got -1",
        ),
        (
            {"start": lrfjax.Factors(ONES[1], ONES[0])},
            lrfjax.InputError,
            r"start.u must have shape \(4, 2\), got \(3, 2\)",
        ),
        (
            {"start": lrfjax.Factors(ONES[0] * np.float32(np.nan), ONES[1])},
            lrfjax.InputError,
            "start.u must be finite.*, got nan",
        ),
        (
            {"start": lrfjax.Factors(*ONES, scale=np.float32(2))},
            lrfjax.InputError,
            "start.scale is given, so fit_scale must be True",
        ),
        (
            {"sets": lrfjax.FactorModel(penalties=(lrfjax.L1(0.1),))},
            lrfjax.InputError,
            "FirstOrder does not support penalties, got .*L1",
        ),
        (
            {
                "sets": lrfjax.FactorModel(frozen=np.array([True, False])),
                "start": lrfjax.Factors(*ONES),
            },
            lrfjax.InputError,
            "FirstOrder does not support frozen columns",
        ),
        (
            {
                "sets": lrfjax.FactorModel(is_fixed=True),
                "start": lrfjax.Factors(*ONES),
            },
            lrfjax.InputError,
            "FirstOrder does not support frozen columns",
        ),
        ({"x": X * np.float32(np.inf)}, lrfjax.InputError, "x must be finite.*, got inf"),
        ({"x": X[0]}, lrfjax.InputError, "x must have at least 2 axes"),
    ],
)
def test_bad_input_is_named(settings, error, message):
    arguments = {"x": X, "rank": 2, "num_iters": 4} | settings
    with pytest.raises(error, match=message):
        descend(arguments.pop("x"), arguments.pop("rank"), **arguments)


@pytest.mark.parametrize("name", ["fit_scale", "fit_offset"])
def test_an_affine_model_is_refused(name):
    model = lrfjax.Model(BOX, BOX, **{name: True})
    with pytest.raises(lrfjax.InputError, match="FirstOrder fits no scale or offset"):
        lrfjax.factorize(X, 2, model=model, method=lrfjax.FirstOrder())
