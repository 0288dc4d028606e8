"""Shared fixtures, the compilation cache of the suite, and a count of compilations."""

import os
import shutil
from pathlib import Path

# Before NumPy and JAX are imported. OpenBLAS threads of two workers spin against each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# The workers, all modules, the processes that tests start and later runs
# share what is compiled.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import jaxlib
import numpy as np
import pytest

from lrfjax.evaluation.sample import sample_image

CACHE = Path(__file__).parents[1] / ".jax_cache"
CACHE_LIMIT = 2**30
"""Bytes beyond which the cache holds mostly programs of old code."""
UNKNOWN_JAXLIB = 0, 11
"""Releases before this one know the flag below; XLA ends a process over a flag that it does not."""

_COMPILATIONS = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--optimized``, for a run before a release."""
    parser.addoption(
        "--optimized", action="store_true", help="compile all modules as users do (slower)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose how XLA compiles, and drop a cache that old code has filled."""
    version = tuple(int(part) for part in jaxlib.__version__.split(".")[:2])
    if not config.getoption("--optimized") and version < UNKNOWN_JAXLIB:
        # Most of the suite's time is compilation. XLA's older code generator takes a quarter less
        # time, and without LLVM's optimizations three quarters less.
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false".strip()
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
def _compilation(request):
    """Compile a module's programs as it asks to, and drop them at its end.

    Each program maps memory, and Linux limits the mappings. Programs that another module needs
    again come from the cache of the suite.
    """
    is_quick = request.node.get_closest_marker("unoptimized") and not request.config.getoption(
        "--optimized"
    )
    with pytest.MonkeyPatch.context() as patch:
        if is_quick:
            patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # for processes that tests start
        jax.config.update("jax_disable_most_optimizations", bool(is_quick))
        yield
    jax.config.update("jax_disable_most_optimizations", False)
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
