"""Stopping rules: when a solve has converged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from lrfjax.pytrees import register
from lrfjax.types import History


class Stop:
    """The base class of all stopping rules.

    A rule is a frozen dataclass, registered with ``jax.tree_util.register_dataclass``. It looks at
    entries of the history of one problem, whose fields are scalars.
    """

    is_relative: ClassVar[bool] = False
    """Whether the rule reads shares alone. It then sees the objective in the solver's unit, where
    no X is too large; other rules see it in that of X."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The optional fields of ``History`` that the rule reads; they are computed for it."""
        return ()

    def __call__(self, first: History, before: History, after: History) -> Array:
        """Return whether to stop, a boolean scalar.

        Args:
            first: entry 0.
            before: previous entry.
            after: new entry.
        """
        raise NotImplementedError


@register
@dataclass(frozen=True)
class Stalled(Stop):
    """Stop when the objective falls by no more than a share of itself between two entries.

    Attributes:
        tol: the share, at least 0; 0 turns the rule off.
    """

    tol: Array | float

    is_relative: ClassVar[bool] = True

    def __call__(self, first: History, before: History, after: History) -> Array:
        """Compare the objectives of the two last entries."""
        fall = before.objective - after.objective
        return _is_below(self.tol, fall, jnp.abs(before.objective))


@register
@dataclass(frozen=True)
class SmallChange(Stop):
    """Stop when neither factor changes by more than a share of its norm, nor scale and offset.

    Attributes:
        tol: the share, at least 0; 0 turns the rule off. The offset is compared with the root mean
            square of X.
    """

    tol: Array | float

    is_relative: ClassVar[bool] = True

    @property
    def fields(self) -> tuple[str, ...]:
        """The changes of the factors, and of scale and offset."""
        return ("u_change", "v_change", "affine_change")

    def __call__(self, first: History, before: History, after: History) -> Array:
        """Compare the largest change with the tolerance."""
        assert after.u_change is not None
        assert after.v_change is not None
        change = jnp.maximum(after.u_change, after.v_change)
        if after.affine_change is not None:
            change = jnp.maximum(change, after.affine_change)
        return _is_below(self.tol, change, 1.0)


@register
@dataclass(frozen=True)
class SmallGradient(Stop):
    """Stop when the norm of the projected gradient is a small share of that at the start.

    See Lin, 2007, section 5. For continuous sets only.

    Attributes:
        tol: the share, at least 0; 0 turns the rule off.
    """

    tol: Array | float

    is_relative: ClassVar[bool] = True

    @property
    def fields(self) -> tuple[str, ...]:
        """The projected gradient."""
        return ("projected_gradient",)

    def __call__(self, first: History, before: History, after: History) -> Array:
        """Compare the norms."""
        assert after.projected_gradient is not None
        assert first.projected_gradient is not None
        return _is_below(self.tol, after.projected_gradient, first.projected_gradient)


@register
@dataclass(frozen=True)
class FixedPoint(Stop):
    """Stop when no integer has changed, nor scale and offset.

    With discrete sets, methods that descend always stop there.
    """

    is_relative: ClassVar[bool] = True

    @property
    def fields(self) -> tuple[str, ...]:
        """The number of changes, and the change of scale and offset."""
        return ("num_changed", "affine_change")

    def __call__(self, first: History, before: History, after: History) -> Array:
        """Look at the last changes."""
        assert after.num_changed is not None
        is_fixed = after.num_changed == 0
        return is_fixed if after.affine_change is None else is_fixed & (after.affine_change == 0)


@register
@dataclass(frozen=True)
class AnyOf(Stop):
    """Stop when one of several rules says so.

    Attributes:
        rules: the rules.

    Example:
        >>> import numpy as np, lrfjax
        >>> stop = AnyOf((Stalled(1e-4), SmallChange(1e-3)))
        >>> result = lrfjax.factorize(np.eye(4), 2, stop=stop, num_iters=100)
        >>> bool(result.converged)
        True
    """

    rules: tuple[Stop, ...]

    @property
    def is_relative(self) -> bool:  # type: ignore[override]
        """Whether all rules are."""
        return all(rule.is_relative for rule in self.rules)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of all rules."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.fields))

    def __call__(self, first: History, before: History, after: History) -> Array:
        """Ask all rules."""
        stop = jnp.asarray(False)
        for rule in self.rules:
            stop = stop | rule(first, before, after)
        return stop


def _is_below(tolerance: Array | float, value: Array, reference: Array | float) -> Array:
    limit = tolerance * reference
    return (tolerance > 0) & (value <= limit) & jnp.isfinite(limit)
