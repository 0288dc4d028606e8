"""One thread for LAPACK, around the calls that use it and nowhere else.

On a CPU, JAX takes decompositions from SciPy's LAPACK. The threads of its BLAS wait for each other
without leaving their cores. For matrices as small as those of the starts they gain nothing alone,
and beside another busy process each of many waits lasts until the scheduler comes round.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController


@functools.cache
def _controller() -> Any:
    # Only libraries that are loaded are found. JAX would load this one later, at its first use.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController().select(user_api="blas")


class _Limit:
    """A limit that all threads of the process share, from the first entry to the last exit.

    threadpoolctl leaves OpenBLAS to the thread that has changed it first, until that has changed it
    back or ended. If this thread leaves while others are inside, one that ends at once takes over.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth: dict[int, int] = {}
        self._owner: int | None = None
        self._limiter: Any = None

    def enter(self) -> None:
        thread = threading.get_ident()
        with self._lock:
            if not self._depth:
                self._set()
                self._limiter.__enter__()
                self._owner = thread
            self._depth[thread] = self._depth.get(thread, 0) + 1

    def leave(self) -> None:
        thread = threading.get_ident()
        with self._lock:
            self._depth[thread] -= 1
            if self._depth[thread]:
                return
            del self._depth[thread]
            if self._owner == thread:
                self._limiter.__exit__(None, None, None)
                self._owner = None
                if self._depth:
                    _in_a_thread(self._set)
            elif not self._depth:
                _in_a_thread(self._limiter.restore_original_limits)

    def _set(self) -> None:
        self._limiter = _controller().limit(limits=1)


def _in_a_thread(function: Callable[[], None]) -> None:
    """Call a function in a thread that ends with it."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


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
