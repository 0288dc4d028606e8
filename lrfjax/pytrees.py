"""Registration of dataclasses as pytrees whose structures tell types apart."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import jax

C = TypeVar("C", bound=type)


def register(cls: C) -> C:
    """Register a dataclass as a pytree; fields with ``metadata={"static": True}`` are static.

    It does what ``jax.tree_util.register_dataclass`` does. But in JAX 0.10 the structures of two
    dataclasses registered there compare equal if only their types differ, such as those of
    ``Real()`` and ``NonNegative()``. Their hashes differ, so ``jit`` seldom takes the program of
    one for the other, but it does.
    """
    static = tuple(f.name for f in fields(cls) if f.init and f.metadata.get("static"))
    traced = tuple(f.name for f in fields(cls) if f.init and not f.metadata.get("static"))
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in traced)

    def flatten(part: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children = tuple([getattr(part, name) for name in traced])
        return children, tuple([getattr(part, name) for name in static])

    def flatten_with_keys(part: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, rest = flatten(part)
        return tuple(zip(keys, children, strict=True)), rest

    def unflatten(rest: Any, children: Any) -> Any:
        named = dict(zip(traced, children, strict=True))
        return cls(**named, **dict(zip(static, rest, strict=True)))

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls
