"""Integer factors whose empirical entropy is part of the objective."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from lrfjax.solvers.penalties.entropy import charges, cheapest, histogram
from tests.problems import (
    BATCH,
    BOX,
    RANK,
    SHAPE,
    SWEEPS,
    integer_matrices,
    low_rank_integers,
    model,
    mostly_slow,
)

pytestmark = [
    pytest.mark.unoptimized,
    pytest.mark.filterwarnings("ignore::lrfjax.FitWarning"),
]

MODELS = {
    "plain": {},
    "balanced": {"start": "balanced", "fit_scale": True, "fit_offset": True},
    "penalties": {"l1": 0.2, "l2": 0.1},
    "U alone": {"rate": (5.0, 0.0)},
    "weights": {"weights": 1 + np.arange(SHAPE[1]) % 3},
}


def exact_objective(x, factors, rates, l1=0.0, l2=0.0, weights=1.0):
    """Return the objective of each problem of a batch in float64, from the definition."""
    u, v = (np.asarray(part, np.float64) for part in (factors.u, factors.v))
    scale = 1.0 if factors.scale is None else np.asarray(factors.scale)[:, None, None]
    offset = 0.0 if factors.offset is None else np.asarray(factors.offset)[:, None, None]
    fit = scale * (u @ v.swapaxes(1, 2)) + offset
    value = (weights * (x - fit) ** 2).sum(axis=(1, 2))
    empty = np.zeros_like(u[:, :1]), np.zeros_like(v[:, :1])
    for k, (part, length) in enumerate(((u, v.shape[1]), (v, u.shape[1]))):
        sides = lrfjax.Factors(u, empty[1]) if k == 0 else lrfjax.Factors(empty[0], v)
        value += rates[k] * lrfjax.factor_bits(sides)
        value += length * (2 * l1 * np.abs(part) + l2 * part**2).sum(axis=(1, 2))
    return value


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", mostly_slow([1, 2], quick=[2]))
def test_the_penalised_objective_never_rises(name, seed):
    terms = {"rate": 5.0, **MODELS[name]}
    x = integer_matrices(seed, BATCH, SHAPE, 40)
    options = {"start": terms.pop("start", "svd")}
    if "weights" in terms:
        options["weights"] = np.broadcast_to(terms.pop("weights"), SHAPE)
    result = lrfjax.factorize(
        x, RANK, model=model(BOX, **terms), num_iters=SWEEPS,
        record=("factors", "bits", "num_changed"), **options,
    )  # fmt: skip
    kept = jax.tree.map(np.asarray, result.history.factors)
    rates = terms["rate"] if isinstance(terms["rate"], tuple) else (terms["rate"],) * 2
    parts = {k: terms[k] for k in ("l1", "l2") if k in terms}
    parts["weights"] = options.get("weights", 1.0)
    values = []
    for k in range(SWEEPS + 1):
        factors = jax.tree.map(lambda a, k=k: a[:, k], kept)
        for part in (factors.u, factors.v):
            assert np.array_equal(part, np.clip(np.round(part), -5, 6))
        values.append(exact_objective(x, factors, rates, **parts))
        coded = factors if rates[1] else lrfjax.Factors(factors.u, np.zeros_like(factors.v))
        assert np.allclose(result.history.bits[:, k], lrfjax.factor_bits(coded), rtol=1e-4)
    values = np.stack(values, axis=1)
    assert np.all(np.diff(values, axis=1) <= 2e-6 * values[:, :1])
    assert np.allclose(result.history.objective, values, rtol=1e-4)


def test_the_charges_bound_the_entropy():
    rng = np.random.default_rng(0)
    charge = jax.jit(lambda a: charges(histogram(a, np.float32(0), 6)))
    entropy = lrfjax.Entropy(1.0, lowest=np.float32(0), num_values=6)
    exact = jax.jit(lambda a: entropy.bits(a, 0))
    for k in range(400):
        length = (1, 2, 7, 24)[k % 4]
        old, new = (rng.integers(0, rng.integers(1, 6), length) for _ in range(2))
        bits = np.asarray(charge(old.astype(np.float32)))
        exact_old, exact_new = (float(exact(a.astype(np.float32))) for a in (old, new))
        assert exact_new <= exact_old + (bits[new] - bits[old]).sum() + 1e-3
        assert np.isclose(exact_old, bits[old].sum(), rtol=1e-5, atol=1e-4)


def test_a_column_update_is_the_best_of_all_values():
    rng = np.random.default_rng(1)
    for rate, l1 in itertools.product((0.0, 0.7, 5.0), (0.0, 0.3)):
        n, d = rng.normal(size=9).astype(np.float32) * 4, np.float32(1.3)
        old = rng.integers(-2, 3, 9).astype(np.float32)
        bits = np.asarray(charges(histogram(old, np.float32(-3), 8)))
        bounds = (np.float32(-3), np.float32(4))
        new = cheapest(n, d, old, bounds, jnp.asarray(rate * bits), l1, np.zeros(9))
        values = np.arange(-3, 5)
        costs = d * values**2 - 2 * n[:, None] * values + 2 * l1 * np.abs(values) + rate * bits
        rows = np.arange(9)
        chosen = costs[rows, (np.asarray(new) + 3).astype(int)]
        assert np.allclose(chosen, costs.min(axis=1), atol=1e-4)


def test_a_dear_column_empties_itself():
    x = low_rank_integers(3, 1, SHAPE, 2)[0]
    costly = lrfjax.imf(x, 6, rate=200.0, num_iters=20)
    free = lrfjax.imf(x, 6, num_iters=20)
    bits = [float(lrfjax.factor_bits(r)) for r in (costly, free)]
    assert bits[0] < 0.5 * bits[1]
    parts = np.asarray(costly.factors.u), np.asarray(costly.factors.v)
    is_constant = [(part == part[:1]).all(axis=0) for part in parts]
    assert (is_constant[0] & is_constant[1]).any()


def test_fewer_bits_at_the_same_error(luma_matrix):
    params = {"init": "balanced", "fit_scale": True, "fit_offset": True, "record": ()}
    plain = lrfjax.imf(luma_matrix, 12, num_iters=10, **params)
    for rate in 4000 * 0.85 ** np.arange(20):
        coded = lrfjax.imf(luma_matrix, 32, num_iters=10, rate=rate, **params)
        if coded.history.relative_error[-1] <= plain.history.relative_error[-1]:
            break
    assert coded.history.relative_error[-1] <= plain.history.relative_error[-1]
    assert lrfjax.factor_bits(coded) < 0.8 * lrfjax.factor_bits(plain)


def test_rates_are_traced_and_a_scale_is_no_unit():
    x = integer_matrices(1, 1, SHAPE, 40)[0]

    def solve(x, rate):
        return lrfjax.imf(
            x, RANK, rate=rate, num_iters=SWEEPS, init="balanced", fit_scale=True, record=()
        )

    plain = solve(x, 3.0)
    many = jax.vmap(lambda rate: solve(x, rate))(np.array([0.0, 3.0], np.float32))
    assert np.array_equal(many.factors.u[1], plain.factors.u)
    scaled = solve(4 * x, 16 * 3.0)
    assert np.array_equal(scaled.factors.u, plain.factors.u)


@pytest.mark.parametrize(
    ("solve", "error", "message"),
    [
        (lambda x: lrfjax.imf(x, 2, rate=-1), lrfjax.InputError, "rate must be at least 0"),
        (lambda x: lrfjax.imf(x, 2, rate="a"), lrfjax.InputTypeError, "rate must be a real"),
        (
            lambda x: lrfjax.imf(x, 2, rate=1.0, bounds=(-5000, 5000)),
            lrfjax.InputError,
            "rate needs bounds of at most 4096",
        ),
        (
            lambda x: lrfjax.factorize(x, 2, model=model("real", rate=1.0)),
            lrfjax.InputError,
            "rate needs IntegerBox",
        ),
        (
            lambda x: lrfjax.factorize(
                x, 2, model=model("integers", rate=1.0), method=lrfjax.BCD(joint_moves=True)
            ),
            lrfjax.InputError,
            "joint_moves=True does not support a rate",
        ),
        (
            lambda x: lrfjax.imf(x, 2, record=("bits",)),
            lrfjax.InputError,
            "record names 'bits', which does not apply",
        ),
    ],
)
def test_bad_rates_are_named(solve, error, message):
    with pytest.raises(error, match=message):
        solve(np.ones((5, 4)))


@pytest.mark.parametrize("by_column", [False, True])
def test_a_code_of_the_caller_is_counted_and_the_objective_never_rises(by_column):
    x = low_rank_integers(3, BATCH, SHAPE, 3)
    values = np.arange(-5, 7)
    costs = 1 + 0.5 * np.abs(values) + 3 * (values % 2)
    if by_column:
        costs = costs * np.array([[1.0], [2.0], [0.5]])
    code = lrfjax.BitCosts(20.0, costs=costs)
    coded = lrfjax.FactorModel(BOX, (code,))
    result = lrfjax.factorize(x, RANK, model=lrfjax.Model(coded, coded), num_iters=SWEEPS)
    u, v = (np.asarray(part) for part in (result.factors.u, result.factors.v))
    rows = np.broadcast_to(costs, (RANK, len(values)))
    bits = sum(rows[np.arange(RANK), (part + 5).astype(int)].sum(axis=(1, 2)) for part in (u, v))
    np.testing.assert_allclose(result.history.bits[:, -1], bits, rtol=1e-6)
    squared = ((x - u @ v.swapaxes(1, 2)) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(result.history.objective[:, -1], squared + 20 * bits, rtol=1e-5)
    assert np.all(np.diff(result.history.objective) <= 1e-6 * result.history.objective[:, :-1])
    # No single integer can be changed for the better.
    for step in (-1, 1):
        moved = u.copy()
        moved[:, 3, 1] += step
        is_inside = (moved[:, 3, 1] >= -5) & (moved[:, 3, 1] <= 6)
        place = (np.clip(moved[:, 3, 1], -5, 6) + 5).astype(int)
        change = ((x - moved @ v.swapaxes(1, 2)) ** 2).sum(axis=(1, 2)) - squared
        change = change + 20 * (rows[1, place] - rows[1, (u[:, 3, 1] + 5).astype(int)])
        settled = np.asarray(result.converged) & is_inside
        assert np.all(change[settled] >= -1e-3)
