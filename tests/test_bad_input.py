"""Every impossible argument is refused by name and value, before any work."""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import pytest

import lrfjax
from lrfjax.codec.accounting import account
from lrfjax.evaluation.describe import describe
from lrfjax.solvers.execute import solve as solving
from lrfjax.solvers.execute import stepping

X = np.arange(12.0).reshape(4, 3)
IMAGE = np.zeros((16, 16, 3), np.uint8)


def _with(value):
    x = X.copy()
    x[2, 1] = value
    return x


SOLVERS = [lrfjax.imf, lrfjax.nmf, lrfjax.svd, lrfjax.factorize]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("x", "rank", "error", "message"),
    [
        (
            _with(np.nan),
            1,
            lrfjax.InputError,
            r"x must be finite in float32, got nan at index \(2, 1\)",
        ),
        (
            _with(np.inf),
            1,
            lrfjax.InputError,
            r"x must be finite in float32, got inf at index \(2, 1\)",
        ),
        (np.zeros((0, 3)), 1, lrfjax.InputError, r"x must not be empty, got shape \(0, 3\)"),
        (np.zeros(3), 1, lrfjax.InputError, r"x must have at least 2 axes.*\(3,\)"),
        (_with(1e300), 1, lrfjax.InputError, r"x must be finite in float32, got 1e\+300"),
        (X.astype(complex), 1, lrfjax.InputTypeError, "x must hold real numbers.*complex128"),
        ([["a", "b"]], 1, lrfjax.InputTypeError, "x must hold real numbers"),
        ([[1, 2], [3]], 1, lrfjax.InputTypeError, "x must be an array"),
        (X, 0, lrfjax.InputError, "rank must be between 1 and 3, got 0"),
        (X, 4, lrfjax.InputError, "rank must be between 1 and 3, got 4"),
        (X, 2.0, lrfjax.InputTypeError, "rank must be an integer, got 2.0"),
        (X, True, lrfjax.InputTypeError, "rank must be an integer, got True"),
        (X, None, lrfjax.InputTypeError, "rank must be an integer, got None"),
    ],
)
def test_matrices_and_ranks(solver, x, rank, error, message):
    with pytest.raises(error, match=message):
        solver(x, rank)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"bounds": (3, -3)}, lrfjax.InputError, r"bounds must be \(lower, upper\).*\(3, -3\)"),
        ({"bounds": (-1.5, 3)}, lrfjax.InputTypeError, r"bounds.*integers, got \(-1.5, 3\)"),
        ({"bounds": 4}, lrfjax.InputTypeError, "bounds must be a pair of integers, got 4"),
        ({"bounds": (0, np.inf)}, lrfjax.InputTypeError, "bounds"),
        ({"bounds": (0, 2**25)}, lrfjax.InputError, "bounds must not exceed"),
        ({"num_iters": -1}, lrfjax.InputError, "num_iters must be at least 0, got -1"),
        ({"num_iters": 2.5}, lrfjax.InputTypeError, "num_iters must be an integer, got 2.5"),
        ({"tol": -1e-3}, lrfjax.InputError, "tol must be at least 0.0, got -0.001"),
        ({"tol": np.nan}, lrfjax.InputError, "tol must be at least 0.0, got nan"),
        ({"tol": "x"}, lrfjax.InputTypeError, "tol must be a real number, got 'x'"),
        ({"init": "sdv"}, lrfjax.InputError, "init must be one of 'svd'.*got 'sdv'"),
        ({"init": 3}, lrfjax.InputTypeError, "init must be one of.*got 3"),
        ({"init": "random"}, lrfjax.InputError, "key must be given"),
        ({"init": "random", "key": -1}, lrfjax.InputError, "key must be between 0 and.*got -1"),
        ({"init": "random", "key": "k"}, lrfjax.InputTypeError, "key must be one.*'k'"),
        ({"bounds": ("-16", "15")}, lrfjax.InputTypeError, "bounds must be a pair of integers"),
        ({"init": lrfjax.Factors(None, None)}, lrfjax.InputTypeError, "init.u must hold real"),
        ({"record_every": 3}, lrfjax.InputError, "record_every must divide num_iters, got 3"),
        (
            {"init": lrfjax.Factors(np.ones((4, 2)), np.ones((3, 1)))},
            lrfjax.InputError,
            r"init.v must have shape \(3, 2\), got \(3, 1\)",
        ),
        (
            {"init": lrfjax.Factors(np.full((4, 2), np.nan), np.ones((3, 2)))},
            lrfjax.InputError,
            "init.u must be finite",
        ),
    ],
)
def test_solver_settings(params, error, message):
    with pytest.raises(error, match=message):
        lrfjax.imf(X, 2, **params)


X_PLUS = X + 1
BOX = lrfjax.IntegerBox(-2, 2)
NON_NEGATIVE = lrfjax.NonNegative()
INTEGERS = lrfjax.Model(BOX, BOX)
KL = lrfjax.KullbackLeibler()
START = lrfjax.Factors(np.ones((4, 2)), np.ones((3, 2)))


