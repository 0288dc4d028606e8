"""The protocol of a method: how one sweep over the factors is made."""

from __future__ import annotations

from typing import Any, ClassVar

from jax import Array

from lrfjax.solvers.model import Model
from lrfjax.solvers.problem import Problem, Products, State


class Method:
    """The base class of all methods.

    A method is a frozen dataclass, registered with ``jax.tree_util.register_dataclass``. A method
    without a memory implements ``sweep`` alone. Others carry a memory, any pytree, from sweep to
    sweep, and implement ``init``, ``step`` and ``state``.

    Factors are transposed inside the solvers: ``state.ut`` has the shape (R, M) and ``state.vt``
    (R, N). R is the rank rounded up, and rows from ``rank`` on are zero and have to stay so.
    """

    descends: ClassVar[bool] = True
    """Whether no sweep from feasible factors raises the objective. For integers, a sweep that does
    so by rounding is undone if the method has no memory, and one that changes nothing is the last.
    """

    def check(self, model: Model, is_weighted: bool) -> None:
        """Raise InputError if the method does not work for a model."""

    def init(self, problem: Problem, model: Model, start: State, rank: Array | int) -> Any:
        """Return the memory before the first sweep; the start need not be feasible."""
        return model.project(start, rank)

    def step(self, problem: Problem, model: Model, memory: Any, rank: Array | int) -> Any:
        """Return the memory after one more sweep."""
        return self.sweep(problem, model, memory, rank)[0]

    def state(self, memory: Any) -> State:
        """Return the factors that a memory holds, feasible after the first sweep."""
        return memory

    def is_settled(self, memory: Any) -> Array | bool:
        """Return whether stopping rules may judge the last sweep."""
        return True

    def sweep(
        self, problem: Problem, model: Model, state: State, rank: Array | int
    ) -> tuple[State, Products | None]:
        """Return feasible factors of a lower objective, and products of the sweep or None.

        With ``Products`` the objective of the squared error costs next to nothing, see
        ``record.objective``.
        """
        raise NotImplementedError
