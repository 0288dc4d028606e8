"""Shared fixtures, the compilation cache of the suite, and a count of compilations."""

import os
import shutil
from pathlib import Path

# Before jax is imported. The workers, all modules, the processes that tests start and later runs
# share what is compiled.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import numpy as np
import pytest

from lrfjax.evaluation.sample import sample_image

CACHE = Path(__file__).parents[1] / ".jax_cache"
CACHE_LIMIT = 2**30
"""Bytes beyond which the cache holds mostly programs of old code."""

_COMPILATIONS = []
_MAX_MAPPINGS = 30_000
"""Linux limits the memory mappings of a process to 65,530, and compiled programs need several."""


def pytest_configure(config: pytest.Config) -> None:
    """Drop a cache that old code has filled, in the process that starts the workers."""
    is_worker = hasattr(config, "workerinput")
    if not is_worker and sum(path.stat().st_size for path in CACHE.glob("*")) > CACHE_LIMIT:
        shutil.rmtree(CACHE)


def _listen(event: str, duration: float, **_: object) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        _COMPILATIONS.append(duration)


jax.monitoring.register_event_duration_secs_listener(_listen)


class CompilationCounter:
    """Counts the programs that were compiled, or loaded from the cache, since it was made."""

    def __init__(self) -> None:
        self.start = len(_COMPILATIONS)

    @property
    def count(self) -> int:
        """Programs so far, helper programs included."""
        return len(_COMPILATIONS) - self.start


@pytest.fixture(scope="module", autouse=True)
def _release_compiled_programs():
    """Drop what was compiled when the memory mappings of this process come near the limit."""
    yield
    mappings = Path("/proc/self/maps")
    if not mappings.exists() or mappings.read_bytes().count(b"\n") > _MAX_MAPPINGS:
        jax.clear_caches()


@pytest.fixture
def compilations() -> CompilationCounter:
    """A counter that starts at zero, with nothing compiled in this process."""
    jax.clear_caches()
    return CompilationCounter()


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A corner of the sample photograph, (96, 120, 3), uint8."""
    return sample_image()[40:136, 180:300].copy()


@pytest.fixture(scope="session")
def luma_matrix(photo: np.ndarray) -> np.ndarray:
    """Integer patches of the photograph's green plane, (180, 64), float32."""
    blocks = photo[..., 1].reshape(12, 8, 15, 8).transpose(0, 2, 1, 3)
    return blocks.reshape(-1, 64).astype(np.float32)