def _nmf(loss):
    return lrfjax.Model(NON_NEGATIVE, NON_NEGATIVE, loss)


def _penalised(*penalties, constraint=BOX):
    return lrfjax.Model(lrfjax.FactorModel(constraint, penalties))


@dataclass(frozen=True)
class UnknownPenalty(lrfjax.Penalty):
    pass


@dataclass(frozen=True)
class UnknownLoss(lrfjax.Loss):
    pass


@dataclass(frozen=True)
class UnknownStop(lrfjax.Stop):
    pass


@dataclass(frozen=True)
class UnknownMethod(lrfjax.Method):
    pass


@dataclass(frozen=True)
class UnknownStart(lrfjax.Start):
    pass


@dataclass(frozen=True)
class UnknownSet(lrfjax.Box):
    pass


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Answer(lrfjax.Stop):
    """A rule with an answer of its own."""

    answer: Any = field(metadata={"static": True})
    read: str = field(default="", metadata={"static": True})

    @property
    def fields(self):
        return (self.read,) if self.read else ()

    def __call__(self, first, before, after):
        return self.answer(after)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class HasText(lrfjax.Penalty):
    """A penalty with a leaf that is no number."""

    text: str = "many"


def _costs(*costs, **settings):
    return _penalised(lrfjax.BitCosts(1.0, costs=np.array(costs), **settings))


