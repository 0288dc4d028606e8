"""The entries of a history as the rows of few arrays: programs with many small arrays compile long.

All scalars of an entry that share a dtype form one row.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def row_of(entry: Any) -> list[Array]:
    """Return the row of an entry, a pytree: its scalars by dtype, then its other leaves."""
    scalars, others = _sorted(entry)
    return [jnp.stack(group) for group in scalars.values()] + others


def entries_of(rows: list[Array], like: Any) -> Any:
    """Return the entries of stacked rows as one pytree, each leaf with a new leading axis.

    Args:
        rows: arrays as of ``row_of``, with a leading axis.
        like: an entry.
    """
    leaves, structure = jax.tree.flatten(like)
    scalars, _ = _sorted(like)
    columns = {
        dtype: iter(jnp.moveaxis(array, -1, 0)) for dtype, array in zip(scalars, rows, strict=False)
    }
    others = iter(rows[len(scalars) :])
    parts = [next(columns[leaf.dtype]) if np.ndim(leaf) == 0 else next(others) for leaf in leaves]
    return jax.tree.unflatten(structure, parts)


def _sorted(entry: Any) -> tuple[dict[Any, list[Array]], list[Array]]:
    scalars: dict[Any, list[Array]] = {}
    others = []
    for leaf in jax.tree.leaves(entry):
        if np.ndim(leaf) == 0:
            scalars.setdefault(leaf.dtype, []).append(leaf)
        else:
            others.append(leaf)
    return scalars, others
