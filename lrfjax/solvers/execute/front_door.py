"""What surrounds every public solver: the caller's JAX settings, meshes, and LAPACK's threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

from lrfjax import checks
from lrfjax.solvers.execute.lapack_threads import one_lapack_thread
from lrfjax.solvers.execute.meshes import on_auto_mesh

P = ParamSpec("P")
R = TypeVar("R")


def front_door(solver: Callable[P, R]) -> Callable[P, R]:
    """Make a solver work under settings of the caller that its code does not follow.

    It accepts arrays on any mesh (see ``on_auto_mesh``). Axes broadcast in it as they do in NumPy,
    also under ``jax_numpy_rank_promotion="raise"``. Calls with concrete arguments on a CPU hold
    LAPACK to one thread, and return when the result is there.
    """
    placed = on_auto_mesh(solver)

    @functools.wraps(solver)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        x = args[0] if args else kwargs.get("x")
        # Only arrays of JAX lie on a mesh.
        run = placed if isinstance(x, jax.Array) else solver
        with jax.numpy_rank_promotion("allow"):
            if not (checks.is_concrete((args, kwargs)) and _is_on_cpu(x)):
                return run(*args, **kwargs)
            with one_lapack_thread():
                return jax.block_until_ready(run(*args, **kwargs))

    return call


def _is_on_cpu(x: Any) -> bool:
    """Return True if a concrete X, or the device that it goes to, is a CPU."""
    if isinstance(x, jax.Array):
        return all(device.platform == "cpu" for device in x.devices())
    return jax.default_backend() == "cpu"
