"""The alternation between U and V on the patches of an image, for each factorization.

U is decided by the coder itself (``choice``), V by ``solvers``. What is minimised is
the squared error plus the bits of both factors, as they are in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lrfjax.codec.learned.basis import Basis
from lrfjax.codec.learned.choice import Decision, Problem, decide
from lrfjax.codec.learned.solvers import (
    nonnegative_columns,
    nonnegative_start,
    rate_step,
    rounded,
    singular_columns,
)

# The binary logarithms of the units of C that are tried. Dense columns want a coarse one, unless
# the rounding of V shows.
_UNIT_BITS = {"imf": (6,), "svd": (4, 7, 10), "nmf": (4, 5, 6, 7)}

NUM_PASSES = 2
"""Passes over U for a V; the second knows what an entry costs others."""

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


def fit(problem: Problem, method: str, num_iters: int, ranks: list[int]) -> Fit:
    """Return the factorization of a problem.

    Args:
        problem: patches.
        method: ``"imf"``, ``"svd"`` or ``"nmf"``.
        num_iters: alternations of IMF, or sweeps of NMF.
        ranks: largest number of columns of each plane, for the SVD and NMF.
    """
    if method == "imf":
        return _integer(problem, num_iters)
    is_signed = method == "svd"
    columns = (
        singular_columns(problem.x, ranks)
        if is_signed
        else nonnegative_columns(problem.x, ranks, num_iters)
    )
    fits = []
    for unit_bits in _UNIT_BITS[method]:
        basis, live = rounded(columns, unit_bits, problem.lagrangian, is_signed=is_signed)
        fits.append(fixed(replace(problem, live=live), basis))
    return min(fits, key=lambda found: found.costs[-1])


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


def _integer(problem: Problem, num_iters: int) -> Fit:
    """Return IMF: V from the atoms on, U and V in turn."""
    basis = Basis.of_atoms(len(problem.x), _UNIT_BITS["imf"][0])
    best = fixed(problem, basis)
    for _ in range(num_iters):
        basis = rate_step(problem.x, best.decision.u, best.basis, problem.lagrangian)
        decision = decide(problem, basis, best.decision)
        cost = cost_of(problem, basis, decision)
        gain = best.costs[-1] - cost
        if gain > 0:
            best = Fit(basis, problem, decision, (*best.costs, cost))
        if gain < _LEAST_GAIN * best.costs[-1]:
            break
    return best
