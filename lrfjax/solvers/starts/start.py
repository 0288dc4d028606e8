"""The protocol of a start."""

from __future__ import annotations

from typing import ClassVar, Self

from jax import Array

from lrfjax.errors import InputError
from lrfjax.solvers.model import Model


class Start:
    """The base class of all starts; only ``__call__`` has to be implemented.

    A start is a frozen dataclass, registered with ``jax.tree_util.register_dataclass``.
    """

    has_rank_limit: ClassVar[bool] = False
    """Whether the start has at most min(M, N) columns."""
    share: float | Array | None = None
    """Scale of a fitted product, relative to that at which no entry of the start is clipped, in
    (0, 1]. None for the best one on photographs."""

    def __call__(self, x: Array, size: int, rank: Array | int, model: Model) -> tuple[Array, Array]:
        """Return U^T of shape (size, M) and V^T of shape (size, N), not yet projected.

        Args:
            x: shape (M, N), entries near one, gaps filled.
            size: number of columns to return, static.
            rank: number of columns in use, at most ``size``; the others are ignored.
            model: what is minimised.
        """
        raise NotImplementedError

    def variants(self, count: int, model: Model) -> Self:
        """Return ``count`` different starts as one, stacked along a new first axis of all leaves.

        Raises:
            InputError: there is only one.
        """
        raise InputError(f"num_restarts={count} needs a start that varies, got {self!r}")
