"""The three factorizations of the learned codecs: how C, the V in atom coordinates, is found.

``rate_step`` is the column update of IMF with the entropy coder's own costs. ``singular_columns``
and ``nonnegative_columns`` are the columns of the others, and ``rounded`` drops what does not pay
for its bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import linear_sum_assignment

from lrfjax.codec.buckets import bucket, pad_to
from lrfjax.codec.dictionary.atoms import ATOMS
from lrfjax.codec.dictionary.dictionaries import dictionary
from lrfjax.codec.entropy import basis_coder
from lrfjax.codec.entropy.magnitudes import MAX_ENTRY
from lrfjax.codec.learned import quarters
from lrfjax.codec.learned.basis import Basis
from lrfjax.codec.learned.choice import joined
from lrfjax.codec.quantize import host_factors
from lrfjax.pytrees import register
from lrfjax.solvers.execute.fit_check import without_fit_warnings
from lrfjax.solvers.factorize import factorize
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.penalties.entropy import RatePenalty
from lrfjax.solvers.sets.boxes import IntegerBox, NonNegative
from lrfjax.types import Factors

_COUNT = len(ATOMS)
_FORBIDDEN = 1e6
"""Bits of an entry that the format does not hold."""
MAX_NMF_RANK = 32
"""The most columns of NMF, which has no order of columns to cut them off by."""

# The bits that an entry of V has to be worth for its column to enter a solve.
_LEAST_BITS = 8.0
# A choice under which an entry that is not 0 takes some eight bits.
_FIRST_CLASS = 10
_SWEEPS = 1
_START_SWEEPS = 20
# Columns of U whose mean square is below that of this share of a step are dropped.
_WEAKEST = 0.12
_PADDED = (64, 256)
"""Numbers of columns that a solve is padded to, so that few programs are compiled. More columns
wait for the next alternation."""


@register
@dataclass(frozen=True)
class GroupCosts(RatePenalty):
    """``weight`` times the bits of V, whose entries belong to groups with a code of their own.

    Attributes:
        costs: bits of lower, ..., upper in each group, shape (groups, num_values).
        groups: group of each entry, shape (R, L).
    """

    costs: Any = None
    groups: Any = None

    def bits(self, column: Array, r: Array) -> Array:
        """Return the bits of a column."""
        code = (column - self.lowest_of(r)).astype(jnp.int32)
        return jnp.sum(jnp.take_along_axis(self.charges(column, r), code[None], axis=0))

    def charges(self, column: Array, r: Array) -> Array:
        """Return the costs of the entries' groups, shape (num_values, L)."""
        group = jnp.asarray(self.groups)[r].astype(jnp.int32)
        return jnp.asarray(self.costs, column.dtype)[group].T


