"""Parts written outside the package, with public names alone, eager and under jit and vmap."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax

pytestmark = pytest.mark.unoptimized

SHAPE, RANK, SWEEPS = (14, 9), 3, 6


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Huber(lrfjax.Loss):
    """r^2 / 2 for |r| up to delta, a line beyond; r = z - x."""

    delta: float = 1.0

    def value(self, x, z):
        size = jnp.abs(z - x)
        return jnp.where(size <= self.delta, size**2 / 2, self.delta * (size - self.delta / 2))

    def slope(self, x, z):
        return jnp.clip(z - x, -self.delta, self.delta)

    def curvature(self, x, z, fall):
        # The parabola through the present point that has its minimum at x.
        return self.delta / jnp.maximum(jnp.abs(z - x), self.delta)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Eighths:
    """The multiples of 1/8 in [-1, 1]."""

    is_cone, is_discrete, is_convex, has_bounds = False, True, False, True

    def for_column(self, r):
        return self

    def wider_side(self):
        return 1.0

    def project(self, x):
        return jnp.clip(jnp.round(8 * x), -8, 8) / 8

    def update(self, target, old, slack, curvature):
        near = self.project(target)
        stays = (self.project(old) == old) & (
            jnp.abs(old - target) <= jnp.abs(near - target) + slack
        )
        return jnp.where(stays, old, near)

    def neighbours(self, x):
        return self.project(x - 0.125), self.project(x + 0.125)

    def reach(self):
        return 1.0

    def relaxed(self):
        return lrfjax.Box(-1.0, 1.0)

    def at_bound(self, x):
        return jnp.abs(x) == 1

    def projected_gradient(self, x, gradient):
        return jnp.zeros_like(x)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FirstRows(lrfjax.Start):
    """V holds the first rows of X, U the coordinates of each row of X along them."""

    ridge: float = 1e-3

    def __call__(self, x, size, rank, model):
        vt = x[:size] / jnp.maximum(jnp.linalg.norm(x[:size], axis=1, keepdims=True), self.ridge)
        return vt @ x.T, vt


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AtObjective(lrfjax.Stop):
    """Stop at an objective, in the units of X."""

    goal: float

    def __call__(self, first, before, after):
        return after.objective <= self.goal


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ProximalSteps(lrfjax.Method):
    """A projected gradient step on all of U, then on all of V (Bolte, Sabach, Teboulle, 2014)."""

    damping: float = 1.0

    def sweep(self, problem, model, state, rank):
        u_model, v_model = model.sides

        def stepped(target, partner, factor, side):
            slope = model.loss.slope(target, partner.T @ factor)
            bound = self.damping * 2 * jnp.sum(partner * partner) + 1e-6
            return side.project(factor - partner @ slope / bound)

        ut = stepped(problem.xt * problem.unit, state.vt, state.ut, u_model)
        vt = stepped(problem.x, ut, state.vt, v_model)
        return replace(state, ut=ut, vt=vt), None


PARTS = {
    "loss": {"model": lrfjax.Model(loss=Huber(0.7))},
    "loss with weights": {"model": lrfjax.Model(loss=Huber(0.7)), "weights": True},
    "set": {"model": lrfjax.Model(Eighths(), Eighths(), fit_scale=True), "start": "balanced"},
    "set and real": {"model": lrfjax.Model(Eighths())},
    "loss and set": {"model": lrfjax.Model(u=Eighths(), loss=Huber(0.7))},
    "start": {"start": FirstRows()},
    "stop": {"stop": AtObjective(30.0), "model": lrfjax.Model(lrfjax.NonNegative())},
    "method": {"method": ProximalSteps()},
    "method and set": {"method": ProximalSteps(), "model": lrfjax.Model(u=Eighths())},
    "method, ahead": {"method": lrfjax.Extrapolated(ProximalSteps())},
}


def _solve(parts, x, weights):
    chosen = dict(parts)
    chosen["weights"] = weights if chosen.get("weights") else None
    return lrfjax.factorize(x, RANK, num_iters=SWEEPS, **chosen)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, *SHAPE)) @ np.diag(np.linspace(2, 0.3, SHAPE[1]))
    x[:, 3, 4] = 40.0  # an outlier
    return x.astype(np.float32), rng.integers(0, 3, (2, *SHAPE)).astype(np.float32)


SLOW = ("loss with weights", "set and real", "method and set")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in PARTS]
)
def test_a_part_of_ones_own_works_eagerly_and_under_jit_and_vmap(name, data):
    x, weights = data
    parts = PARTS[name]
    eager = [_solve(parts, a, w) for a, w in zip(x, weights, strict=True)]
    mapped = jax.jit(jax.vmap(lambda a, w: _solve(parts, a, w)))(x, weights)
    for k, one in enumerate(eager):
        np.testing.assert_allclose(
            mapped.history.objective[k], one.history.objective, rtol=1e-3, atol=1e-3
        )
    objective = np.stack([each.history.objective for each in eager])
    assert np.all(np.isfinite(objective))
    assert np.all(np.diff(objective, axis=1) <= 1e-5 * objective[:, :-1])
    assert np.all(objective[:, -1] <= objective[:, 0] * (1 + 1e-5))
    assert np.all(objective[:, -1] < 1e3)


def test_the_set_holds_its_entries_and_the_scale_is_fitted(data):
    result = _solve(PARTS["set"], *data)
    for factor in (result.factors.u, result.factors.v):
        entries = 8 * np.asarray(factor)
        np.testing.assert_array_equal(entries, np.round(entries))
        assert np.abs(entries).max() <= 8
    assert np.all(np.asarray(result.factors.scale) > 0)


def test_huber_minds_an_outlier_less_than_the_squared_error(data):
    x = data[0][0].copy()
    x[3, 4] = 400.0
    rest = np.ones(SHAPE, bool)
    rest[3, 4] = False
    errors = {}
    for name, model in (("huber", lrfjax.Model(loss=Huber(0.1))), ("squared", lrfjax.Model())):
        result = lrfjax.factorize(x, 1, model=model, start="random", key=0, num_iters=30)
        errors[name] = np.abs(np.asarray(lrfjax.reconstruct(result)) - x)[rest].sum()
    assert errors["huber"] < 0.95 * errors["squared"]


def test_a_stop_sees_the_objective_in_the_units_of_x(data):
    x = np.abs(data[0][0])
    whole = lrfjax.nmf(x, RANK, num_iters=20).history
    goal = float(whole.objective[7])
    for scale in (1.0, 1024.0):
        result = lrfjax.factorize(
            scale * x,
            RANK,
            model=lrfjax.Model(lrfjax.NonNegative(), lrfjax.NonNegative()),
            method=lrfjax.Extrapolated(lrfjax.BCD(2)),
            start="nndsvd",
            stop=AtObjective(scale**2 * goal * (1 + 1e-6)),
            num_iters=20,
        )
        assert result.converged
        assert 0 < int(result.num_iters) < 20


@pytest.mark.slow
def test_derivatives_exist_for_a_loss_of_ones_own(data):
    x = data[0][0]
    start = lrfjax.Factors(x[:, :2], np.eye(SHAPE[1], 2, dtype=np.float32))

    def total(x):
        result = lrfjax.factorize(
            x, 2, model=lrfjax.Model(loss=Huber(0.7)), start=start, num_iters=2, fixed_length=True
        )
        return result.history.objective[-1]

    gradient = jax.grad(total)(jnp.asarray(x))
    direction = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    step = 1e-2
    change = (total(x + step * direction) - total(x - step * direction)) / (2 * step)
    np.testing.assert_allclose(float(jnp.sum(gradient * direction)), float(change), rtol=0.03)
