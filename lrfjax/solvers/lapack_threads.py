"""One thread for LAPACK, around the calls that use it and nowhere else.

On a CPU, JAX takes decompositions from SciPy's LAPACK. The threads of its BLAS wait for each other
without leaving their cores. For matrices as small as those of the starts they gain nothing alone,
and beside another busy process each of many waits lasts until the scheduler comes round.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController


@functools.cache
def _controller() -> Any:
    # Only libraries that are loaded are found. JAX would load this one later, at its first use.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController().select(user_api="blas")


class _Limit:
    """A limit that all threads of the process share, from the first entry to the last exit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._limiter: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._limiter = _controller().limit(limits=1)
            self._depth += 1

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._limiter.restore_original_limits()
                self._limiter = None


_LIMIT = _Limit()


@contextmanager
def one_lapack_thread() -> Iterator[None]:
    """Hold BLAS and LAPACK to one thread; the number before is restored at the end.

    The limit ends when the last thread of the process leaves it. The caller has to wait for the
    results inside, since JAX computes while Python goes on.
    """
    _LIMIT.enter()
    try:
        yield
    finally:
        _LIMIT.leave()