def rate_step(x: np.ndarray, u: np.ndarray, basis: Basis, lagrangian: float) -> Basis:
    """Return the V that minimises the squared error plus the rate of V for a given U.

    X - U = U E^T / n is a factorization with a fixed U and an integer E that starts from the
    present one, so the objective never rises. X and U enter by U^T U and U^T X alone.

    Args:
        x: shape (planes, M, 256), float32, the patches in the coordinates of the atoms.
        u: shape (planes, M, R), integers.
        basis: present V.
        lagrangian: Lagrange multiplier of the rate, in squared steps per bit.
    """
    wide = joined(u).astype(np.float64)
    gram = wide.T @ wide
    target = wide.T @ (joined(x) - wide)
    energies = np.maximum(np.diag(gram), 1e-9)
    groups = basis_coder.groups_of(basis.planes).T
    # The most that an entry can gain has to pay for a few bits.
    gains = np.square(target) / energies[:, None] * (groups != basis_coder.NONE)
    most = gains.max(axis=1)
    best = np.argsort(-most, kind="stable")[: _PADDED[-1]]
    columns = np.sort(best[most[best] > _LEAST_BITS * lagrangian])
    if not len(columns):
        return basis
    present = basis.deviations.copy()
    found = present[:, columns]
    present[:, columns] = 0
    target -= gram @ (present.T / basis.unit)
    present[:, columns] = found
    root, right = _square_root(gram[np.ix_(columns, columns)], target[columns])
    size = next(n for n in _PADDED if n >= len(columns))
    pad = ((0, size - len(columns)), (0, 0))
    bound = basis.unit // 2
    for least in (_FIRST_CLASS, 0):
        # The first sweeps may begin a group; the others know which groups there are.
        choices = np.maximum(basis_coder.choose_classes(present, groups.T), least)
        costs = np.vstack([basis_coder.prices(choices, bound), np.full(2 * bound + 1, _FORBIDDEN)])
        costs[-1, bound] = 0
        penalty = GroupCosts(
            lagrangian * basis.unit**2, costs=costs, groups=np.pad(groups[columns], pad)
        )
        with without_fit_warnings():
            result = factorize(
                np.pad(basis.unit * right, pad).astype(np.float32),
                size,
                model=Model(
                    FactorModel(is_fixed=True),
                    FactorModel(IntegerBox(*np.array([-bound, bound], np.float32)), (penalty,)),
                ),
                start=Factors(
                    jnp.asarray(np.pad(root, ((0, pad[0][1]),) * 2), jnp.float32),
                    jnp.asarray(np.pad(found.T, pad).T, jnp.float32),
                ),
                num_iters=_SWEEPS,
                record=(),
                record_every=_SWEEPS,
            )
        found = np.rint(host_factors(result)[1][:, : len(columns)]).astype(np.int32)
        present[:, columns] = found
    return Basis(present, basis.planes, basis.unit_bits)


