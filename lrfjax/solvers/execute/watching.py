"""Solves that someone watches: a callback after each entry of the history, or a progress bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.execute.planning import Call
from lrfjax.solvers.execute.stepping import Solve, begin, finish, step
from lrfjax.types import Factors, History, Result, Status

Callback = Callable[[int, History, Callable[[], Factors]], bool | None]
"""A function of the sweep, the entry of the history, and a function that returns the factors."""


def check_watching(callback: Any, progress: Any, call: Call) -> bool:
    """Return whether someone watches; raise if that is impossible.

    Raises:
        InputError: inside ``jit`` or ``vmap``, with several starts, or with a fixed length.
        InputTypeError: a wrong type.
    """
    if callback is not None and not callable(callback):
        raise InputTypeError(f"callback must be a function, got {callback!r}")
    if not isinstance(progress, bool | np.bool_):
        raise InputTypeError(f"progress must be True or False, got {progress!r}")
    if callback is None and not progress:
        return False
    name = "progress" if callback is None else "callback"
    if not checks.is_concrete((call.data, call.parts)):
        raise InputError(
            f"{name} needs values, which do not exist inside jit or vmap: use init, step and finish"
        )
    if call.plan.num_restarts > 1:
        raise InputError(f"{name} needs one start, got num_restarts={call.plan.num_restarts}")
    if call.plan.schedule.fixed_length:
        raise InputError(f"{name} needs a loop that can stop, got fixed_length=True")
    return True


def solve_watched(call: Call, callback: Callback | None, progress: bool) -> Result:
    """Run a solve entry by entry, with a callback, a bar, or both."""
    every = call.plan.schedule.record_every
    total = call.plan.schedule.num_entries * every
    solve = begin(call)
    is_stopped = False
    with tqdm(total=total, unit="sweep", disable=not progress) as bar:
        while not is_stopped and not bool(jnp.all(solve.is_done)):
            solve = step(solve)
            sweep = int(np.max(np.asarray(solve.sweep)))
            bar.update(sweep - bar.n)
            if progress:
                error = float(np.max(np.asarray(solve.entry.relative_error)))
                bar.set_postfix_str(f"relative error {error:.4g}", refresh=False)
            if callback is not None:
                now: Solve = solve
                is_stopped = _answer(callback(sweep, now.entry, lambda now=now: now.factors))  # type: ignore[misc]
    result = call.shaped(finish(solve, is_shaped=False), solve.progress)
    if is_stopped:
        running = result.status == Status.ITERATION_LIMIT
        status = jax.numpy.where(running, Status.STOPPED, result.status).astype(np.int32)
        origin = result.origin
        result = replace(result, status=status)
        object.__setattr__(result, "origin", origin)
    return result


def _answer(value: Any) -> bool:
    """Return whether a callback asks to stop."""
    if value is None or isinstance(value, bool | np.bool_):
        return bool(value)
    raise InputTypeError(f"callback must return True, False or None, got {value!r}")
