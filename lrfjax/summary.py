"""Short texts about factors, histories and results, for the prompt and for notebooks.

They show shapes wherever there are some, and numbers where these are at hand: not inside ``jit``,
and not where other processes hold a part.
"""

from __future__ import annotations

import html
from typing import Any

import jax
import numpy as np


def is_at_hand(tree: Any) -> bool:
    """Return True if there are leaves, all of them arrays that this process can read."""

    def is_readable(leaf: Any) -> bool:
        if isinstance(leaf, jax.core.Tracer):
            return False
        return isinstance(leaf, np.ndarray) or (
            isinstance(leaf, jax.Array) and leaf.is_fully_addressable
        )

    leaves = jax.tree.leaves(tree)
    return bool(leaves) and all(map(is_readable, leaves))


def shape_text(value: Any) -> str:
    """Return the shape and dtype of an array, or what else stands in its place."""
    if not hasattr(value, "shape"):
        return repr(value)
    return f"{tuple(value.shape)} {value.dtype}"


def span_text(values: Any) -> str:
    """Return a number, or the least and the greatest of a batch."""
    values = np.asarray(values)
    if values.size == 0:
        return "none"
    low, high = (f"{float(value):.4g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def count_text(names: Any) -> str:
    """Return a name, or how often each name of a batch occurs."""
    names = np.asarray(names)
    if names.ndim == 0:
        return str(names)
    kinds, counts = np.unique(names, return_counts=True)
    return ", ".join(f"{count} {kind}" for kind, count in zip(kinds, counts, strict=True))


def as_line(name: str, rows: list[tuple[str, str]]) -> str:
    """Return ``Name(key: value, ...)``."""
    return f"{name}({', '.join(f'{key}: {value}' for key, value in rows)})"


def as_html(name: str, rows: list[tuple[str, str]]) -> str:
    """Return a table of two columns under a name."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for key, value in rows
    )
    return f"<table><caption>{html.escape(name)}</caption>{cells}</table>"
