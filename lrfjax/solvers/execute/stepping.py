"""The open loop: a solve that the caller advances, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
from jax import Array, lax

from lrfjax.pytrees import register
from lrfjax.solvers import drive
from lrfjax.solvers.execute import solve as solving
from lrfjax.solvers.execute.planning import Call
from lrfjax.solvers.execute.shapes import restore_batch, trim
from lrfjax.solvers.execute.units import Units
from lrfjax.types import Factors, History, Result


@register
@dataclass(frozen=True, repr=False)
class Solve:
    """A solve in progress: what ``init`` returns and ``step`` advances.

    Attributes:
        task: what is solved, and how.
        units: what X was divided by.
        progress: what changes from step to step.
        plan: static settings.
        width: number of columns of the factors; static.
        batch: batch axes of X; static.
    """

    task: drive.Task
    units: Units
    progress: drive.Progress
    plan: solving.Plan = field(metadata={"static": True})
    width: int = field(metadata={"static": True})
    batch: tuple[int, ...] = field(metadata={"static": True})

    @property
    def is_done(self) -> Array:
        """Whether there is nothing left to do: bool, shape (...)."""
        done = drive.is_finished(self.progress, self.plan.schedule)
        return done.reshape(self.batch)

    @property
    def sweep(self) -> Array:
        """Number of sweeps done, int32, shape (...)."""
        return (self.progress.num_recorded * self.plan.schedule.record_every).reshape(self.batch)

    @property
    def entry(self) -> History:
        """The last entry of the history, with scalars of shape (...)."""
        return self.result().history.at_end()

    @property
    def factors(self) -> Factors:
        """The present factors, feasible, of shapes (..., M, rank) and (..., N, rank)."""
        return self.result().factors

    def result(self, is_shaped: bool = True) -> Result:
        """Return the result so far."""
        result = _result(self.task, self.units, self.progress, plan=self.plan)
        if not is_shaped:
            return result
        result = restore_batch(result, self.batch) if self.plan.layout is None else result
        return trim(result, self.width)

    def __repr__(self) -> str:
        return f"Solve({self.result()!r})"


def begin(call: Call) -> Solve:
    """Return a solve before its first sweep."""
    task, units, progress = _begin(call.data, call.parts, plan=call.plan)
    return Solve(task, units, progress, call.plan, call.width, call.batch)


def step(solve: Solve) -> Solve:
    """Run the sweeps up to the next entry of the history; nothing if the solve is done."""
    progress = _advance(solve.task, solve.units, solve.progress, plan=solve.plan)
    return replace(solve, progress=progress)


def finish(solve: Solve, is_shaped: bool = True) -> Result:
    """Return the result so far."""
    return solve.result(is_shaped)


@partial(jax.jit, static_argnames="plan")
def _begin(
    data: solving.Data, parts: solving.Parts, *, plan: solving.Plan
) -> tuple[drive.Task, Units, drive.Progress]:
    def one(data: solving.Data, parts: solving.Parts) -> Any:
        pose = solving.Pose.of(data, parts, plan)
        return pose.task, pose.units, pose.begin(data, parts.start, plan)

    return solving.over_problems(one, data, parts, plan)


@partial(jax.jit, static_argnames="plan")
def _advance(
    task: drive.Task, units: Units, progress: drive.Progress, *, plan: solving.Plan
) -> drive.Progress:
    def one(each: Any, _: Any) -> drive.Progress:
        task, units, progress = each
        pose = solving.Pose.resumed(task, units, plan)
        done = drive.is_finished(progress, pose.schedule)
        return lax.cond(
            done,
            lambda progress: progress,
            lambda progress: drive.advance(task, progress, pose.schedule),
            progress,
        )

    return solving.over_problems(one, (task, units, progress), None, plan)


@partial(jax.jit, static_argnames="plan")
def _result(
    task: drive.Task, units: Units, progress: drive.Progress, *, plan: solving.Plan
) -> Result:
    def one(each: Any, _: Any) -> Result:
        task, units, progress = each
        return solving.Pose.resumed(task, units, plan).result(progress)

    return solving.over_problems(one, (task, units, progress), None, plan)