VALUE, TYPE = lrfjax.InputError, lrfjax.InputTypeError
BAD_PARTS = {
    # Models.
    "model of another kind": ({"model": "nmf"}, TYPE, "model must be a Model, got 'nmf'"),
    "a set as model": ({"model": BOX}, TYPE, "model must be a Model, got IntegerBox"),
    "a class as set": ({"model": lrfjax.Model(lrfjax.Real)}, TYPE, "u must be a set.*Real"),
    "no set": ({"model": lrfjax.Model(BOX, 3)}, TYPE, "v must be a set or a FactorModel, got 3"),
    "bounds of another rank": (
        {"model": lrfjax.Model(BOX, lrfjax.IntegerBox(np.array([-1, -2, -3]), 3))},
        VALUE,
        r"v must have one value for each of 2 columns, got .*-3",
    ),
    "bounds crossed": (
        {"model": lrfjax.Model(lrfjax.Box(2.0, 1.0))},
        VALUE,
        "u must have lower <=",
    ),
    "integer bounds crossed": (
        {"model": lrfjax.Model(BOX, lrfjax.IntegerBox(2, 1))},
        VALUE,
        r"v must be \(lower, upper\) with lower <= upper.*2",
    ),
    "NaN as bound": (
        {"model": lrfjax.Model(lrfjax.Box(np.nan, 1.0))},
        VALUE,
        "u must have lower <= upper, got .*nan",
    ),
    "frozen of another rank": (
        {"model": lrfjax.Model(lrfjax.FactorModel(frozen=np.ones(3, bool))), "start": START},
        VALUE,
        "frozen must have one value for each of 2 columns",
    ),
    "frozen without booleans": (
        {"model": lrfjax.Model(lrfjax.FactorModel(frozen=np.ones(2))), "start": START},
        TYPE,
        "frozen must be None or an array of bool, got",
    ),
    "frozen without factors": (
        {"model": lrfjax.Model(lrfjax.FactorModel(frozen=np.array([True, False])))},
        VALUE,
        "frozen columns need start to be Factors, got SVDStart",
    ),
    "is_fixed without factors": (
        {"model": lrfjax.Model(lrfjax.FactorModel(is_fixed=True))},
        VALUE,
        "frozen columns need start to be Factors, got SVDStart",
    ),
    "is_fixed that is a number": (
        {"model": lrfjax.Model(lrfjax.FactorModel(is_fixed=1)), "start": START},
        TYPE,
        "is_fixed must be True or False, got 1",
    ),
    "fit_scale that is a number": (
        {"model": lrfjax.Model(BOX, BOX, fit_scale=1)},
        TYPE,
        "fit_scale must be True or False, got 1",
    ),
    "fit_scale without bounds": (
        {"model": lrfjax.Model(BOX, fit_scale=True)},
        VALUE,
        "fit_scale needs both factors bounded",
    ),
    "fit_scale of a divergence": (
        {"model": lrfjax.Model(BOX, BOX, KL, fit_scale=True)},
        VALUE,
        "fit_scale and fit_offset need the squared error, got KullbackLeibler",
    ),
    "fit_offset of a divergence": (
        {"model": lrfjax.Model(NON_NEGATIVE, NON_NEGATIVE, KL, fit_offset=True)},
        VALUE,
        "fit_scale and fit_offset need the squared error, got KullbackLeibler",
    ),
    # Losses.
    "a name as loss": ({"model": _nmf("kl")}, TYPE, "loss must be a Loss, got 'kl'"),
    "a class as loss": ({"model": _nmf(lrfjax.KullbackLeibler)}, TYPE, "loss must be a Loss, got"),
    "an unregistered loss": ({"model": _nmf(UnknownLoss())}, TYPE, "loss must hold.*UnknownLoss"),
    "negative X and KullbackLeibler": (
        {"x": _with(-2), "model": _nmf(KL)},
        VALUE,
        "x must be non-negative for KullbackLeibler.*, got an entry of -2",
    ),
    "zeros and ItakuraSaito": (
        {"x": X, "model": _nmf(lrfjax.ItakuraSaito())},
        VALUE,
        "x must be positive for ItakuraSaito.*, got an entry of 0",
    ),
    "Real and KullbackLeibler": (
        {"model": lrfjax.Model(NON_NEGATIVE, loss=KL)},
        VALUE,
        r"KullbackLeibler\(.*\) needs sets of non-negative numbers, got Real",
    ),
    "a box below zero and KullbackLeibler": (
        {"model": lrfjax.Model(BOX, NON_NEGATIVE, KL)},
        VALUE,
        "needs sets of non-negative numbers, got IntegerBox",
    ),
    # Penalties.
    "a penalty instead of a tuple": (
        {"model": lrfjax.Model(lrfjax.FactorModel(penalties=lrfjax.L1(0.1)))},
        TYPE,
        r"penalties must be a tuple, got L1\(weight=0.1\)",
    ),
    "a number as penalty": (
        {"model": _penalised(0.1)},
        TYPE,
        "penalties must be a Penalty, got 0.1",
    ),
    "a negative weight": (
        {"model": _penalised(lrfjax.L2(-0.5))},
        VALUE,
        "the weight of L2 must be at least 0.0, got -0.5",
    ),
    "NaN as weight": (
        {"model": _penalised(lrfjax.L1(np.nan))},
        VALUE,
        "the weight of L1 must be at least 0.0, got nan",
    ),
    "text as weight": ({"model": _penalised(lrfjax.L1("a"))}, TYPE, "penalties must hold.*'a'"),
    "two weights": (
        {"model": _penalised(lrfjax.L1(np.ones(2)))},
        TYPE,
        "the weight of L1 must be a real number",
    ),
    "an unregistered penalty": (
        {"model": _penalised(UnknownPenalty(1.0))},
        TYPE,
        r"registered with jax.tree_util.register_dataclass, got .*UnknownPenalty\(weight=1.0\)",
    ),
    "a penalty with text": ({"model": _penalised(HasText(1.0))}, TYPE, "penalties.*'many'"),
    "l1 of levels without zero": (
        {"model": _penalised(lrfjax.L1(0.1), constraint=lrfjax.Levels([-1, 1]))},
        VALUE,
        "l1 must be 0 for levels.*, got 0.1",
    ),
    "bits of real numbers": (
        {"model": _penalised(lrfjax.Entropy(1.0), constraint=lrfjax.Real())},
        VALUE,
        "rate needs IntegerBox with concrete bounds, got Real",
    ),
    "bits of too many integers": (
        {"model": _penalised(lrfjax.Entropy(1.0), constraint=lrfjax.IntegerBox(0, 5000))},
        VALUE,
        "rate needs bounds of at most 4096 integers, got 5001",
    ),
    "negative costs": ({"model": _costs(1, 2, -3, 2, 1)}, VALUE, "costs.*non-negative, got -3"),
    "infinite costs": ({"model": _costs(1, 2, np.inf, 2, 1)}, VALUE, "costs must be finite"),
    "costs of the wrong length": (
        {"model": _costs(1, 2, 1)},
        VALUE,
        r"costs must have one entry for each of 5 integers, got shape \(3,\)",
    ),
    "no costs": (
        {"model": _penalised(lrfjax.BitCosts(1.0))},
        TYPE,
        "costs must hold real numbers",
    ),
    "costs of too many columns": (
        {"model": _penalised(lrfjax.BitCosts(1.0, costs=np.ones((3, 5))))},
        VALUE,
        "costs must have one row for each of 2 columns, got 3",
    ),
    # Methods.
    "a name as method": ({"method": "bcd"}, TYPE, "method must be a Method, got 'bcd'"),
    "a class as method": ({"method": lrfjax.BCD}, TYPE, "method must be a Method, got <class"),
    "an unregistered method": ({"method": UnknownMethod()}, TYPE, "method.*UnknownMethod"),
    "Multiplicative with integers": (
        {"model": INTEGERS, "method": lrfjax.Multiplicative()},
        VALUE,
        r"Multiplicative\(\) needs NonNegative factors, got .*IntegerBox",
    ),
    "Multiplicative with Real": (
        {"method": lrfjax.Multiplicative()},
        VALUE,
        r"Multiplicative\(\) needs NonNegative factors, got .*Real",
    ),
    "Multiplicative with an offset": (
        {
            "model": lrfjax.Model(NON_NEGATIVE, NON_NEGATIVE, fit_offset=True),
            "method": lrfjax.Multiplicative(),
        },
        VALUE,
        "Multiplicative.* fits no .*offset",
    ),
    "Extrapolated with integers": (
        {"model": INTEGERS, "method": lrfjax.Extrapolated(lrfjax.BCD())},
        VALUE,
        "Extrapolated.* needs continuous sets, got .*IntegerBox",
    ),
    "Extrapolated twice": (
        {"method": lrfjax.Extrapolated(lrfjax.Extrapolated())},
        VALUE,
        "Extrapolated.* needs a method without a memory",
    ),
    "Extrapolated first order": (
        {"method": lrfjax.Extrapolated(lrfjax.FirstOrder())},
        VALUE,
        "Extrapolated.* needs a method without a memory",
    ),
    "Extrapolated without a method": (
        {"method": lrfjax.Extrapolated("bcd")},
        TYPE,
        "Extrapolated needs a Method|method must.*'bcd'",
    ),
    "joint moves of real factors": (
        {"method": lrfjax.BCD(joint_moves=True)},
        VALUE,
        "joint_moves=True needs an integer factor",
    ),
    "joint moves and weights": (
        {"model": INTEGERS, "method": lrfjax.BCD(joint_moves=True), "weights": np.ones((4, 3))},
        VALUE,
        "joint_moves=True does not support weights",
    ),
    # Starts.
    "another start": ({"start": "sdv"}, VALUE, "start must be one of 'svd'.*got 'sdv'"),
    "a number as start": ({"start": 3}, TYPE, "start must be one of .*got 3"),
    "a class as start": ({"start": lrfjax.SVDStart}, TYPE, "start must be one of .*SVDStart"),
    "an unregistered start": ({"start": UnknownStart()}, TYPE, "start must hold.*UnknownStart"),
    "a random start without a key": ({"start": "random"}, VALUE, "key must be given with start"),
    "restarts of an SVD": (
        {"num_restarts": 2},
        VALUE,
        r"num_restarts=2 needs a start that varies, got SVDStart\(\)",
    ),
    "restarts of factors": (
        {"num_restarts": 3, "start": START},
        VALUE,
        "num_restarts=3 needs a start that varies, got Factors",
    ),
    "restarts of cones": (
        {"num_restarts": 2, "start": "balanced"},
        VALUE,
        "num_restarts=2 .*needs bounds",
    ),
    # Stops.
    "a number as stop": ({"stop": 1e-3}, TYPE, "stop must be a Stop, got 0.001"),
    "a class as stop": ({"stop": lrfjax.Stalled}, TYPE, "stop must be a Stop, got <class"),
    "an unregistered stop": ({"stop": UnknownStop()}, TYPE, "stop must.*UnknownStop"),
    "a negative tolerance": (
        {"stop": lrfjax.Stalled(-1.0)},
        VALUE,
        "stop must be at least 0.0, got -1",
    ),
    "NaN as tolerance": ({"stop": lrfjax.SmallChange(np.nan)}, VALUE, "stop must.*got nan"),
    "a stop that returns a number": (
        {"stop": Answer(lambda entry: entry.objective)},
        TYPE,
        "stop must return a boolean scalar, got .*float32.* from Answer",
    ),
    "a stop that returns nothing": (
        {"stop": Answer(lambda entry: None)},
        TYPE,
        "stop must return a boolean scalar, got None from Answer",
    ),
    "a stop that returns two booleans": (
        {"stop": Answer(lambda entry: np.array([True, False]))},
        TYPE,
        r"stop must return a boolean scalar, got .*False.* from Answer",
    ),
    "a stop that returns text": (
        {"stop": Answer(lambda entry: "yes")},
        TYPE,
        "stop must return a boolean scalar, got 'yes' from Answer",
    ),
    "a stop that reads another field": (
        {"stop": Answer(lambda entry: entry.objective > 0, "loss")},
        VALUE,
        "stop.fields must be one of .*got 'loss'",
    ),
    "a gradient of integers": (
        {"model": INTEGERS, "stop": lrfjax.SmallGradient(0.1)},
        VALUE,
        "stop needs 'projected_gradient', which does not apply to these sets: SmallGradient",
    ),
    "a number among rules": (
        {"stop": lrfjax.AnyOf((lrfjax.Stalled(0.1), 3))},
        TYPE,
        "stop must hold rules.*3",
    ),
    "rules in no tuple": (
        {"stop": lrfjax.AnyOf(lrfjax.Stalled(0.1))},
        TYPE,
        "stop must hold rules",
    ),
    "a stop of a fixed length": (
        {"stop": lrfjax.Stalled(0.1), "fixed_length": True},
        VALUE,
        "fixed_length=True runs all sweeps without a stop, got stop=Stalled",
    ),
    # Records.
    "another field": ({"record": ("loss",)}, VALUE, "record must be one of .*got 'loss'"),
    "a name as record": (
        {"record": "bits"},
        TYPE,
        "record must be a sequence of names, got 'bits'",
    ),
    "bits of no rate": ({"record": ("bits",)}, VALUE, "record names 'bits', which does not apply"),
    "own that is a function": (
        {"record": lrfjax.Record(own=np.sum)},
        TYPE,
        "record.own must be pairs of a name and a function, got <function sum",
    ),
    "own that is a dict": (
        {"record": lrfjax.Record(own={"sum": np.sum})},
        TYPE,
        "record.own must be pairs of a name and a function, got .*'sum'",
    ),
    "own that is one pair": (
        {"record": lrfjax.Record(own=("sum", np.sum))},
        TYPE,
        "record.own must be pairs of a name and a function, got 'sum'",
    ),
    "own without a function": (
        {"record": lrfjax.Record(own=(("sum", 3),))},
        TYPE,
        r"record.own must be pairs of a name and a function, got \('sum', 3\)",
    ),
    "own of the same name": (
        {"record": lrfjax.Record(own=(("sum", np.sum), ("sum", np.max)))},
        VALUE,
        "record.own must have different names, got .*'sum'",
    ),
    # The rest.
    "weights of another shape": (
        {"weights": np.ones((3, 4))},
        VALUE,
        r"weights must have the shape of x, \(4, 3\), got \(3, 4\)",
    ),
    "negative weights": (
        {"weights": X - 1},
        VALUE,
        "weights must be non-negative, got an entry of -1",
    ),
    "weights of zero": ({"weights": 0 * X}, VALUE, "weights must not be all zero"),
    "a name as callback": ({"callback": "print"}, TYPE, "callback must be a function, got 'print'"),
    "a number as progress": ({"progress": 1}, TYPE, "progress must be True or False, got 1"),
    "a callback and restarts": (
        {"callback": print, "start": "balanced", "model": INTEGERS, "num_restarts": 2},
        VALUE,
        "callback needs one start, got num_restarts=2",
    ),
    "a callback of a fixed length": (
        {"callback": print, "fixed_length": True},
        VALUE,
        "callback needs a loop that can stop, got fixed_length=True",
    ),
}


