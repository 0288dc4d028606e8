"""What all benchmarks share: the machine they ran on, how they time, and the images of a folder."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

Key = TypeVar("Key", bound=Hashable)


def machine(*packages: str) -> dict[str, Any]:
    """Return what a figure has to be read with: the device, its host, and versions.

    Args:
        packages: names of distributions besides jax, jaxlib, numpy and lrfjax.
    """
    device = jax.devices()[0]
    names = ["lrfjax", "jax", "jaxlib", "numpy", *packages]
    return {
        "device": device.platform,
        "device_kind": device.device_kind,
        "num_devices": len(jax.devices()),
        "host": platform.machine(),
        "cores": os.cpu_count(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in names},
        },
    }


def environment(*packages: str) -> str:
    """Return one line on the machine and the versions of jax, lrfjax and other packages."""
    found = machine(*packages)
    versions = ", ".join(
        f"{name} {number}" for name, number in found["versions"].items() if name != "python"
    )
    return (
        f"{found['device']} ({found['device_kind']}), {found['num_devices']} device(s), "
        f"{found['host']}, {found['cores']} cores, Python {found['versions']['python']}, {versions}"
    )


def plain(value: Any) -> Any:
    """Return a nested value with plain Python numbers, lists and None for what is not finite.

    Example:
        >>> plain([{"error": np.float32(0.5), "psnr_db": np.inf}])
        [{'error': 0.5, 'psnr_db': None}]
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return plain(np.asarray(value).tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def seconds(call: Callable[[], Any]) -> float:
    """Return the time of one call, waiting for all arrays it returns."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


@dataclass(frozen=True)
class Timing:
    """Times of one call in seconds.

    Attributes:
        median: of the warm calls.
        least: of the warm calls.
        compile: the first call less the median; None where that was not measured.
    """

    median: float
    least: float
    compile: float | None = None

    def row(self) -> dict[str, float | None]:
        """Return the columns of a row of JSON."""
        return {"median_s": self.median, "min_s": self.least, "compile_s": self.compile}


def take_turns(calls: Mapping[Key, Callable[[], Any]], repeats: int) -> dict[Key, list[float]]:
    """Return the times of each call in seconds, the calls taken in turn.

    Each is timed right after an untimed call of its own, so that none pays for caches or for
    threads that the one before left spinning.
    """
    times: dict[Key, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(0.02)
            seconds(call)
            times[name].append(seconds(call))
    return times


def measure(calls: Mapping[Key, Callable[[], Any]], repeats: int) -> dict[Key, Timing]:
    """Return the times of each call: the first one of all, which compiles, then warm in turns."""
    first = {name: seconds(call) for name, call in calls.items()}
    found = {}
    for name, times in take_turns(calls, repeats).items():
        median = statistics.median(times)
        found[name] = Timing(median, min(times), max(first[name] - median, 0.0))
    return found


def alternate(calls: Mapping[Key, Callable[[], Any]], repeats: int) -> dict[Key, float]:
    """Return the median time of each call in seconds, the calls taken in turn."""
    return {name: statistics.median(times) for name, times in take_turns(calls, repeats).items()}


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return float(np.exp(np.mean(np.log(values))))


def images(folder: Path, pattern: str = "*.png") -> list[Path]:
    """Return the images of a folder in order, or exit with a message."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise SystemExit(f"no {pattern} in {folder}")
    return found
