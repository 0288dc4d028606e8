"""How fast solvers converge: sweeps to a tolerance, seconds a sweep, and a table of both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.types import History, Result, Status


def sweeps_to(history: History, relative_error: float) -> np.ndarray:
    """Return after how many sweeps the relative error was first within a bound.

    Args:
        history: of one problem, or of a batch of any shape.
        relative_error: the bound, at least 0.

    Returns:
        An int array with the batch shape of the history; -1 where the bound was not reached. Only
        sweeps that were recorded count.

    Raises:
        InputError: if the bound is negative.
        InputTypeError: if it is not a number.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.random.default_rng(0).random((9, 7))
        >>> history = lrfjax.nmf(x, rank=2, num_iters=5).history
        >>> int(sweeps_to(history, 0.5)), int(sweeps_to(history, 0.0))
        (0, -1)
    """
    bound = checks.real("relative_error", relative_error, 0.0)
    is_within = np.asarray(history.relative_error) <= bound
    first = np.argmax(is_within, axis=-1)
    sweeps = np.take_along_axis(np.asarray(history.sweeps), first[..., None], axis=-1)[..., 0]
    return np.where(is_within.any(axis=-1), sweeps, -1)


@dataclass(frozen=True)
class SweepTimes:
    """What a solver takes, compilation excluded.

    Attributes:
        start: seconds for all that is done once: checks, transfers, the start.
        sweep: seconds for each sweep.
    """

    start: float
    sweep: float

    def after(self, sweeps: np.ndarray) -> np.ndarray:
        """Return the seconds that a number of sweeps takes."""
        return self.start + self.sweep * np.asarray(sweeps)


def time_sweeps(
    solve: Callable[[int], Result], num_iters: int = 10, repeats: int = 7
) -> SweepTimes:
    """Measure what a solver takes for its start and for a sweep.

    A compiled loop cannot look at a clock, so runs of ``num_iters`` and of three times as many
    sweeps are timed in turn, after a first call of each that may compile; the difference of the
    medians gives the sweep, what is left the start. Leave the history out of ``solve``
    (``record_every=n``, ``record=()``) unless its cost is to be counted.

    Args:
        solve: called with a number of sweeps, all of which it has to do.
        num_iters: sweeps of the shorter run, at least 1.
        repeats: timed calls of each.

    Returns:
        The times. The machine's noise is in them.

    Raises:
        InputError: if a run stops early, or a number is out of range.
        InputTypeError: if ``solve`` is no function.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.random.default_rng(0).random((32, 16))
        >>> times = time_sweeps(lambda n: lrfjax.nmf(x, 4, num_iters=n, record_every=n))
        >>> times.start >= 0 and times.sweep >= 0
        True
    """
    if not callable(solve):
        raise InputTypeError(f"solve must be a function of a number of sweeps, got {solve!r}")
    short = checks.integer("num_iters", num_iters, 1)
    repeats = checks.integer("repeats", repeats, 1)
    lengths = (short, 3 * short)
    for length in lengths:
        done = int(np.min(np.asarray(solve(length).num_iters)))
        if done < length:
            raise InputError(f"solve must do all sweeps it is asked for, did {done} of {length}")
    seconds: dict[int, list[float]] = {length: [] for length in lengths}
    for _ in range(repeats):
        for length in lengths:
            begin = time.perf_counter()
            jax.block_until_ready(solve(length))
            seconds[length].append(time.perf_counter() - begin)
    few, many = (statistics.median(seconds[length]) for length in lengths)
    sweep = max((many - few) / (2 * short), 0.0)
    return SweepTimes(max(few - short * sweep, 0.0), sweep)


def convergence_table(
    results: Mapping[str, Result],
    relative_errors: Sequence[float] = (),
    times: Mapping[str, SweepTimes] | None = None,
) -> str:
    """Return a table of how solvers converged, a line each; of a batch the medians.

    Args:
        results: the result of one problem or of a batch, by the name of its solver.
        relative_errors: bounds, with a column each for the sweeps that it took to get within.
        times: from ``time_sweeps``; a solver named here gets its time in ms, and the time to each
            bound.

    Returns:
        Text: sweeps done, last relative error, sweeps (and ms) to each bound, integers that the
        last recorded sweep changed, and how it ended; of a batch, the share that converged.

    Raises:
        InputError: if there is nothing to show, or ``times`` names no result.
    """
    if not results:
        raise InputError("results must hold at least one result, got none")
    times = times or {}
    if unknown := sorted(set(times) - set(results)):
        raise InputError(f"times must name results, got {unknown}")
    heads = ["solver", "sweeps", "time", "relative error"]
    heads += [f"to {bound:g}" for bound in relative_errors]
    rows = [[*heads, "changed", "status"]]
    for name, result in results.items():
        history, clock = result.history, times.get(name)
        done = float(np.median(np.asarray(result.num_iters)))
        row = [name, f"{done:g}", _milliseconds(clock, done)]
        row.append(f"{np.median(np.asarray(history.relative_error)[..., -1]):.6f}")
        for bound in relative_errors:
            sweeps = sweeps_to(history, bound)
            if np.any(sweeps < 0):
                row.append("-" if sweeps.ndim == 0 else f"- in {np.mean(sweeps < 0):.0%}")
                continue
            middle = float(np.median(sweeps))
            row.append(f"{middle:g}" + (f" ({_milliseconds(clock, middle)})" if clock else ""))
        changed = history.num_changed
        row.append("-" if changed is None else f"{np.median(np.asarray(changed)[..., -1]):g}")
        rows.append([*row, _ending(np.asarray(result.status))])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]

    def line(row: list[str]) -> str:
        middle = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *middle, row[-1]])

    return "\n".join(line(row) for row in rows)


def _milliseconds(clock: SweepTimes | None, sweeps: float) -> str:
    return "-" if clock is None else f"{1e3 * float(clock.after(np.asarray(sweeps))):.1f} ms"


def _ending(status: np.ndarray) -> str:
    if status.ndim == 0:
        return Status(int(status)).name.lower().replace("_", " ")
    failed = np.mean(status == Status.FAILED)
    text = f"{np.mean(status == Status.CONVERGED):.0%} converged"
    return text + (f", {failed:.0%} failed" if failed else "")
