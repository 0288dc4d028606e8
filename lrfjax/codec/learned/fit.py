"""The alternation between U and V on the patches of an image, for each factorization.

U is decided by the coder itself (``choice``), V by ``solvers``. What is minimised is
the squared error plus the bits of both factors, as they are in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lrfjax.codec.learned.basis import Basis
from lrfjax.codec.learned.choice import Decision, Problem, decide
from lrfjax.codec.learned.solvers import (
    Columns,
    nonnegative_columns,
    nonnegative_start,
    rate_step,
    rounded,
    singular_columns,
)

NUM_PASSES = 2
"""Passes over U for a V; the second knows what an entry costs others."""

_INTEGER_UNIT_BITS = 6
# An alternation that gains less than this share of the cost is the last.
_LEAST_GAIN = 5e-4


@dataclass(frozen=True, eq=False)
class Fit:
    """A factorization.

    Attributes:
        basis: V.
        problem: the patches, with the columns that V has.
        decision: U.
        costs: cost after each alternation that was kept, in squared steps; falling.
    """

    basis: Basis
    problem: Problem
    decision: Decision
    costs: tuple[float, ...]


def cost_of(problem: Problem, basis: Basis, decision: Decision) -> float:
    """Return the squared error plus the rate of both factors, in squared steps."""
    return decision.error + problem.lagrangian * (8 * len(decision.body) + basis.bits)


def fixed(problem: Problem, basis: Basis) -> Fit:
    """Return the best of a few passes over U for a given V."""
    found: Decision | np.ndarray
    if basis.is_nonnegative:
        found = nonnegative_start(problem.x, basis, problem.live)
    else:
        found = np.zeros((*problem.x.shape[:2], 1), np.int16)
    best, costs = None, []
    for _ in range(NUM_PASSES):
        found = decide(problem, basis, found)
        cost = cost_of(problem, basis, found)
        if best is None or cost < costs[-1]:
            best = found
            costs.append(cost)
    assert best is not None
    return Fit(basis, problem, best, tuple(costs))


@dataclass(frozen=True)
class Factorization:
    """How both factors are found: what tells the codecs with a learned V apart.

    Attributes:
        method: name in the header.
        effort: effort of the choice among the dictionaries that V starts from, 1 to 3.
        has_atoms: whether columns of V keep the places of atoms, so that a rank keeps the first.
        in_quarters: whether V has 8 x 8 pixels, which the quarters of a patch share.
        is_nonnegative: whether both factors are, so that planes have to be lifted above 0.
    """

    method: ClassVar[str]
    effort: int = 1
    has_atoms: ClassVar[bool] = False
    in_quarters: ClassVar[bool] = False
    is_nonnegative: ClassVar[bool] = False

    def fit(self, problem: Problem, ranks: list[int]) -> Fit:
        """Return the factorization of a problem.

        Args:
            problem: patches.
            ranks: largest number of columns of each plane.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class IntegerFactorization(Factorization):
    """IMF: V from the atoms on, U and V in turn.

    Attributes:
        num_iters: largest number of alternations.
    """

    num_iters: int = 3

    method: ClassVar[str] = "imf"
    has_atoms: ClassVar[bool] = True

    def fit(self, problem: Problem, ranks: list[int]) -> Fit:
        """See ``Factorization``; the problem knows the ranks."""
        basis = Basis.of_atoms(len(problem.x), _INTEGER_UNIT_BITS)
        best = fixed(problem, basis)
        for _ in range(self.num_iters):
            basis = rate_step(problem.x, best.decision.u, best.basis, problem.lagrangian)
            decision = decide(problem, basis, best.decision)
            cost = cost_of(problem, basis, decision)
            gain = best.costs[-1] - cost
            if gain > 0:
                best = Fit(basis, problem, decision, (*best.costs, cost))
            if gain < _LEAST_GAIN * best.costs[-1]:
                break
        return best


@dataclass(frozen=True)
class SingularVectors(Factorization):
    """The truncated SVD, whose V is rounded as finely as pays."""

    method: ClassVar[str] = "svd"
    in_quarters: ClassVar[bool] = True

    def fit(self, problem: Problem, ranks: list[int]) -> Fit:
        """See ``Factorization``."""
        columns = singular_columns(problem.x, ranks)
        return _best_rounding(problem, columns, (4, 7, 10), is_signed=True)


@dataclass(frozen=True)
class NonNegativeFactorization(Factorization):
    """NMF, whose V is rounded as finely as pays.

    Attributes:
        num_iters: number of solver sweeps.
    """

    num_iters: int = 30

    method: ClassVar[str] = "nmf"
    is_nonnegative: ClassVar[bool] = True

    def fit(self, problem: Problem, ranks: list[int]) -> Fit:
        """See ``Factorization``."""
        columns = nonnegative_columns(problem.x, ranks, self.num_iters)
        return _best_rounding(problem, columns, (4, 5, 6, 7), is_signed=False)


def _best_rounding(
    problem: Problem, columns: list[Columns], unit_bits: Sequence[int], *, is_signed: bool
) -> Fit:
    """Return the factorization with the unit of C that costs least."""
    fits = []
    for bits in unit_bits:
        basis, live = rounded(columns, bits, problem.lagrangian, is_signed=is_signed)
        fits.append(fixed(replace(problem, live=live), basis))
    return min(fits, key=lambda found: found.costs[-1])
