"""Many devices: how arrays are placed on them, and how a solve follows the placement.

A batch cut along its batch axes needs no communication: each device solves its own problems, in
``jax.shard_map``, since a loop over a sharded axis would fetch every problem to every device. The
rows of one large matrix are cut by JAX's automatic partitioning: U and X V stay with their rows,
and a sweep adds X^T U, U^T U and some scalars up over the devices. Both go together on a mesh of
two axes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import jax
import numpy as np
from jax import Array, lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers import numerics
from lrfjax.types import Factors, Result

P = ParamSpec("P")
_Entry = str | tuple[str, ...] | None


def shard_batch(x: Any, devices: Sequence[jax.Device] | None = None) -> Array:
    """Place a batch of matrices over devices, an equal number of them on each.

    ``imf``, ``nmf``, ``svd`` and ``factorize`` then solve on each device the problems that lie
    there, without any communication, and the results lie as the problems do.

    Args:
        x: shape (B, ..., M, N), real numbers, on the host or on devices. Where ``devices`` belong
            to several processes, every process passes the same array and keeps its share.
        devices: all devices of all processes by default.

    Returns:
        The array, of the same dtype, its first axis cut over a mesh of one axis named "batch".

    Raises:
        InputError: fewer than three axes, or a B that the number of devices does not divide.
        InputTypeError: a wrong type.

    Example:
        >>> import jax, numpy as np
        >>> x = shard_batch(np.ones((4, 6, 3)), jax.devices()[:1])
        >>> print(x.shape, tuple(x.sharding.spec))
        (4, 6, 3) ('batch',)
    """
    x = checks.real_array("x", x)
    if x.ndim < 3:
        raise InputError(f"x must have at least 3 axes (B, ..., M, N), got shape {x.shape}")
    return _shard("x", x, 0, "batch", devices)


def shard_rows(x: Any, devices: Sequence[jax.Device] | None = None) -> Array:
    """Place a matrix over devices, an equal number of its rows on each.

    The solvers then keep U with the rows of X and a copy of V on each device. A sweep sends
    X^T U, U^T U and some scalars between devices, never X or U. Sums over rows are made in another
    order than on one device: integer data from given ``Factors`` leads to the same integers, as
    long as all sums are below 2^24; other starts, and real factors, differ by rounding.

    Args:
        x: shape (..., M, N), real numbers, on the host or on devices; best with N much below M.
            Where ``devices`` belong to several processes, every process passes the same array and
            keeps its share.
        devices: all devices of all processes by default.

    Returns:
        The array, of the same dtype, its axis M cut over a mesh of one axis named "rows".

    Raises:
        InputError: fewer than two axes, or an M that the number of devices does not divide.
        InputTypeError: a wrong type.

    Example:
        >>> import jax, numpy as np
        >>> x = shard_rows(np.ones((6, 3)), jax.devices()[:1])
        >>> print(x.shape, tuple(x.sharding.spec))
        (6, 3) ('rows',)
    """
    x = checks.real_array("x", x)
    if x.ndim < 2:
        raise InputError(f"x must have at least 2 axes (..., M, N), got shape {x.shape}")
    return _shard("x", x, x.ndim - 2, "rows", devices)


def _shard(name: str, x: Any, axis: int, axis_name: str, devices: Any) -> Array:
    """Place an array over devices along one of its axes."""
    if devices is None:
        devices = jax.devices()
    if not isinstance(devices, Sequence) or not all(isinstance(d, jax.Device) for d in devices):
        raise InputTypeError(f"devices must be a sequence of JAX devices, got {devices!r}")
    if not devices or len(set(devices)) < len(devices):
        raise InputError(f"devices must be distinct, and at least one, got {devices!r}")
    if x.shape[axis] == 0 or x.shape[axis] % len(devices):
        raise InputError(
            f"axis {axis} of {name} must be a multiple of the {len(devices)} devices, "
            f"got shape {x.shape}"
        )
    mesh = Mesh(np.array(devices), (axis_name,), axis_types=(AxisType.Auto,))
    return _put(x, NamedSharding(mesh, PartitionSpec(*[None] * axis, axis_name)))


def _put(x: Any, sharding: NamedSharding) -> Array:
    """Place an array, which every process has the whole of unless it spans processes already."""
    if isinstance(x, jax.Array):
        if x.sharding.is_equivalent_to(sharding, x.ndim):
            return x
        if sharding.is_fully_addressable or not x.is_fully_addressable:
            return jax.device_put(x, sharding)
    host = np.asarray(x)
    host = host.astype(jax.dtypes.canonicalize_dtype(host.dtype))
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


@dataclass(frozen=True)
class Layout:
    """How X lies over several devices; static in a solve.

    Attributes:
        mesh: the devices, all axes of the type Auto.
        batch: for each batch axis of X the names of the axes of the mesh that cut it, or None.
        rows: the same for the axis M.
        columns: the same for the axis N.
    """

    mesh: Mesh
    batch: tuple[_Entry, ...]
    rows: _Entry
    columns: _Entry

    @property
    def cuts_batch(self) -> bool:
        """Whether any batch axis is cut."""
        return any(_names(entry) for entry in self.batch)

    def put(self, x: Any, *matrix_axes: _Entry) -> Any:
        """Place an array of the batch axes of X and ``matrix_axes`` as X lies."""
        if x is None or not checks.is_concrete(x):
            return x
        return _put(x, self._sharding(*matrix_axes))

    def put_factors(self, factors: Factors) -> Factors:
        """Place factors: U as the rows of X lie, V as its columns."""
        return Factors(
            self.put(factors.u, self.rows, None),
            self.put(factors.v, self.columns, None),
            self.put(factors.scale),
            self.put(factors.offset),
        )

    def constrain(self, result: Result) -> Result:
        """Fix, inside jit, how a result lies: factors as above, all else with its batch axes."""

        def fix(a: Array, side: _Entry = None) -> Array:
            middle = [None] * (a.ndim - len(self.batch) - 2)
            spec = (*middle, side, None) if side is not None else ()
            return lax.with_sharding_constraint(a, self._sharding(*spec))

        def fix_any(leaf: Any) -> Any:
            if not isinstance(leaf, Factors):
                return fix(leaf)
            u, v = fix(leaf.u, self.rows), fix(leaf.v, self.columns)
            return Factors(u, v, *jax.tree.map(fix, (leaf.scale, leaf.offset)))

        return jax.tree.map(fix_any, result, is_leaf=lambda leaf: isinstance(leaf, Factors))

    def _sharding(self, *matrix_axes: _Entry) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*self.batch, *matrix_axes))


def layout_of(x: Any) -> Layout | None:
    """Return how a matrix or a batch lies over devices, or None where JAX is left to decide.

    That is on one device, inside ``jit``, where nothing is known, and for shardings other than
    ``NamedSharding``.
    """
    if not checks.lies_on_several_devices(x) or not isinstance(x.sharding, NamedSharding):
        return None
    spec = (*x.sharding.spec, *[None] * (x.ndim - len(x.sharding.spec)))
    return Layout(_auto(x.sharding.mesh), spec[:-2], spec[-2], spec[-1])


def over_devices(
    program: Callable[[Any, Any], Result], layout: Layout, batched: Any, shared: Any
) -> Result:
    """Run the program of a matrix or a flat batch on each device, or partitioned, inside jit.

    Args:
        program: takes what is batched, with at most one batch axis, and what is shared.
        layout: of X.
        batched: a pytree of arrays with the batch axes of X in front.
        shared: a pytree of all that the problems have in common.
    """
    depth = len(layout.batch)

    def local(batched: Any, shared: Any) -> Result:
        flat, batch = batched, jax.tree.leaves(batched)[0].shape[:depth]
        if depth > 1:
            flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[depth:]), batched)
        with numerics.sharded_sums(count, gather):
            result = program(flat, shared)
        if depth > 1:
            result = jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), result)
        return result

    def gather(a: Array) -> Array:
        # Within shard_map the mesh is another, in which the axes of the batch are not Auto.
        mesh = jax.sharding.get_abstract_mesh() if layout.cuts_batch else layout.mesh
        return lax.with_sharding_constraint(a, NamedSharding(mesh, PartitionSpec()))

    of_rows, of_columns = _names(layout.rows), _names(layout.columns)
    count = int(np.prod([layout.mesh.shape[name] for name in of_rows], dtype=int))
    if not layout.cuts_batch:
        return layout.constrain(local(batched, shared))
    spec = PartitionSpec(*layout.batch)
    mapped = jax.shard_map(
        local,
        mesh=layout.mesh,
        in_specs=(spec, PartitionSpec()),
        out_specs=spec,
        axis_names=frozenset(layout.mesh.axis_names) - {*of_rows, *of_columns},
        check_vma=False,
    )
    return layout.constrain(mapped(batched, shared))


def _names(entry: _Entry) -> tuple[str, ...]:
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def _auto(mesh: Any) -> Mesh:
    """Return a mesh of the same devices and names whose axes JAX partitions by itself."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def on_auto_mesh(solver: Callable[P, Result]) -> Callable[P, Result]:
    """Let a front door take arrays of any mesh, also of one with Explicit axes.

    In the types of such arrays the mesh is written down, and every operation on them has to say how
    its result lies. The solvers leave this to JAX, so they see the same devices as a mesh with Auto
    axes; the results go back to the mesh that was given.
    """

    @functools.wraps(solver)
    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        x = args[0] if args else kwargs.get("x")
        if not checks.is_concrete(x) or not isinstance(x, jax.Array):
            return solver(*args, **kwargs)
        given = getattr(x.sharding, "mesh", None)
        context = jax.sharding.get_abstract_mesh()
        if given is None or (_is_auto(given) and (context.empty or given.size == 1)):
            return solver(*args, **kwargs)
        mesh = _auto(given)

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


def _is_auto(mesh: Any) -> bool:
    return all(kind == AxisType.Auto for kind in mesh.axis_types)