def _square_root(gram: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return S and Y with S^T S = gram and S^T Y = target: U and X in fewer rows."""
    values, vectors = np.linalg.eigh(gram)
    roots = np.sqrt(np.maximum(values, 1e-9 * max(values[-1], 1e-9)))
    return roots[:, None] * vectors.T, (vectors.T @ target) / roots[:, None]


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of V of one plane, before they are rounded.

    Attributes:
        directions: shape (256, R), or (64, R) for quarters: columns of norm 1 or 0, in the
            coordinates of the atoms.
        energies: shape (R,), squared norms of their columns of U, in squared steps.
    """

    directions: np.ndarray
    energies: np.ndarray


def singular_columns(x: np.ndarray, ranks: list[int]) -> list[Columns]:
    """Return the right singular vectors of the quarters of each plane.

    Args:
        x: see ``rate_step``, in the coordinates of the dictionary whose atoms lie in quarters.
        ranks: largest number of columns of U for each plane.
    """
    parts = []
    for plane, rank in zip(x, ranks, strict=True):
        matrix = quarters.split(plane)
        values, vectors = np.linalg.eigh(matrix.T @ matrix)
        keep = values[::-1] > _WEAKEST**2 * len(matrix)
        keep[0] = True
        # Each quarter has columns of its own in U.
        keep[max(rank // 4, 1) :] = False
        parts.append(Columns(vectors[:, ::-1][:, keep], values[::-1][keep]))
    return parts


def rounded(
    parts: list[Columns], unit_bits: int, lagrangian: float, *, is_signed: bool
) -> tuple[Basis, np.ndarray]:
    """Return V and its live columns, each in the place of an atom.

    Entries are rounded, and dropped where they cost more than they are worth.

    Args:
        parts: columns of each plane.
        unit_bits: binary logarithm of the unit of C.
        lagrangian: see ``rate_step``.
        is_signed: whether a column may be turned around, so that it points along its atom; V is
            clipped at 0 otherwise.

    Returns:
        The basis, and booleans of shape (planes, 256).
    """
    count, unit = len(parts[0].directions), 1 << unit_bits
    size = count * len(parts)
    deviations = np.zeros((size, size), np.int32)
    losses = np.zeros((size, size))
    live = np.zeros((len(parts), count), bool)
    for plane, part in enumerate(parts):
        columns, energies = part.directions, part.energies
        # The contexts of U know the atoms, so every column takes the place of the one it is like.
        atoms, chosen = linear_sum_assignment(-np.square(columns))
        signs = np.where(columns[atoms, chosen] < 0, -1, 1) if is_signed else 1
        whole = np.eye(count)
        whole[:, atoms] = columns[:, chosen] * signs
        live[plane, atoms] = True
        span = slice(plane * count, (plane + 1) * count)
        rounded = np.rint(unit * (whole - np.eye(count)))
        energy = np.zeros(count)
        energy[atoms] = energies[chosen]
        deviations[span, span] = rounded
        losses[span, span] = energy * np.square(rounded / unit)
    in_quarters = count == quarters.COUNT
    groups = basis_coder.groups_of(len(parts), in_quarters)
    for _ in range(3):
        bound = int(np.abs(deviations).max(initial=1))
        prices = basis_coder.prices(basis_coder.choose_classes(deviations, groups), bound)
        spent = prices[groups, deviations + bound] - prices[groups, bound]
        deviations = np.where(losses > lagrangian * spent, deviations, 0)
    basis = Basis(deviations, len(parts), unit_bits, not is_signed)
    if not in_quarters:
        return basis, live
    whole = np.zeros((len(parts), _COUNT), bool)
    whole[:, quarters.places().reshape(4, -1)] = live[:, None]
    return basis, whole


def nonnegative_columns(x: np.ndarray, ranks: list[int], num_iters: int) -> list[Columns]:
    """Return V of a non-negative factorization of the pixels of each plane.

    Args:
        x: see ``rate_step``; the pixels are not negative.
        ranks: largest number of columns for each plane.
        num_iters: number of solver sweeps.
    """
    parts = []
    for pixels, most in zip(_pixels(x), ranks, strict=True):
        spread = np.linalg.eigvalsh(pixels.T @ pixels)
        count = int(np.count_nonzero(spread > _WEAKEST**2 * len(pixels)))
        rank = min(max(count, 1), *pixels.shape, MAX_NMF_RANK, most)
        # Rows of zeros and one largest rank keep the number of compiled programs small.
        padded = pad_to(pixels, 0, bucket(len(pixels)))
        with without_fit_warnings():
            result = factorize(
                padded,
                jnp.int32(rank),
                model=Model(NonNegative(), NonNegative()),
                start="nndsvd",
                max_rank=min(MAX_NMF_RANK, *padded.shape),
                num_iters=num_iters,
                record=(),
            )
        u, v = (part[:, :rank] for part in host_factors(result))
        norms = np.maximum(np.linalg.norm(v, axis=0), 1e-30)
        energies = np.square(u * norms).sum(axis=0)
        parts.append(Columns(np.linalg.solve(_flat_atoms(), v / norms), energies))
    return parts


def nonnegative_start(x: np.ndarray, basis: Basis, live: np.ndarray) -> np.ndarray:
    """Return the rounded U of least squares, not negative, for a given V: a start for the coder.

    Args:
        x: see ``nonnegative_columns``.
        basis: V of NMF.
        live: its live columns, shape (planes, 256).

    Returns:
        Shape (planes, M, 256), int16.
    """
    out = np.zeros(x.shape, np.int16)
    for plane, pixels in enumerate(_pixels(x)):
        columns = np.flatnonzero(live[plane])
        v = basis.columns(0, plane)[:, plane * _COUNT + columns] / 2.0**14
        gram, target = v.T @ v + 1e-6 * np.eye(len(columns)), pixels @ v
        u = np.zeros((len(pixels), len(columns)))
        for _ in range(_START_SWEEPS):
            for r in range(len(columns)):
                step = (target[:, r] - u @ gram[:, r]) / gram[r, r]
                u[:, r] = np.maximum(u[:, r] + step, 0)
        out[plane][:, columns] = np.minimum(np.rint(u), MAX_ENTRY)
    return out


def _flat_atoms() -> np.ndarray:
    """Return the atoms of the first dictionary, of norm 1, as columns."""
    return dictionary(0) / 2.0**14


def _pixels(x: np.ndarray) -> list[np.ndarray]:
    """Return the pixels of each plane, shape (M, 256), not negative."""
    return [np.maximum(plane @ _flat_atoms().T, 0) for plane in x]
