"""Speed of convergence: sweeps to a tolerance, seconds per sweep, and a table of both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.types import History, Result, Status, history_of


def sweeps_to(history: History | Result, relative_error: float) -> np.ndarray:
    """Return the number of sweeps after which the relative error is first within a bound.

    Args:
        history: history of one problem, or of a batch of any shape, or a result with one.
        relative_error: the bound, at least 0.

    Returns:
        An int array with the batch shape of the history; -1 where the bound was not reached. Only
        recorded sweeps count.

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
    found: History = history_of(history)
    is_within = np.asarray(found.relative_error) <= bound
    first = np.argmax(is_within, axis=-1)
    sweeps = np.take_along_axis(np.asarray(found.sweeps), first[..., None], axis=-1)[..., 0]
    return np.where(is_within.any(axis=-1), sweeps, -1)


@dataclass(frozen=True)
class SweepTimes:
    """The run time of a solver, without compilation.

    Attributes:
        start: seconds for the work that is done once: checks, transfers, the initial factors.
        sweep: seconds per sweep.
    """

    start: float
    sweep: float

    def after(self, sweeps: np.ndarray) -> np.ndarray:
        """Return the run time of a number of sweeps, in seconds."""
        return self.start + self.sweep * np.asarray(sweeps)


def time_sweeps(
    solve: Callable[[int], Result], num_iters: int = 10, repeats: int = 7
) -> SweepTimes:
    """Measure the time of a solver's start and of one sweep.

    A compiled loop cannot read a clock. So runs of ``num_iters`` and of three times as many sweeps
    are timed in turn, after a first call of each that may compile. The difference of the medians
    gives the time of a sweep, and the rest is the start. Leave the history out of ``solve``
    (``record_every=n``, ``record=()``) unless its cost should count.

    Args:
        solve: function of a number of sweeps, which must do all of them.
        num_iters: number of sweeps of the shorter run, at least 1.
        repeats: number of timed calls of each run, at least 1.

    Returns:
        The times, with the noise of the machine.

    Raises:
        InputError: if a run stops early, or a number is out of range.
        InputTypeError: if ``solve`` is not a function.

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
    """Return a table of convergence, one line per solver, with the medians of a batch.

    Args:
        results: result of one problem or of a batch, by the name of its solver.
        relative_errors: bounds, each with a column for the number of sweeps to reach it.
        times: times from ``time_sweeps``, by the name of a solver. They add the time in ms, in all
            and to each bound.

    Returns:
        Text: sweeps done, last relative error, sweeps (and ms) to each bound, integers changed by
        the last recorded sweep, and the status; for a batch, the share that converged.

    Raises:
        InputError: if ``results`` is empty, or ``times`` has a name that is not in it.
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
