"""What all benchmarks share: where they ran, how they time, how they print."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np


def environment(*packages: str) -> str:
    """Return one line on the machine and the versions of jax and other packages."""
    device = jax.devices()[0]
    names = ["jax", "numpy", *packages]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return (
        f"{device.platform} ({device.device_kind}), {len(jax.devices())} device(s), "
        f"Python {platform.python_version()}, {versions}"
    )


def seconds(call: Callable[[], Any]) -> float:
    """Return the time of one call, waiting for all arrays it returns."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def alternate(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median time of each call in seconds, the calls taken in turn.

    Each is timed right after an untimed call of its own, so that none pays for caches or for
    threads that the one before left spinning.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(0.02)
            seconds(call)
            times[name].append(seconds(call))
    return {name: statistics.median(values) for name, values in times.items()}


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return float(np.exp(np.mean(np.log(values))))


def images(folder: Path, pattern: str = "*.png") -> list[Path]:
    """Return the images of a folder in order, or exit with a message."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise SystemExit(f"no {pattern} in {folder}")
    return found
