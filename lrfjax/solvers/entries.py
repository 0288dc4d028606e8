"""The loops from one entry of the history to the next: with an early stop, or of fixed length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers import diagnostics
from lrfjax.solvers.extrapolation import Extrapolation
from lrfjax.solvers.numerics import with_row
from lrfjax.solvers.problem import State
from lrfjax.types import History


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Carry:
    """The loop's carry from one entry of the history to the next.

    Attributes:
        state: starting point of the next sweep: factors, or an ``Extrapolation``.
        last: entry ``num_recorded`` of the history.
        num_recorded: number of entries after entry 0.
        stop: whether ``last`` is the final entry.
    """

    state: State | Extrapolation
    last: History
    num_recorded: Array
    stop: Array


def _kept(entry: History, record: tuple[str, ...]) -> History:
    """Return an entry without the fields that are only watched."""
    dropped = {name: None for name in diagnostics.RECORDABLE if name not in record}
    return replace(entry, **dropped)  # type: ignore[arg-type]


def entries_until_stop(
    advance: Callable[[Carry], Carry], begun: Carry, num_entries: int, record: tuple[str, ...]
) -> tuple[Carry, History]:
    """Advance until the carry says stop; repeat the last entry to the end of the history."""

    def body(pair: tuple[Carry, History]) -> tuple[Carry, History]:
        carry, history = advance(pair[0]), pair[1]
        entry, last = carry.num_recorded, _kept(carry.last, record)
        return carry, jax.tree.map(lambda h, a: with_row(h, entry, a), history, last)

    first = _kept(begun.last, record)
    history = jax.tree.map(lambda a: jnp.broadcast_to(a, (num_entries + 1, *a.shape)), first)
    end = begun
    if num_entries > 0:
        end, history = lax.while_loop(
            lambda p: ~p[0].stop & (p[0].num_recorded < num_entries), body, (begun, history)
        )
    is_done = jnp.arange(num_entries + 1) <= end.num_recorded

    def hold(h: Array, a: Array) -> Array:
        return jnp.where(is_done.reshape(-1, *[1] * a.ndim), h, a)

    return end, jax.tree.map(hold, history, _kept(end.last, record))


def all_entries(
    advance: Callable[[Carry], Carry], begun: Carry, num_entries: int, record: tuple[str, ...]
) -> tuple[Carry, History]:
    """Advance through all entries, with static bounds."""

    def body(carry: Carry, _: None) -> tuple[Carry, History]:
        carry = advance(carry)
        return carry, _kept(carry.last, record)

    end, later = lax.scan(body, begun, None, length=num_entries)
    first = _kept(begun.last, record)
    return end, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)