@pytest.mark.parametrize("name", BAD_PARTS)
def test_parts(name, monkeypatch):
    """Each is refused before the solve, by factorize and by the open loop."""
    monkeypatch.setattr(solving, "solve", None)
    monkeypatch.setattr(stepping, "_begin", None)
    params, error, message = BAD_PARTS[name]
    params = {"x": X_PLUS, "rank": 2, **params}
    with pytest.raises(error, match=message):
        lrfjax.factorize(**params)
    if not {"num_restarts", "callback", "progress", "fixed_length"} & {*params}:
        with pytest.raises(error, match=message):
            lrfjax.init(**params)


@pytest.mark.parametrize("option", ["callback", "progress"])
@pytest.mark.parametrize("way", [jax.jit, jax.vmap])
def test_nobody_watches_a_traced_solve(option, way):
    value = {"callback": lambda *_: None, "progress": True}[option]
    with pytest.raises(lrfjax.InputError, match=f"{option} needs values.*use init, step and fin"):
        way(lambda x: lrfjax.factorize(x, 1, **{option: value}))(X[None])


def test_answers_of_callbacks():
    with pytest.raises(lrfjax.InputTypeError, match=r"callback must return True.*got 'yes'"):
        lrfjax.factorize(X, 1, callback=lambda *_: "yes")


