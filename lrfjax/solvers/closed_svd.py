"""The closed form of the singular value decomposition as a solve, on one device or several."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import PartitionSpec

from lrfjax.solvers.execute.sharding import Layout, over_devices
from lrfjax.solvers.execute.solve import over_batch
from lrfjax.solvers.execute.units import Units
from lrfjax.solvers.numerics import (
    RowShards,
    contract,
    power_of_two_near,
    safe_sqrt,
    sum_of_squares,
)
from lrfjax.solvers.record import relative_error
from lrfjax.solvers.truncated_svd import truncated_svd
from lrfjax.types import Factors, History, Result, Status


@partial(jax.jit, static_argnames="layout")
def solve_svd(x: Array, rank: Array, *, layout: Layout | None = None) -> Result:
    """Return the SVD of one matrix or a batch, as a ``Result`` with min(M, N) columns."""
    if layout is None:
        return _solve_svd(x, rank, truncated_svd)
    decompose: Callable[[Array], tuple[Array, Array, Array]] = truncated_svd
    if layout.rows is not None and not layout.cuts_batch:
        decompose = partial(sharded_svd, layout=layout)
    program = partial(_solve_svd, decompose=decompose, shards=layout.row_shards)
    return over_devices(program, layout, x, rank)


def _solve_svd(
    x: Array,
    rank: Array,
    decompose: Callable[[Array], tuple[Array, Array, Array]],
    shards: RowShards | None = None,
) -> Result:
    """Do the work of ``solve_svd``; ``decompose`` returns the SVD of one matrix."""

    def single(x: Array) -> Result:
        # Scaling by a power of two keeps the squares in the error from overflowing.
        scale = lax.stop_gradient(power_of_two_near(x))
        x = x / scale
        u, s, v = decompose(x)
        live = jnp.arange(s.shape[0], dtype=jnp.int32) < rank
        root = safe_sqrt(jnp.where(live, s, 0))
        factors = Factors(u * root, v * root)
        value = sum_of_squares(x.T - contract(factors.v, factors.u, 1, 1), shards)
        error = relative_error(value, safe_sqrt(sum_of_squares(x.T, shards)))
        num_iters = jnp.zeros((), jnp.int32)
        history = History(num_iters[None], value[None], error[None])
        status = jnp.where(jnp.isfinite(value), Status.CONVERGED, Status.FAILED)
        result = Result(factors, history, num_iters, status.astype(jnp.int32))
        return Units(scale, safe_sqrt(scale)).outward(result)

    return single(x) if x.ndim == 2 else over_batch(single, x)


def sharded_svd(x: Array, layout: Layout) -> tuple[Array, Array, Array]:
    """Return all singular triplets of X as ``truncated_svd`` does, without gathering X.

    Each device computes the QR factorization of its rows, X_i = Q_i R_i. The SVD of the stacked R_i
    gives that of X: U_i is Q_i times the rows of its U that belong to R_i. This is as backward
    stable as the SVD of the whole (Demmel, Grigori, Hoemmen and Langou, 2012). Each device sends
    one triangle to all others.

    Args:
        x: shape (M, N), floating point, inside ``jit``; best with N below the rows per device.
        layout: layout of ``x``, with sharded rows.
    """

    def local(x: Array) -> tuple[Array, Array, Array]:
        orthogonal, triangular = jnp.linalg.qr(x)
        size = triangular.shape[0]
        u, s, v = truncated_svd(lax.all_gather(triangular, layout.rows, tiled=True))
        u = lax.dynamic_slice_in_dim(u, lax.axis_index(layout.rows) * size, size)
        return contract(orthogonal, u, 1, 0), s, v

    by_row, copied = PartitionSpec(layout.rows), PartitionSpec()
    mapped = jax.shard_map(
        local,
        mesh=layout.mesh,
        in_specs=by_row,
        out_specs=(by_row, copied, copied),
        check_vma=False,
    )
    return mapped(x)
