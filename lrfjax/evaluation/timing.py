"""Times without compilation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import jax

T = TypeVar("T")

_EVENT = "/jax/core/compile/backend_compile_duration"
_compilations = 0
_listens = False


def _count(event: str, duration_secs: float, **_: str | int) -> None:
    global _compilations
    _compilations += event == _EVENT


def compilations() -> int:
    """Return the number of programs that JAX has compiled since the first call of this."""
    global _listens
    if not _listens:
        jax.monitoring.register_event_duration_secs_listener(_count)
        _listens = True
    return _compilations


def warm_time(work: Callable[[], T]) -> tuple[T, float]:
    """Return the result of a function and its run time in ms, without compilation.

    Args:
        work: function that returns the same result every time, and waits for it. It runs a second
            time if the first compiled something.

    Example:
        >>> result, milliseconds = warm_time(lambda: sum(range(10)))
        >>> result, milliseconds < 1000
        (45, True)
    """
    before = compilations()
    start = time.perf_counter()
    result = work()
    elapsed = time.perf_counter() - start
    if compilations() > before:
        start = time.perf_counter()
        result = work()
        elapsed = time.perf_counter() - start
    return result, 1e3 * elapsed