def test_settings_of_parts():
    for make, error, message in (
        (lambda: lrfjax.BCD(0), VALUE, "num_passes must be at least 1, got 0"),
        (lambda: lrfjax.BCD((1, 2, 3)), TYPE, r"num_passes must.*\(1, 2, 3\)"),
        (lambda: lrfjax.BCD(1.5), TYPE, "num_passes must be an integer, got 1.5"),
        (lambda: lrfjax.BetaDivergence(3.0), VALUE, "beta must be between 0.0 and 2.0, got 3"),
        (lambda: lrfjax.BetaDivergence("kl"), TYPE, "beta must be a real number, got 'kl'"),
        (lambda: lrfjax.Levels([1]), VALUE, r"values must be at least two.*\[1\]"),
        (lambda: lrfjax.Sparse(0), VALUE, "num_nonzeros must be at least 1, got 0"),
        (lambda: lrfjax.FirstOrder("adam"), TYPE, "optimizer must be.*'adam'"),
    ):
        with pytest.raises(error, match=message):
            make()


def test_what_cannot_be_resumed():
    result = lrfjax.imf(X, 1, num_iters=1)
    with pytest.raises(lrfjax.InputError, match="result must be as a solver of sweeps returned it"):
        lrfjax.resume(jax.tree.map(lambda a: a, result), 1)
    with pytest.raises(lrfjax.InputError, match="result must be as a solver of sweeps returned it"):
        lrfjax.resume(lrfjax.svd(X, 1), 1)
    with pytest.raises(lrfjax.InputTypeError, match="result must be a Result, got Factors"):
        lrfjax.resume(result.factors, 1)
    with pytest.raises(lrfjax.InputError, match="num_iters must be at least 0, got -1"):
        lrfjax.resume(result, -1)
    with pytest.raises(lrfjax.InputTypeError, match=r"stop must be a Stop, got 0\.1"):
        lrfjax.resume(result, 1, stop=0.1)
    with pytest.raises(lrfjax.InputError, match="stop needs fields that the solve did not record"):
        lrfjax.resume(lrfjax.imf(X, 1, num_iters=1, record=()), 1, stop=lrfjax.SmallChange(0.1))
    with pytest.raises(lrfjax.InputError, match="record_every must divide num_iters, got 2"):
        lrfjax.resume(lrfjax.imf(X, 1, num_iters=2, record_every=2), 3)
    with pytest.raises(lrfjax.InputError, match="fixed_length=True"):
        lrfjax.resume(lrfjax.factorize(X, 1, num_iters=1, fixed_length=True), 1)


