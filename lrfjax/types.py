"""The data types that all layers share: ``Factors``, ``History``, ``Result`` and ``Status``.

Every solver returns a ``Result``. The first three are frozen dataclasses registered with JAX, so
they pass through ``jit``, ``vmap`` and ``tree.map`` like any other pytree. Two of them are equal
only if they are the same object; ``jax.tree.map`` compares their arrays.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import Array, export

from lrfjax import summary
from lrfjax.errors import InputError
from lrfjax.pytrees import register

if TYPE_CHECKING:
    import pandas


class Status(enum.IntEnum):
    """The reason why a solver stopped; ``Result.status`` stores one int32 for each problem."""

    ITERATION_LIMIT = 0
    """The solver ran all ``num_iters`` sweeps."""
    CONVERGED = 1
    """A sweep changed nothing, or a tolerance was met."""
    FAILED = 2
    """The relative error became NaN or infinite; do not use the factors."""
    STOPPED = 3
    """A callback returned True."""


@register
@dataclass(frozen=True, eq=False, repr=False)
class Factors:
    """A pair of factors, X ~ scale * U V^T + offset.

    Attributes:
        u: left factor, shape (..., M, R), floating point.
        v: right factor, shape (..., N, R), floating point.
        scale: multiplier of the product, shape (...); None means 1.
        offset: constant added to every entry, shape (...); None means 0.
    """

    u: Array
    v: Array
    scale: Array | None = None
    offset: Array | None = None

    def __repr__(self) -> str:
        rows = [("U", summary.shape_text(self.u)), ("V", summary.shape_text(self.v))]
        rows += [
            (name, summary.span_text(value))
            for name, value in (("scale", self.scale), ("offset", self.offset))
            if value is not None and summary.is_at_hand(value)
        ]
        return summary.as_line("Factors", rows)


@register
@dataclass(frozen=True, eq=False, repr=False)
class History:
    """The convergence history of a solver.

    Entry k describes the factors after ``sweeps[k]`` sweeps, entry 0 the feasible start. If the
    solver stops before ``num_iters``, the last values are repeated. A field is None if it has no
    meaning for the constraints, or if ``record`` does not name it.

    Attributes:
        sweeps: number of sweeps done, int32, shape (..., num_iters / record_every + 1):
            0, 1, 2, ... unless ``record_every`` is above 1.
        objective: sum of the loss, ||X - U V^T||_F^2 by default, weighted and penalised if
            requested (see ``factorize``), same shape. Infinite or zero where the square leaves the
            range of the dtype; the relative error is not affected.
        relative_error: ||X - U V^T||_F / ||X||_F, same shape; 0 if X and the residual are zero.
            With weights both norms are weighted: the square root of sum w x^2.
        bits: bits of both factors, same shape: the empirical entropy, each column with an ideal
            code of its own, or what ``BitCosts`` counts. None without such a penalty.
        bound_share: share of the entries of U and V that lie at a bound of their constraint (for
            NMF: zeros), in [0, 1], same shape. None for unconstrained factors.
        num_changed: number of entries of U and V that changed since the previous entry, int32,
            same shape; 0 in entry 0. None unless a factor is constrained to integers. The first
            sweep starts from the factors before rounding (see ``imf``), so its count includes
            the entries that rounding changed.
        projected_gradient: Frobenius norm of the projected gradient of the objective with respect
            to the free entries of both factors (Lin, 2007), same shape; 0 at a stationary point.
            At zero entries under an L1 penalty it is the subgradient of least norm. None for
            integers.
        u_change: ||U - U'||_F / ||U||_F, where U' is the U of the previous entry (before rounding,
            as for ``num_changed``), same shape; 0 in entry 0, and if U and U' are zero.
        v_change: the same for V.
        affine_change: how far scale and offset moved since the previous entry, the larger of two
            shares, same shape: that of the scale, and that of the offset in units of the root mean
            square of X. None unless one is fitted.
        own: what a ``Record`` adds, by name: arrays of shape (..., num_iters / record_every + 1,
            ...). None unless asked for.
        factors: factors of every entry, with the entry axis after the batch axes: U has shape
            (..., num_iters / record_every + 1, M, R). None unless ``record`` names it.
    """

    sweeps: Array
    objective: Array
    relative_error: Array
    bits: Array | None = None
    bound_share: Array | None = None
    num_changed: Array | None = None
    projected_gradient: Array | None = None
    u_change: Array | None = None
    v_change: Array | None = None
    affine_change: Array | None = None
    own: dict[str, Array] | None = None
    factors: Factors | None = None

    def __repr__(self) -> str:
        rows = [("entries", summary.shape_text(self.sweeps))]
        if summary.is_at_hand(self.relative_error) and np.ndim(self.relative_error):
            ends = (summary.span_text(np.asarray(self.relative_error)[..., k]) for k in (0, -1))
            rows.append(("relative error", " -> ".join(ends)))
        named = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return summary.as_line("History", [*rows, ("fields", " ".join(named))])

    def at_end(self) -> History:
        """Return the last entry: fields of shape (...), factors of that of the entry."""

        def last(name: str) -> Any:
            value = getattr(self, name)
            axis = np.ndim(self.sweeps) - 1
            return jax.tree.map(lambda a: a[(slice(None),) * axis + (-1,)], value)

        return History(**{field.name: last(field.name) for field in fields(self)})

    def to_dict(self) -> dict[str, np.ndarray]:
        """Return the recorded scalars of one problem by name, cut to the sweeps that were done.

        Returns:
            NumPy arrays of shape (entries,); fields that are None, and the factors, are left out.

        Raises:
            InputError: the history of a batch.

        Example:
            >>> import numpy as np, lrfjax
            >>> x = np.outer([1, 2, 3, 4], [5, -2, 0, 1])
            >>> lrfjax.imf(x, rank=1, num_iters=50).history.to_dict()["sweeps"]
            array([0, 1, 2], dtype=int32)
        """
        sweeps = np.asarray(self.sweeps)
        if sweeps.ndim != 1:
            raise InputError(
                f"history must be that of one problem, got a batch of shape {sweeps.shape[:-1]}: "
                "pick one with jax.tree.map(lambda a: a[k], history)"
            )
        end = int(np.argmax(sweeps == sweeps[-1])) + 1
        names = [field.name for field in fields(self) if field.name not in ("factors", "own")]
        values = {name: getattr(self, name) for name in names} | (self.own or {})
        return {k: np.asarray(value)[:end] for k, value in values.items() if value is not None}

    def to_pandas(self) -> pandas.DataFrame:
        """Return ``to_dict`` as a data frame with the sweeps as its index; needs pandas.

        Raises:
            InputError: the history of a batch.
            ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame(self.to_dict()).set_index("sweeps")


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The result of every solver.

    Attributes:
        factors: U of shape (..., M, R) and V of shape (..., N, R).
        history: convergence history.
        num_iters: number of sweeps done, int32, shape (...).
        status: a ``Status``, int32, shape (...).
        restarts: histories of all starts, shape (..., num_restarts, entries), if there are several
            starts; ``factors`` and ``history`` are those of the best one. Otherwise None.
    """

    factors: Factors
    history: History
    num_iters: Array
    status: Array
    restarts: History | None = None
    origin: Any = field(default=None, init=False)
    """What ``resume`` needs. It is no part of the pytree: transformations of JAX drop it."""

    @property
    def converged(self) -> Array:
        """Whether a tolerance was met or a sweep changed nothing, bool, shape (...)."""
        return self.status == Status.CONVERGED

    @property
    def status_name(self) -> Any:
        """The status in words: a str, or an array of str for a batch.

        Example:
            >>> import numpy as np, lrfjax
            >>> lrfjax.imf(np.ones((4, 3)), rank=1).status_name
            'converged'
        """
        status = np.asarray(self.status)
        names = np.array([kind.name.lower().replace("_", " ") for kind in Status])[status]
        return str(names) if names.ndim == 0 else names

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("U", summary.shape_text(self.factors.u)),
            ("V", summary.shape_text(self.factors.v)),
        ]
        if not summary.is_at_hand((self.num_iters, self.status, self.history.relative_error)):
            return rows
        return [
            *rows,
            ("sweeps", summary.span_text(self.num_iters)),
            ("relative error", summary.span_text(np.asarray(self.history.relative_error)[..., -1])),
            ("status", summary.count_text(self.status_name)),
        ]

    def __repr__(self) -> str:
        return summary.as_line("Result", self._rows())

    def _repr_html_(self) -> str:
        return summary.as_html("Result", self._rows())


register(Result)


def factors_of(value: Any) -> Any:
    """Return the factors of a ``Result``, and anything else as it is."""
    return value.factors if isinstance(value, Result) else value


def history_of(value: Any) -> Any:
    """Return the history of a ``Result``, and anything else as it is."""
    return value.history if isinstance(value, Result) else value


# jax.export stores the structure of results by these names. No type has static fields.
for _kind in (Factors, History, Result):
    export.register_pytree_node_serialization(
        _kind,
        serialized_name=f"lrfjax.{_kind.__name__}",
        serialize_auxdata=lambda static: b"",
        deserialize_auxdata=lambda data: (),
    )
