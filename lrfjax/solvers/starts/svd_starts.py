"""Starts from the singular value decomposition: the paper's, its balanced gauge, and NNDSVD.

Inside the solvers a factor is stored transposed: each column of U or V is a contiguous row. It is
padded with zero rows to a static number of rows, the rank bucket. Starts return this layout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax.errors import InputError
from lrfjax.pytrees import register
from lrfjax.solvers.model import Model
from lrfjax.solvers.numerics import safe_sqrt
from lrfjax.solvers.starts.gram_svd import leading_singular_pairs
from lrfjax.solvers.starts.start import Start

# The (lean, share) of each start, chosen greedily on the luma planes of twelve photographs.
_SCALED_STARTS = (
    (0.75, 0.18),
    (0.6, 0.35),
    (0.75, 0.08),
    (0.75, 0.35),
    (0.6, 0.25),
    (0.75, 0.25),
    (0.45, 0.35),
    (0.9, 0.08),
)
_UNSCALED_STARTS = tuple((lean, 1.0) for lean in (0.85, 0.9, 0.7, 1.0, 0.8, 1.2, 0.6, 0.75))


@register
@dataclass(frozen=True)
class SVDStart(Start):
    """The paper's start, U S^(1/2) and V S^(1/2) of the truncated SVD, not rounded.

    See arXiv 2408.12691, section 3. The SVD leaves the signs free, but they matter under bounds of
    different magnitude: the largest entry of each right singular vector gets the sign of the side
    with more room.
    """

    has_rank_limit: ClassVar[bool] = True

    def __call__(self, x: Array, size: int, rank: Array | int, model: Model) -> tuple[Array, Array]:
        """Return the start."""
        return _svd(x, size, model)


@register
@dataclass(frozen=True)
class BalancedStart(Start):
    """The paper's start in the gauge in which rounding costs least.

    U diag(g) and V diag(1 / g) have the same product before rounding. Rounding U adds about
    M |v_r|^2 / 12 to the squared error, rounding V about N |u_r|^2 / 12. For fixed |u_r| |v_r| the
    sum is least if M |v_r|^2 = N |u_r|^2, that is, if the entries of both columns have the same
    root mean square. From U S^(1/2) and V S^(1/2), this is g = (M / N)^(1/4) for every column.

    Attributes:
        lean: multiplier of g; a value below 1 gives V the larger entries. None for the best one on
            photographs.
        share: see ``Start``.
    """

    lean: Array | float | None = None
    share: Array | float | None = None

    has_rank_limit: ClassVar[bool] = True

    def __call__(self, x: Array, size: int, rank: Array | int, model: Model) -> tuple[Array, Array]:
        """Return the start."""
        ut, vt = _svd(x, size, model)
        lean = restart_settings(0, model.fit_scale)[0] if self.lean is None else self.lean
        gauge = lean * (x.shape[0] / x.shape[1]) ** 0.25
        return ut * gauge, vt / gauge

    def variants(self, count: int, model: Model) -> Self:
        """Return starts of different gauge and scale; the k-th adds most to those before it."""
        if model.is_cone:
            raise InputError(
                f'num_restarts={count} from "balanced" needs bounds: without bounds the '
                "starts differ only in the scale of their columns"
            )
        settings = [restart_settings(k, model.fit_scale) for k in range(count)]
        leans, shares = np.asarray(settings).T
        return replace(self, lean=leans, share=shares)


@register
@dataclass(frozen=True)
class NNDSVDStart(Start):
    """The NNDSVD start of Boutsidis and Gallopoulos (Pattern Recognition 41, 2008).

    Each singular pair contributes its positive or its negative parts, whichever have the larger
    product of norms. The first pair of a non-negative matrix is non-negative as a whole.
    """

    has_rank_limit: ClassVar[bool] = True

    def __call__(self, x: Array, size: int, rank: Array | int, model: Model) -> tuple[Array, Array]:
        """Return the start, non-negative."""
        return nndsvd(x, size)


def _svd(x: Array, size: int, model: Model) -> tuple[Array, Array]:
    """Return U S^(1/2) and V S^(1/2), transposed, with the signs that suit the set of V."""
    ut, singular, vt = leading_singular_pairs(x, size)
    root = (model.constraints[1].wider_side() * safe_sqrt(singular))[:, None]
    return ut * root, vt * root


def restart_settings(index: int, with_scale: bool) -> tuple[float, float]:
    """Return the (lean, share) of a start, for ``balanced_start`` and ``fitting_scale``.

    Start 0 is the best single one over luma planes of photographs at ranks 4 to 32. Each later
    start in the table is the one that adds most to those before it. Beyond the table, the starts
    spread evenly over its logarithmic range.

    Args:
        index: index of the start, from 0.
        with_scale: whether the scale is fitted; otherwise share is 1 and has no meaning.
    """
    table = _SCALED_STARTS if with_scale else _UNSCALED_STARTS
    if index < len(table):
        return table[index]
    golden = (5**0.5 - 1) / 2
    place, other = (index * golden) % 1.0, (index * golden * golden) % 1.0
    lean = 0.45 * 3.0**place
    return lean, 0.06 * 7.0**other if with_scale else 1.0


def nndsvd(x: Array, size: int) -> tuple[Array, Array]:
    """Return the NNDSVD start of Boutsidis and Gallopoulos (Pattern Recognition 41, 2008).

    Each singular pair contributes its positive or its negative parts, whichever have the larger
    product of norms. The first pair of a non-negative matrix is non-negative as a whole.

    Args:
        x: shape (M, N), non-negative.
        size: number of columns, at most min(M, N).

    Returns:
        U^T of shape (size, M) and V^T of shape (size, N), non-negative.
    """
    ut, singular, vt = leading_singular_pairs(x, size)

    def norm(a: Array) -> Array:
        return safe_sqrt(jnp.sum(a * a, axis=1, keepdims=True))

    parts = [(jnp.maximum(s * ut, 0), jnp.maximum(s * vt, 0)) for s in (1.0, -1.0)]
    weights = [norm(u) * norm(v) for u, v in parts]
    positive = weights[0] >= weights[1]
    u = jnp.where(positive, parts[0][0], parts[1][0])
    v = jnp.where(positive, parts[0][1], parts[1][1])
    # Both parts are scaled to unit norm; the pair then gets the weight s * |u| * |v|.
    norm_u, norm_v = norm(u), norm(v)
    tiny = jnp.finfo(x.dtype).tiny
    root = safe_sqrt(singular[:, None] * norm_u * norm_v)
    return u / jnp.maximum(norm_u, tiny) * root, v / jnp.maximum(norm_v, tiny) * root