def test_open_loops_take_what_init_returns():
    for function in (lrfjax.step, lrfjax.finish):
        with pytest.raises(lrfjax.InputTypeError, match=r"solve must come from init.*Factors"):
            function(START)


def test_multiplicative_updates_of_negative_numbers_stay_feasible_and_descend():
    x = np.random.default_rng(0).normal(size=(14, 9)) + 0.3
    model = _nmf(lrfjax.SquaredError())
    result = lrfjax.factorize(x, 3, model=model, method=lrfjax.Multiplicative(), num_iters=20)
    for factor in (result.factors.u, result.factors.v):
        assert np.min(factor) >= 0
    history = np.asarray(result.history.objective)
    assert np.all(np.diff(history) <= 1e-5 * history[0])
    assert history[-1] < history[0]


def test_negative_entries_are_refused_by_nmf():
    with pytest.raises(lrfjax.InputError, match=r"x must be non-negative for nmf.*-2"):
        lrfjax.nmf(_with(-2), 1)


def test_traced_arguments_are_checked_by_type_and_shape():
    with pytest.raises(lrfjax.InputTypeError, match="rank must be an integer scalar"):
        jax.jit(lambda r: lrfjax.imf(X, r))(1.5)
    with pytest.raises(lrfjax.InputTypeError, match="tol must be a scalar"):
        jax.jit(lambda t: lrfjax.imf(X, 1, tol=t))(np.zeros(2))
    with pytest.raises(lrfjax.InputTypeError, match="bounds must be concrete"):
        jax.jit(lambda b: lrfjax.imf(X, 1, bounds=(b, 4)))(-3.0)


@pytest.mark.parametrize("rank", [4, -1])
def test_truncated_svd_checks_its_rank(rank):
    with pytest.raises(lrfjax.InputError, match="rank must be between 0 and 3"):
        lrfjax.truncated_svd(X, rank)


def test_shapes_are_checked_under_jit_too():
    with pytest.raises(lrfjax.InputError, match="rank must be between 1 and 3, got 9"):
        jax.jit(lambda x: lrfjax.imf(x, 9))(X)


ENCODERS = [lrfjax.dct_encode, lrfjax.imf_encode, lrfjax.svd_encode, lrfjax.nmf_encode]
PUBLISHED = ["imf-paper", "svd-paper"]


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(
    ("image", "params", "error", "message"),
    [
        (IMAGE, {}, lrfjax.InputError, "exactly one of rank, quality, target_bpp.*got none"),
        (IMAGE, {"rank": 1, "quality": 1}, lrfjax.InputError, "exactly one of.*rank and quality"),
        (
            IMAGE,
            {"target_bpp": 1, "target_psnr": 30},
            lrfjax.InputError,
            "exactly one of.*target_bpp and target_psnr",
        ),
        (IMAGE, {"quality": 101}, lrfjax.InputError, "quality must be.*got 101"),
        (IMAGE, {"quality": -1}, lrfjax.InputError, "quality must be.*got -1"),
        (IMAGE, {"quality": (1, 2)}, lrfjax.InputTypeError, r"quality.*got \(1, 2\)"),
        (IMAGE, {"quality": "high"}, lrfjax.InputTypeError, "quality.*got 'high'"),
        (IMAGE, {"quality": np.nan}, lrfjax.InputError, "quality.*got nan"),
        (IMAGE, {"rank": 0}, lrfjax.InputError, "rank must be.*got 0"),
        (IMAGE, {"rank": 257}, lrfjax.InputError, "rank must be between 1 and .*got 257"),
        (IMAGE, {"rank": 1.5}, lrfjax.InputTypeError, "rank must be an integer, got 1.5"),
        (IMAGE, {"rank": (1, 1, 1)}, lrfjax.InputTypeError, "rank must be an integer"),
        (IMAGE, {"target_bpp": 0}, lrfjax.InputError, "target_bpp must be positive"),
        (IMAGE, {"target_bpp": -1}, lrfjax.InputError, "target_bpp must be.*got -1"),
        (IMAGE, {"target_bpp": "low"}, lrfjax.InputTypeError, "target_bpp.*got 'low'"),
        (IMAGE, {"target_psnr": -1}, lrfjax.InputError, "target_psnr must be.*got -1"),
        (IMAGE, {"target_psnr": 201}, lrfjax.InputError, "target_psnr must be.*got 201"),
        (IMAGE, {"target_psnr": True}, lrfjax.InputTypeError, "target_psnr.*got True"),
        (IMAGE.astype(float), {"rank": 1}, lrfjax.InputTypeError, "image.*float64"),
        (IMAGE.astype(np.int16), {"rank": 1}, lrfjax.InputTypeError, "uint8 or uint16, got int16"),
        (IMAGE[..., :2], {"rank": 1}, lrfjax.InputError, r"image.*\(16, 16, 2\)"),
        (IMAGE[:0], {"rank": 1}, lrfjax.InputError, r"image must not be empty.*\(0, 16, 3\)"),
        (
            np.zeros((4, 4, 4), np.uint16),
            {"rank": 1},
            lrfjax.InputError,
            r"image must have shape \(H, W\) or \(H, W, 3\), got \(4, 4, 4\)",
        ),
        ("x.png", {"rank": 1}, lrfjax.InputTypeError, "image must be a uint8 or uint16 array.*str"),
        (IMAGE, {"rank": 1, "wavelet": 3}, lrfjax.InputTypeError, "no setting 'wavelet'"),
        (IMAGE, {"quality": 1, "icc_profile": "x"}, lrfjax.InputTypeError, "icc_profile.*bytes"),
        (IMAGE, {"quality": 1, "exif": 3}, lrfjax.InputTypeError, "exif must be bytes, got int"),
        (
            IMAGE,
            {"quality": 1, "progress": 3},
            lrfjax.InputTypeError,
            "progress must be a function",
        ),
    ],
)
def test_codec_settings(encode, image, params, error, message):
    with pytest.raises(error, match=message):
        encode(image, **params)


