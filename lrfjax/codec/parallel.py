"""Threads over independent tiles, with results in order.

NumPy and JAX release the interpreter lock while they compute, so a second tile fills the gaps that
the first one leaves. The results do not depend on the number of threads.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice
from typing import TypeVar

import jax

T = TypeVar("T")
R = TypeVar("R")

MAX_WORKERS = 4
"""Each thread holds a tile (about 200 MB when encoding), and the interpreter runs one at a time."""

Progress = Callable[[int, int], None]
"""A callback that receives the number of finished tiles and the number of all tiles."""


def no_progress(done: int, total: int) -> None:
    """Ignore the progress."""


def num_workers() -> int:
    """Return the number of threads: that of the available cores, at most ``MAX_WORKERS``."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        cores = os.cpu_count() or 1
    return min(cores, MAX_WORKERS)


@functools.lru_cache(maxsize=1)
def _threads(count: int, process: int) -> ThreadPoolExecutor:
    """Return the cached thread pool of a process; the process id makes a fork start its own.

    The C library gives each new thread its own memory and keeps much of it, so a new pool per call
    would make the process grow.
    """
    return ThreadPoolExecutor(count, thread_name_prefix="tile")


def in_order(
    function: Callable[[T], R], items: Sequence[T], progress: Progress = no_progress
) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in order.

    At most ``num_workers`` results are computed ahead of the consumer, so memory does not grow with
    the number of items. An exception in a call is raised here. The first call runs alone, so that
    each program compiles once.

    Args:
        function: pure function, called from several threads.
        items: arguments of the calls.
        progress: callback, called from the iterating thread before the first item and after each.

    Example:
        >>> list(in_order(lambda x: x * x, [3, 1, 2]))
        [9, 1, 4]
    """
    total = len(items)
    progress(0, total)
    workers = min(num_workers(), total - 1)
    # ``jax.default_device`` of the caller applies to its own thread only; pass it on.
    device = jax.config.jax_default_device  # type: ignore[attr-defined]

    def call(item: T) -> R:
        with jax.default_device(device):
            return function(item)

    def results() -> Generator[R, None, None]:
        yield from map(function, items[:1])
        if workers <= 1:
            yield from map(function, items[1:])
            return
        threads = _threads(num_workers(), os.getpid())
        begun: deque[Future[R]] = deque()
        rest = iter(items[1:])
        try:
            begun.extend(threads.submit(call, x) for x in islice(rest, workers))
            while begun:
                result = begun.popleft().result()
                begun.extend(threads.submit(call, x) for x in islice(rest, 1))
                yield result
        finally:
            # After an error or an interrupt, cancel pending calls and wait for running ones.
            wait([future for future in begun if not future.cancel()])

    # Close the generator here, so that no call outlives an error of ``progress``.
    with closing(results()) as found:
        for done, result in enumerate(found, 1):
            progress(done, total)
            yield result
