"""Column updates in one GPU kernel instead of a chain of small ones.

The update of entry i of a column reads only entry i of the other columns, so a tile of entries can
go through all columns independently. Each program of the kernel holds one tile in registers and
loops over the columns. ``columns.minimise`` computes each new column, as in the plain loop.

The kernel uses the Triton backend of Pallas, which is deprecated since JAX 0.11. It is therefore
tested before its first use: if it does not compile, or disagrees with
``columns.update_by_products`` on small problems, the latter runs.
"""

from __future__ import annotations

import functools
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.solvers.methods.columns import Subproblem, minimise, update_by_products
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.penalties.penalty import L1, L2
from lrfjax.solvers.sets.boxes import Box, IntegerBox, NonNegative, Real
from lrfjax.solvers.sets.constraint import Constraint

# The width of a tile. It is narrow, so that even a short factor spreads over many multiprocessors.
_TILE = 32
# The product of a tile with a row of the Gram matrix takes as many registers as the tile itself,
# and a thread has at most 255.
_ENTRIES_PER_THREAD = 32
# At most eight warps can have 255 registers in every thread. 8 x 32 threads with 32 entries each
# hold a tile of 256 columns.
_MAX_COLUMNS = 256


def _padded(num_columns: int) -> int:
    """Return the number of columns padded to a power of two, as Triton requires."""
    return 1 << (num_columns - 1).bit_length()