@pytest.mark.parametrize("codec", PUBLISHED)
@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        ({"quality": (1, 2)}, lrfjax.InputError, "quality must be a scalar or hold"),
        ({"quality": 101}, lrfjax.InputError, "quality must be.*got 101"),
        ({"quality": "high"}, lrfjax.InputTypeError, "quality.*got 'high'"),
        ({"rank": 5}, lrfjax.InputError, "rank must be between 1 and 4, got 5"),
        ({"rank": np.array([1, 1])}, lrfjax.InputError, "rank.*one for each matrix"),
        ({"target_bpp": 1}, lrfjax.InputError, "target_bpp is not taken by .*quality and rank"),
        ({"target_psnr": 30}, lrfjax.InputError, "target_psnr is not taken by"),
    ],
)
def test_rates_of_the_published_codecs(codec, rate, error, message):
    with pytest.raises(error, match=message):
        lrfjax.encode(IMAGE, codec, **rate)


def test_one_rank_of_the_published_codec_is_too_large():
    with pytest.raises(lrfjax.InputError, match=r"rank must be.*got 99"):
        lrfjax.encode(IMAGE, "imf-paper", rank=(1, 1, 99))


@pytest.mark.parametrize("codec", PUBLISHED)
def test_the_published_codecs_have_8_bits(codec):
    with pytest.raises(lrfjax.InputError, match=f"uint8 for {codec}, got uint16"):
        lrfjax.encode(IMAGE.astype(np.uint16), codec, rank=1)


VALUE, TYPE = lrfjax.InputError, lrfjax.InputTypeError


@pytest.mark.parametrize("codec", [lrfjax.PaperIMFCodec, lrfjax.PaperSVDCodec])
@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"color_space": "HSV"}, VALUE, "color_space.*'HSV'"),
        ({"color_space": "rotated"}, VALUE, "color_space.*'rotated'"),
        ({"scale_factor": (0, 1)}, VALUE, "scale_factor"),
        ({"scale_factor": (0.5, 1.5)}, VALUE, "scale_factor.*1.5"),
        ({"scale_factor": 0.5}, TYPE, "scale_factor.*0.5"),
        ({"patch_size": (8, 0)}, VALUE, "patch_size.*got 0"),
        ({"patch_size": (8, 1025)}, VALUE, "patch_size.*got 1025"),
        ({"patch_size": 8}, TYPE, "patch_size.*got 8"),
        ({"patch": 1}, TYPE, "patch must be True or False"),
        ({"upsampling": "cubic"}, VALUE, "upsampling.*'cubic'"),
        ({"entropy": "zip"}, VALUE, "entropy.*'zip'"),
    ],
)
def test_settings_of_both_published_codecs(codec, setting, error, message):
    with pytest.raises(error, match=message):
        codec(**setting)


