"""Shared fixtures: a photograph's patch matrix, and a count of compilations."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import numpy as np
import pytest

from lrfjax.evaluation.sample import sample_image

_COMPILATIONS = []


def _listen(event: str, duration: float, **_: object) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        _COMPILATIONS.append(duration)


jax.monitoring.register_event_duration_secs_listener(_listen)


class CompilationCounter:
    """Counts what the backend compiled since it was made, helper programs included."""

    def __init__(self) -> None:
        self.start = len(_COMPILATIONS)

    @property
    def count(self) -> int:
        """Programs compiled so far."""
        return len(_COMPILATIONS) - self.start


@pytest.fixture(scope="module", autouse=True)
def _release_compiled_programs():
    """Drop what a module compiled: each program maps memory, and Linux limits the mappings."""
    yield
    jax.clear_caches()


@pytest.fixture
def compilations() -> CompilationCounter:
    """A counter that starts at zero."""
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
