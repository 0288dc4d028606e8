"""The singular value decomposition of a matrix whose rows lie on several devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import PartitionSpec

from lrfjax.solvers.numerics import contract
from lrfjax.solvers.sharding import Layout
from lrfjax.solvers.truncated_svd import truncated_svd


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
