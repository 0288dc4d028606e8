"""The plan of a solve, and where it begins: a named start or given factors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from lrfjax.solvers import bcd
from lrfjax.solvers.affine import fit_affine
from lrfjax.solvers.initialize import (
    balanced_start,
    fill_empty_columns,
    fitting_scale,
    nndsvd_start,
    random_start,
    svd_start,
)
from lrfjax.solvers.problem import Models, Problem, project
from lrfjax.types import Factors


@dataclass(frozen=True)
class Plan:
    """The static settings of a solve; each plan compiles once for each shape of X.

    Attributes:
        start: ``"svd"``, ``"balanced"``, ``"nndsvd"``, ``"random"`` or ``"given"``.
        bucket: number of columns of the padded factors.
        num_restarts: number of starts.
        fit_scale: whether to fit a scale of the product.
        fit_offset: whether to fit an offset.
        schedule: static settings of the loop.
    """

    start: str
    bucket: int
    num_restarts: int
    fit_scale: bool
    fit_offset: bool
    schedule: bcd.Schedule


def named_start(
    x: Array,
    unit: Array,
    offset: Array | None,
    key: Array | None,
    rank: Array,
    models: Models,
    plan: Plan,
    lean: Array,
    share: Array,
) -> bcd.State:
    """Return one named start of a plan for ``unit`` times X, with zeros in the dead columns."""
    constraints = (models[0].constraint, models[1].constraint)
    side = constraints[1].wider_side()
    centred = x if offset is None else x - offset / unit
    if plan.start == "random":
        assert key is not None
        ut, vt = random_start(key, centred, plan.bucket, rank, constraints)
    elif plan.start == "nndsvd":
        ut, vt = nndsvd_start(centred, plan.bucket)
    elif plan.start == "svd":
        ut, vt = svd_start(centred, plan.bucket, side)
    else:
        ut, vt = balanced_start(centred, plan.bucket, side, lean)
    live = jnp.arange(plan.bucket)[:, None] < rank
    ut, vt = (jnp.where(live, factor * jnp.sqrt(unit), 0) for factor in (ut, vt))
    scale = None
    if plan.fit_scale:
        reach = jnp.maximum(*(jnp.asarray(c.reach(), x.dtype) for c in constraints))
        scale = fitting_scale(ut, vt, reach, share)
        ut, vt = ut / jnp.sqrt(scale), vt / jnp.sqrt(scale)
    if plan.start != "random" and not all(c.is_cone for c in constraints):
        ut, vt = fill_empty_columns(ut, vt, live)
    return bcd.State(ut, vt, scale, offset)


def given_start(
    problem: Problem, factors: Factors, models: Models, rank: Array, plan: Plan
) -> bcd.State:
    """Return the start from given factors, in the units of the problem.

    A scale or an offset that is fitted but not given is fitted to the factors.
    """
    one = jnp.ones((), problem.x.dtype)
    state = bcd.State(
        factors.u.T,
        factors.v.T,
        (one if factors.scale is None else factors.scale) if plan.fit_scale else None,
        (0 * one if factors.offset is None else factors.offset) if plan.fit_offset else None,
    )
    fitted = fit_affine(problem, project(state, models, rank))
    return replace(
        state,
        scale=state.scale if factors.scale is not None else fitted[0],
        offset=state.offset if factors.offset is not None else fitted[1],
    )