@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def update_by_kernel(
    products: Array,
    gram: Array,
    factor: Array,
    sub: Subproblem,
    num_passes: int,
    interpret: bool = False,
) -> Array:
    """Update all columns from products, like ``columns.update_by_products``, in one kernel.

    All sums are in full float32, but in another order. Real factors therefore agree to rounding,
    and integers are equal if their products are exact. Derivatives are those of
    ``update_by_products``.

    Args:
        products: (X V)^T for U, (X^T U)^T for V, shape (R, L), float32.
        gram: V^T V or U^T U, shape (R, R), float32.
        factor: transposed factor, shape (R, L), float32.
        sub: what else the updates need, with a model that ``kernel_for`` covers.
        num_passes: number of passes over the columns; static.
        interpret: whether to emulate the kernel, which works on every backend; static.

    Returns:
        The updated factor, shape (R, L).
    """
    # Imported here, since processes without a GPU never need it.
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton as plgpu

    num_rows, length = factor.shape
    padded = _padded(num_rows)

    def entries(leaf: Any) -> Array:
        leaf = jnp.atleast_1d(jnp.asarray(leaf))
        is_real = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(factor.dtype if is_real else jnp.int32)

    leaves, structure = jax.tree.flatten(sub)
    is_scalar = [np.ndim(leaf) == 0 for leaf in leaves]
    leaves = [entries(leaf) for leaf in leaves]

    def column_updates(products: Any, gram: Any, factor: Any, *refs: Any) -> None:
        *leaves, updated = refs
        # Arrays with one value per column stay references, which a column index reads as well.
        values = [ref[0] if s else ref for ref, s in zip(leaves, is_scalar, strict=True)]
        inside = jax.tree.unflatten(structure, values)
        constraint = _in_triton(inside.model.constraint)
        inside = replace(inside, model=replace(inside.model, constraint=constraint))
        rows = lax.iota(jnp.int32, padded)
        row_of = lax.broadcasted_iota(jnp.int32, (padded, _TILE), 0)
        is_row = rows < num_rows
        is_inside = pl.program_id(0) * _TILE + lax.iota(jnp.int32, _TILE) < length
        is_entry = is_row[:, None] & is_inside[None, :]

        def load(ref: Any, mask: Array) -> Array:
            return plgpu.load(ref, mask=mask, other=0.0)

        def update(r: Array, tile: Array) -> Array:
            # A masked sum, since a tile in registers cannot be indexed.
            old = jnp.sum(jnp.where(row_of == r, tile, 0), axis=0)
            # Not a dot product: matrix units may round its operands to TF32.
            others = jnp.sum(load(gram.at[r, :], is_row)[:, None] * tile, axis=0)
            curvature = gram[r, r]
            numerator = load(products.at[r, :], is_inside) - others + curvature * old
            new = minimise(numerator, curvature, old, r, inside)
            return jnp.where(row_of == r, new[None, :], tile)

        def go_through(_: Array, tile: Array) -> Array:
            return lax.fori_loop(0, inside.num_columns, update, tile)

        tile = lax.fori_loop(0, num_passes, go_through, load(factor.at[:, :], is_entry))
        plgpu.store(updated.at[:, :], tile, mask=is_entry)

    tiles = pl.BlockSpec((padded, _TILE), lambda i: (0, i))
    matrix = pl.BlockSpec((padded, padded), lambda i: (0, 0))
    return pl.pallas_call(
        column_updates,
        grid=(-(-length // _TILE),),
        in_specs=[tiles, matrix, tiles, *(pl.BlockSpec(a.shape, lambda i: (0,)) for a in leaves)],
        out_specs=tiles,
        out_shape=jax.ShapeDtypeStruct(factor.shape, factor.dtype),
        # This type also selects the Triton backend, which is not the default in all JAX releases.
        compiler_params=plgpu.CompilerParams(
            num_warps=max(1, padded // _ENTRIES_PER_THREAD), num_stages=1
        ),
        interpret=interpret,
        name="column_updates",
    )(products, gram, factor, *leaves)


@update_by_kernel.defjvp
def _jvp(num_passes: int, interpret: bool, primals: Any, tangents: Any) -> Any:
    plain = functools.partial(update_by_products, num_passes=num_passes)
    return jax.jvp(plain, primals, tangents)


def _round_half_even(x: Array) -> Array:
    """Return ``jnp.round(x)`` exactly; Pallas does not lower the latter to Triton."""
    below = jnp.floor(x)
    rest = x - below
    is_odd = below - 2 * jnp.floor(0.5 * below) == 1
    return jnp.where((rest > 0.5) | ((rest == 0.5) & is_odd), below + 1, below)


@dataclass(frozen=True)
class _IntegerBox(IntegerBox):
    """An ``IntegerBox`` made of operations that Pallas lowers to Triton."""

    def project(self, x: Array) -> Array:
        return Box.project(self, _round_half_even(x))


@dataclass(frozen=True)
class _KeepingNan:
    """A constraint that keeps NaN, as XLA's minimum and maximum do but Triton's do not."""

    constraint: Constraint

    def for_column(self, r: Array) -> _KeepingNan:
        return _KeepingNan(self.constraint.for_column(r))

    def project(self, x: Array) -> Array:
        return jnp.where(jnp.isnan(x), x, self.constraint.project(x))

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        new = self.constraint.update(target, old, slack, curvature)
        return jnp.where(jnp.isnan(target), target, new)


def _in_triton(constraint: Any) -> Any:
    """Return the same set in a form for use inside the kernel."""
    if isinstance(constraint, IntegerBox):
        constraint = _IntegerBox(constraint.lower, constraint.upper)
    return _KeepingNan(constraint)


def kernel_for(dtype: Any, num_columns: int, model: Model) -> str:
    """Return the method of the column updates of a solve on the default device.

    Args:
        dtype: dtype of the factors.
        num_columns: R, padded columns included.
        model: what is minimised.

    Returns:
        ``"pallas"`` if ``column_kernel`` returns it, the factors are float32 with at most 256
        columns, the loss is the squared error, the sets are ``Real``, ``NonNegative``, ``Box`` or
        ``IntegerBox``, and there are no penalties but ``L1`` and ``L2``. Otherwise, and inside
        ``jax.shard_map``, ``"xla"``.
    """
    # In shard_map a kernel has to type its output, in a way that depends on the JAX release.
    is_in_shard_map = bool(jax.sharding.get_abstract_mesh().manual_axes)
    is_covered = (
        dtype == jnp.float32
        and _padded(num_columns) <= _MAX_COLUMNS
        and model.is_squared
        and all(type(c) in (Real, NonNegative, Box, IntegerBox) for c in model.constraints)
        and all(type(p) in (L1, L2) for side in model.sides for p in side.penalties)
        and not is_in_shard_map
    )
    return column_kernel() if is_covered else "xla"


def column_kernel() -> str:
    """Return the method that updates columns of unweighted float32 factors on the default device.

    ``"pallas"`` is one kernel for all columns, ``"xla"`` a loop over columns compiled by XLA. The
    kernel needs CUDA. Before its first use in a process it is compiled and compared with the loop
    on small problems. If that fails, a ``RuntimeWarning`` gives the reason, and ``"xla"`` is used.

    Example:
        >>> import jax
        >>> with jax.default_device(jax.devices("cpu")[0]):
        ...     column_kernel()
        'xla'
    """
    device = _cuda_device()
    return "xla" if device is None else _probed(device)


def _cuda_device() -> Any:
    """Return the default device if it is a CUDA GPU, else None."""
    # A device, the name of a platform, or None.
    default = jax.config.jax_default_device  # type: ignore[attr-defined]
    platform = getattr(default, "platform", default) or jax.default_backend()
    if platform not in ("gpu", "cuda"):
        return None
    device = default if isinstance(default, jax.Device) else jax.local_devices(backend=platform)[0]
    return None if "rocm" in device.client.platform_version.lower() else device


@functools.cache
def _probed(device: Any) -> str:
    """Return "pallas" if the kernel works on a device, else "xla", with a warning."""
    try:
        # The result is needed now, even while JAX traces a function. A trace belongs to one thread,
        # so another thread runs eagerly. (Under ensure_compile_time_eval Pallas would evaluate the
        # body of the kernel, too.)
        with ThreadPoolExecutor(1) as other_thread:
            reason = other_thread.submit(_disagreement, device).result()
    except Warning:
        # This JAX release deprecates the backend, and the user turns warnings into errors.
        return "xla"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    if reason is None:
        return "pallas"
    warnings.warn(
        f"XLA updates the columns, more slowly: the Pallas kernel failed its test on {device} "
        f"({reason.strip().splitlines()[0][:300]})",
        RuntimeWarning,
        stacklevel=2,
    )
    return "xla"


def _disagreement(device: Any) -> str | None:
    """Compare the kernel with ``update_by_products``; return the difference in words, or None."""
    # The cases cover masks in both directions, bounds by column, one and two warps, and a batch.
    reach = np.arange(3, 15, dtype=np.float32)
    penalties = (L1(jnp.float32(2)), L2(jnp.float32(0.5)))
    cases: tuple[tuple[FactorModel, int, Any], ...] = (
        (FactorModel(IntegerBox(-reach, reach), penalties, np.arange(12) == 3), 12, 9),
        (FactorModel(NonNegative(), penalties), 60, np.array([60, 45])),
    )
    for model, num_rows, ranks in cases:
        rng = np.random.default_rng(0)
        shape = (128, num_rows)
        partner = rng.integers(-4, 5, shape).astype(np.float32) * (np.arange(num_rows) < 45)
        x = rng.integers(-50, 51, (40, 128)).astype(np.float32)
        factor = rng.integers(0, 4, (num_rows, 40)).astype(np.float32)
        norm = np.float32(np.sqrt(np.max(np.sum(x * x, axis=1))))
        arrays = jax.device_put(((x @ partner).T, partner.T @ partner, factor), device)

        def updated(update: Any, rank: Any, arrays: Any, model: Any, norm: Any) -> Array:
            return update(*arrays, Subproblem(model, rank, rank, norm, jnp.float32(1)), 1)

        results = []
        for update in (update_by_products, update_by_kernel):
            solve = functools.partial(updated, update)
            if np.ndim(ranks):
                solve = jax.vmap(solve, in_axes=(0, None, None, None))
            results.append(np.asarray(jax.jit(solve)(jnp.asarray(ranks), arrays, model, norm)))
        largest = float(np.max(np.abs(results[0])))
        difference = float(np.max(np.abs(results[1] - results[0])))
        if not difference <= (0 if model.constraint.is_discrete else 1e-4 * largest):
            return f"entries up to {largest:.3g} differ by {difference:.3g}"
    return None
