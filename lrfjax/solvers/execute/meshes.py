"""Meshes of the caller: solvers see Auto axes, whatever the axes of X are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lrfjax import checks
from lrfjax.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def auto_mesh(mesh: Any) -> Mesh:
    """Return a mesh of the same devices and axis names, with all axes of the type Auto."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def refuse_checked_axes(x: Any) -> None:
    """Raise if X lies inside ``jax.shard_map`` with its default checks.

    They want every constant that starts a loop to be marked, and JAX itself does not follow them in
    all decompositions.

    Raises:
        InputError: X varies over axes that are checked.
    """
    if not isinstance(x, jax.core.Tracer):
        return
    kind = jax.typeof(x)
    # JAX 0.10 renamed the attribute.
    axes = kind.vma if hasattr(kind, "vma") else kind.manual_axis_type.varying
    if axes:
        raise InputError(
            f"x varies over the axes {tuple(sorted(axes))} of a jax.shard_map that checks this, "
            "which iterative solvers do not support: pass check_vma=False to it, or call the "
            "solver outside with shard_batch(x)"
        )


def on_auto_mesh(solver: Callable[P, R]) -> Callable[P, R]:
    """Make a front door accept arrays on any mesh, including meshes with Explicit axes.

    The type of an array on Explicit axes contains its sharding, and every operation has to state
    that of its result. The solvers leave this to JAX: they see the same devices as a mesh with Auto
    axes. Concrete results move back to the original mesh. Inside ``jit``, results are sharded along
    the batch axes of X alone.
    """

    @functools.wraps(solver)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        x = args[0] if args else kwargs.get("x")
        if not isinstance(x, jax.Array):
            return solver(*args, **kwargs)
        if not checks.is_concrete(x):
            return _with_auto_axes(solver, x, args, kwargs)
        given = getattr(x.sharding, "mesh", None)
        context = jax.sharding.get_abstract_mesh()
        if given is None or (_is_auto(given) and (context.empty or given.size == 1)):
            return solver(*args, **kwargs)
        mesh = auto_mesh(given)

        def move(leaf: Any, source: Any, target: Mesh) -> Any:
            is_moved = isinstance(leaf, jax.Array) and checks.is_concrete(leaf)
            if not is_moved or getattr(leaf.sharding, "mesh", None) != source:
                return leaf
            return jax.device_put(leaf, NamedSharding(target, leaf.sharding.spec))

        args, kwargs = jax.tree.map(lambda a: move(a, given, mesh), (args, kwargs))
        if context.empty:
            result = solver(*args, **kwargs)
        else:
            with jax.set_mesh(mesh):
                result = solver(*args, **kwargs)
        return jax.tree.map(lambda a: move(a, mesh, given), result)

    return call


def _with_auto_axes(solver: Callable[..., R], x: Array, args: Any, kwargs: Any) -> R:
    """Call a solver inside ``jit``, with the Explicit axes of the type of X made Auto."""
    placement = jax.typeof(x).sharding
    if AxisType.Explicit not in getattr(placement.mesh, "axis_types", ()):
        return solver(*args, **kwargs)
    leaves, structure = jax.tree.flatten((args, kwargs))
    places = [k for k, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

    def program(*arrays: Array) -> R:
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        args, kwargs = jax.tree.unflatten(structure, filled)
        return solver(*args, **kwargs)

    batch = PartitionSpec(*placement.spec[: x.ndim - 2])
    with jax.sharding.use_abstract_mesh(placement.mesh):
        return jax.sharding.auto_axes(program, out_sharding=batch)(*(leaves[k] for k in places))


def _is_auto(mesh: Any) -> bool:
    return all(kind == AxisType.Auto for kind in mesh.axis_types)
