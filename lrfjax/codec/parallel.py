"""Tiles beside each other: threads over what is independent, results in order.

NumPy and JAX let other threads run while they compute, so that a second tile fills the gaps that
the first one leaves. What comes out does not depend on how many run at a time.
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
"""Each holds a tile, some 200 MB in the encoder, and the interpreter runs one at a time."""

Progress = Callable[[int, int], None]
"""Called with how many tiles are done and how many there are."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


def num_workers() -> int:
    """Return how many tiles are worked on at a time."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        cores = os.cpu_count() or 1
    return min(cores, MAX_WORKERS)


@functools.lru_cache(maxsize=1)
def _threads(count: int, process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; they do not outlive a fork.

    They are kept: the C library gives each new thread memory of its own and keeps much of it, so
    that with new ones a process would grow from call to call.
    """
    return ThreadPoolExecutor(count, thread_name_prefix="tile")


def in_order(
    function: Callable[[T], R], items: Sequence[T], progress: Progress = no_progress
) -> Iterator[R]:
    """Yield ``function`` of each item, in the order of the items.

    At most ``num_workers`` calls are begun and not yet asked for, so memory does not grow with the
    number of items. Whatever a call raises is raised here. The first call is alone, so that what
    compiles does so once.

    Args:
        function: pure; called from several threads.
        items: what to call it with.
        progress: called from the thread that iterates, after each item that it took.

    Example:
        >>> list(in_order(lambda x: x * x, [3, 1, 2]))
        [9, 1, 4]
    """
    total = len(items)
    progress(0, total)
    workers = min(num_workers(), total - 1)
    # A device that the caller chose with ``jax.default_device`` holds for its own thread only.
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
            # After an error or an interrupt, what has not begun never does, and no call goes on.
            wait([future for future in begun if not future.cancel()])

    # Closed here as well, so that no call outlives an error of ``progress``.
    with closing(results()) as found:
        for done, result in enumerate(found, 1):
            progress(done, total)
            yield result
