"""Many devices: the placement of arrays, and solves that follow it.

A batch sharded along its batch axes needs no communication: each device solves its own problems, in
``jax.shard_map``. (A loop over a sharded axis would fetch every problem to every device.) The rows
of one large matrix are sharded by JAX's automatic partitioning: U and X V stay with their rows, and
a sweep sums X^T U, U^T U and some scalars over the devices. A mesh with two axes combines both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array, lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.execute.meshes import auto_mesh
from lrfjax.solvers.numerics import RowShards
from lrfjax.types import Factors, Result

_Entry = str | tuple[str, ...] | None


def shard_batch(x: Any, devices: Sequence[jax.Device] | None = None) -> Array:
    """Shard a batch of matrices over devices, with an equal number of matrices on each.

    ``imf``, ``nmf``, ``svd`` and ``factorize`` then solve each problem on its own device, without
    any communication. The results lie on the devices of their problems.

    Args:
        x: shape (B, ..., M, N), real numbers, on the host or on devices. If ``devices`` belong to
            several processes, every process passes the same array and keeps its share.
        devices: devices to use; by default, all devices of all processes.

    Returns:
        The array, of the same dtype, its first axis sharded over a mesh of one axis named "batch".

    Raises:
        InputError: fewer than three axes, or a B that is not a multiple of the number of devices.
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
    """Shard a matrix over devices, with an equal number of rows on each.

    The solvers then keep U with the rows of X, and a copy of V on each device. A sweep sends
    X^T U, U^T U and some scalars between devices, never X or U. Sums over rows run in another order
    than on one device. With integer data and given ``Factors``, the integers are the same as long
    as all sums are below 2^24. Other starts, and real factors, differ by rounding.

    Args:
        x: shape (..., M, N), real numbers, on the host or on devices; best with N much below M.
            If ``devices`` belong to several processes, every process passes the same array and
            keeps its share.
        devices: devices to use; by default, all devices of all processes.

    Returns:
        The array, of the same dtype, its axis M sharded over a mesh of one axis named "rows".

    Raises:
        InputError: fewer than two axes, or an M that is not a multiple of the number of devices.
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
    """Shard an array over devices along one of its axes."""
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
    """Place an array; every process has all of it, unless it spans processes already."""
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
    """The placement of X on several devices; static in a solve.

    Attributes:
        mesh: the devices, with all axes of the type Auto.
        batch: for each batch axis of X, the names of the mesh axes that shard it, or None.
        rows: the same for the axis M.
        columns: the same for the axis N.
    """

    mesh: Mesh
    batch: tuple[_Entry, ...]
    rows: _Entry
    columns: _Entry

    @property
    def cuts_batch(self) -> bool:
        """Whether any batch axis is sharded."""
        return any(_names(entry) for entry in self.batch)

    @property
    def row_shards(self) -> RowShards | None:
        """The parts of a vector over the rows of X; None if one device has all rows."""
        count = int(np.prod([self.mesh.shape[name] for name in _names(self.rows)], dtype=int))
        if count == 1:
            return None
        # Inside shard_map there is another mesh, in which the batch axes are not Auto.
        return RowShards(count, None if self.cuts_batch else self.mesh)

    def put(self, x: Any, *matrix_axes: _Entry) -> Any:
        """Place an array with the batch axes of X like X, its other axes by ``matrix_axes``."""
        if x is None or not checks.is_concrete(x):
            return x
        return _put(x, self._sharding(*matrix_axes))

    def put_factors(self, factors: Factors) -> Factors:
        """Place factors: U like the rows of X, V like its columns."""
        return Factors(
            self.put(factors.u, self.rows, None),
            self.put(factors.v, self.columns, None),
            self.put(factors.scale),
            self.put(factors.offset),
        )

    def constrain(self, result: Result) -> Result:
        """Fix the placement of a result inside jit: factors as above, the rest by batch axes."""

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
    """Return the layout of a matrix or a batch over devices, or None to leave it to JAX.

    JAX decides on one device, for shardings other than ``NamedSharding``, and inside ``jit``, where
    the placement is unknown.
    """
    if not checks.lies_on_several_devices(x) or not isinstance(x.sharding, NamedSharding):
        return None
    spec = (*x.sharding.spec, *[None] * (x.ndim - len(x.sharding.spec)))
    return Layout(auto_mesh(x.sharding.mesh), spec[:-2], spec[-2], spec[-1])


def over_devices(
    program: Callable[[Any, Any], Any], layout: Layout, batched: Any, shared: Any
) -> Any:
    """Run a program on the problems of each device, or partitioned by JAX; called inside jit.

    Args:
        program: function of a pytree like ``batched``, with at most one batch axis, and ``shared``.
        layout: layout of X.
        batched: pytree of arrays with the leading batch axes of X.
        shared: pytree of the arguments that all problems have in common.

    Returns:
        What the program returns, with the placement of every ``Result`` in it fixed.
    """
    depth = len(layout.batch)

    def local(batched: Any, shared: Any) -> Any:
        flat, batch = batched, jax.tree.leaves(batched)[0].shape[:depth]
        if depth > 1:
            flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[depth:]), batched)
        result = program(flat, shared)
        if depth > 1:
            result = jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), result)
        return result

    of_rows, of_columns = _names(layout.rows), _names(layout.columns)
    if not layout.cuts_batch:
        return _constrained(layout, local(batched, shared))
    spec = PartitionSpec(*layout.batch)
    mapped = jax.shard_map(
        local,
        mesh=layout.mesh,
        in_specs=(spec, PartitionSpec()),
        out_specs=spec,
        axis_names=frozenset(layout.mesh.axis_names) - {*of_rows, *of_columns},
        check_vma=False,
    )
    return _constrained(layout, mapped(batched, shared))


def _constrained(layout: Layout, tree: Any) -> Any:
    """Fix the placement of the results in a tree; leave other arrays to JAX."""
    return jax.tree.map(
        lambda leaf: layout.constrain(leaf) if isinstance(leaf, Result) else leaf,
        tree,
        is_leaf=lambda leaf: isinstance(leaf, Result),
    )


def _names(entry: _Entry) -> tuple[str, ...]:
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)
