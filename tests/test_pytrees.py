"""Parts are pytrees whose structures tell types apart, so that no program serves another's part."""

from dataclasses import dataclass
from itertools import combinations

import jax
import numpy as np
import pytest

import lrfjax
from tests.problems import RANK, SHAPE, SWEEPS, low_rank_integers

pytestmark = pytest.mark.unoptimized

ALIKE = (
    (lrfjax.Real(), lrfjax.NonNegative()),
    (lrfjax.Box(0, 1), lrfjax.IntegerBox(0, 1)),
    (lrfjax.SquaredError(), lrfjax.KullbackLeibler(), lrfjax.ItakuraSaito()),
    (lrfjax.SVDStart(), lrfjax.BalancedStart(), lrfjax.NNDSVDStart()),
    (lrfjax.L1(1.0), lrfjax.L2(1.0)),
    (lrfjax.Stalled(0.1), lrfjax.SmallChange(0.1), lrfjax.SmallGradient(0.1)),
)


@pytest.mark.parametrize("parts", ALIKE, ids=lambda parts: type(parts[0]).__name__)
def test_structures_differ_if_types_do(parts):
    for one, other in combinations(parts, 2):
        assert jax.tree.structure(one) != jax.tree.structure(other)
    for part in parts:
        assert jax.tree.structure(part) == jax.tree.structure(jax.tree.map(lambda a: a, part))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OwnReal(lrfjax.Real):
    """A set of the caller, registered as JAX documents it."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OwnNonNegative(lrfjax.NonNegative):
    """Another one: JAX may hold the structures of both for equal."""


def test_parts_from_outside_have_programs_of_their_own():
    x = np.abs(low_rank_integers(5, 1, SHAPE, 3)[0])
    plans = []
    for own in (OwnReal(), OwnNonNegative()):
        model = lrfjax.Model(lrfjax.FactorModel(own), lrfjax.FactorModel(own))
        plans.append(lrfjax.factorize(x, RANK, model=model, num_iters=SWEEPS).origin.call.plan)
    assert plans[0] != plans[1]