@pytest.mark.parametrize(
    ("codec", "setting", "error", "message"),
    [
        (lrfjax.PaperIMFCodec, {"bounds": (5, 1)}, VALUE, "bounds"),
        (lrfjax.PaperIMFCodec, {"bounds": (0, 70000)}, VALUE, "bounds must span"),
        (lrfjax.PaperIMFCodec, {"bounds": "abc"}, TYPE, "bounds.*'abc'"),
        (
            lrfjax.PaperIMFCodec,
            {"bounds": ([-1, -2], 3)},
            TYPE,
            "bounds must be a pair of integers",
        ),
        (lrfjax.PaperIMFCodec, {"init": "warm"}, VALUE, "init must be one of"),
        (lrfjax.PaperIMFCodec, {"num_iters": -1}, VALUE, "num_iters"),
        (lrfjax.PaperSVDCodec, {"bits": 9}, VALUE, "bits must be between 1 and 8, got 9"),
        (lrfjax.PaperSVDCodec, {"bits": 0}, VALUE, "bits"),
        (lrfjax.IMFCodec, {"num_iters": -2}, VALUE, "num_iters"),
        (lrfjax.IMFCodec, {"num_iters": 1.5}, TYPE, "num_iters"),
        (lrfjax.NMFCodec, {"num_iters": -1}, VALUE, "num_iters"),
        (lrfjax.DCTCodec, {"effort": 0}, VALUE, "effort must be between 1 and 3"),
        (lrfjax.DCTCodec, {"effort": 4}, VALUE, "effort.*4"),
        (lrfjax.DCTCodec, {"effort": 2.5}, TYPE, "effort must be an integer"),
        (lrfjax.DCTCodec, {"color_space": "HSV"}, VALUE, "color_space.*'HSV'"),
    ],
)
def test_settings_of_single_codecs(codec, setting, error, message):
    with pytest.raises(error, match=message):
        codec(**setting)


def test_targets_that_cannot_be_met():
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.raises(lrfjax.InputError, match="this image takes at least"):
        lrfjax.dct_encode(noise, target_bpp=0.01)
    with pytest.raises(lrfjax.InputError, match="this image reaches at most"):
        lrfjax.dct_encode(noise, target_psnr=150)


@pytest.mark.parametrize(
    "read", [lrfjax.decode, lrfjax.dct_decode, lrfjax.read_factors, lrfjax.read_metadata]
)
def test_files_that_are_too_large_or_damaged(read):
    data = lrfjax.dct_encode(IMAGE, quality=1)
    with pytest.raises(lrfjax.FormatError, match="exceeds the limit of 100"):
        read(data, max_pixels=100)
    with pytest.raises(lrfjax.FormatError, match="damaged"):
        read(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize(
    "decode",
    [
        lrfjax.decode,
        lrfjax.imf_decode,
        lrfjax.pil_decode,
        lrfjax.read_factors,
        lrfjax.read_metadata,
        account,
        describe,
    ],
)
@pytest.mark.parametrize("data", [b"", b"\0", b"nonsense" * 20])
def test_foreign_bytes(decode, data):
    with pytest.raises(lrfjax.FormatError, match="data"):
        decode(data)
    with pytest.raises(lrfjax.InputTypeError, match="data must be bytes"):
        decode("text")


def test_pillow_settings():
    with pytest.raises(lrfjax.InputError, match=r"format must be one of.*'NOPE'"):
        lrfjax.pil_encode(IMAGE, "nope")
    with pytest.raises(lrfjax.InputError, match=r"quality.*got 200"):
        lrfjax.pil_encode(IMAGE, quality=200)


def test_errors_are_one_family_and_familiar():
    for error, builtin in (
        (lrfjax.InputError, ValueError),
        (lrfjax.InputTypeError, TypeError),
        (lrfjax.FormatError, ValueError),
        (lrfjax.SolverError, RuntimeError),
    ):
        assert issubclass(error, lrfjax.LrfError)
        assert issubclass(error, builtin)


@pytest.mark.parametrize("function", [lrfjax.plot_convergence, lrfjax.plot_rate_distortion])
def test_empty_plots(function):
    with pytest.raises(lrfjax.InputError, match="results"):
        function({})


def test_evaluation_settings():
    with pytest.raises(lrfjax.InputTypeError, match="encoder must be a function, got 'jpeg'"):
        lrfjax.eval_compression(IMAGE, "jpeg", lrfjax.pil_decode)
    with pytest.raises(lrfjax.InputError, match="does not exist"):
        lrfjax.eval_compression("none.png", lrfjax.pil_encode, lrfjax.pil_decode)
    with pytest.raises(lrfjax.InputError, match="decoder must return shape"):
        lrfjax.eval_compression(IMAGE, lrfjax.pil_encode, lambda data: IMAGE[:3])
    with pytest.raises(lrfjax.InputError, match="must hold at least one row"):
        lrfjax.vis_collage({"A": []}, [0.1])
    with pytest.raises(lrfjax.InputError, match="anchor_rates"):
        lrfjax.bd_rate([0.1, -0.2], [1, 2], [0.1, 0.2], [1, 2])
    with pytest.raises(lrfjax.InputError, match="rates"):
        lrfjax.bd_rate([0.1, 0.2], [1, 2], [0.1], [1, 2])
