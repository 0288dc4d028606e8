"""The open loop: ``init``, ``step`` and ``finish``, for callers who hold the loop themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jax import Array

from lrfjax.errors import InputTypeError
from lrfjax.solvers.execute import stepping
from lrfjax.solvers.execute.front_door import front_door
from lrfjax.solvers.execute.planning import plan_call
from lrfjax.solvers.execute.stepping import Solve
from lrfjax.solvers.methods.bcd import BCD
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import Model
from lrfjax.solvers.record import Record
from lrfjax.solvers.starts.start import Start
from lrfjax.solvers.stopping import Stop
from lrfjax.types import Factors, Result


@front_door
def init(
    x: Any,
    rank: int | Array,
    *,
    model: Model = Model(),  # noqa: B008 (frozen)
    method: Method = BCD(),  # noqa: B008 (frozen)
    start: str | Start | Factors | Result = "svd",
    stop: Stop | None = None,
    record: Record | Sequence[str] | None = None,
    num_iters: int = 10,
    record_every: int = 1,
    weights: Any | None = None,
    key: Any | None = None,
    max_rank: int | None = None,
) -> Solve:
    """Return a solve before its first sweep.

    ``init``, ``step`` until ``is_done``, and ``finish`` are ``factorize``, with the loop in the
    hands of the caller. All three work under ``jit`` and ``vmap``.

    Args:
        x: see ``factorize``, as all others.
        rank: number of columns.
        model: what is minimised.
        method: how a sweep is made.
        start: where the solve begins.
        stop: stopping rule; ``step`` does nothing once it is met.
        record: what an entry of the history holds.
        num_iters: largest number of sweeps: the room in the history; static.
        record_every: number of sweeps in a ``step``.
        weights: weights of the entries of X.
        key: for ``start="random"``.
        max_rank: number of columns of the factors.

    Returns:
        A ``Solve``: a pytree with ``is_done``, ``sweep``, ``entry`` and ``factors``.

    Raises:
        InputError: see ``factorize``.
        InputTypeError: a wrong type.

    Example:
        >>> import numpy as np, lrfjax
        >>> solve = init(np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0]), 1, num_iters=3)
        >>> while not solve.is_done:
        ...     solve = lrfjax.step(solve)
        >>> print(lrfjax.finish(solve).history.sweeps)
        [0 1 2 3]
    """
    return stepping.begin(
        plan_call(
            x,
            rank,
            model=model,
            method=method,
            start=start,
            stop=stop,
            record=record,
            num_iters=num_iters,
            record_every=record_every,
            weights=weights,
            key=key,
            max_rank=max_rank,
        )
    )


def step(solve: Solve) -> Solve:
    """Run the sweeps up to the next entry of the history; nothing if the solve is done.

    Args:
        solve: from ``init`` or ``step``.

    Raises:
        InputTypeError: something else.
    """
    return stepping.step(_checked(solve))


def finish(solve: Solve) -> Result:
    """Return the result so far, also before the solve is done.

    Args:
        solve: from ``init`` or ``step``.

    Raises:
        InputTypeError: something else.
    """
    return stepping.finish(_checked(solve))


def _checked(solve: Any) -> Solve:
    if not isinstance(solve, Solve):
        raise InputTypeError(f"solve must come from init or step, got {type(solve).__name__}")
    return solve
