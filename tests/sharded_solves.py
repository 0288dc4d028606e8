"""Solve on many devices and print what came of it as JSON: run by test_sharding in processes.

Usage: ``python -m tests.sharded_solves one``, with 8 CPU devices, or
``python -m tests.sharded_solves PORT INDEX`` as one of two processes with 2 CPU devices each.
"""

import json
import re
import sys

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import lrfjax
from lrfjax.solvers import presets
from lrfjax.solvers.execute import solve as solving
from lrfjax.solvers.execute.sharding import shard_batch, shard_rows

COLLECTIVES = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
PROGRAMS = []
INTEGERS = lrfjax.Model(lrfjax.IntegerBox(-16, 15), lrfjax.IntegerBox(-16, 15))


def integers(*shape):
    """Return integer matrices near rank 3, (..., M, N)."""
    *batch, rows, columns = shape
    rng = np.random.default_rng(0)
    u = rng.integers(-3, 4, (*batch, rows, 3))
    v = rng.integers(-3, 4, (*batch, 3, columns))
    return (u @ v + rng.integers(-2, 3, shape)).astype(np.float32)


def start(*shape):
    *batch, rows, columns = shape
    rng = np.random.default_rng(1)
    return lrfjax.Factors(rng.normal(size=(*batch, rows, 3)), rng.normal(size=(*batch, columns, 3)))


def solve(x, **options):
    return lrfjax.imf(x, 3, num_iters=3, record=("num_changed", "factors"), **options)


def keep_programs():
    """Let sharded solves leave the text of their compiled programs in PROGRAMS."""
    for module, name in ((solving, "solve"), (presets, "solve_svd")):
        inner = getattr(module, name)

        def spy(*args, inner=inner, **static):
            layout = static["plan"].layout if "plan" in static else static.get("layout")
            if layout is None:
                return inner(*args, **static)
            compiled = inner.lower(*args, **static).compile()
            PROGRAMS.append(compiled.as_text())
            return compiled(*args)

        setattr(module, name, spy)


def collectives():
    """Return [name, largest number of entries in one array] of the last program's collectives."""
    found = []
    for types, name in re.findall(rf"= (.*?) ({COLLECTIVES})(?:-start)?\(", PROGRAMS[-1]):
        sizes = [
            np.prod([int(d) for d in s.split(",") if d]) for s in re.findall(r"\[([\d,]*)\]", types)
        ]
        found.append([name, int(max(sizes))])
    return found


def compare(sharded, single):
    """Return whether each leaf that this process has a part of agrees with that of one device."""
    pairs = zip(jax.tree.leaves(sharded), jax.tree.leaves(single), strict=True)
    return all(
        a.shape == b.shape
        and all(np.array_equal(s.data, np.asarray(b)[s.index]) for s in a.addressable_shards)
        for a, b in pairs
    )


def exact(result):
    """Return what is exact with integers: all that does not depend on the order of sums."""
    history = result.history
    kept = history.objective, history.num_changed, history.factors
    return result.factors, kept, result.num_iters, result.status


def lie(result, count):
    """Return how U, V and the history lie, over which all devices must be used."""
    leaves = (result.factors.u, result.factors.v, result.history.objective)
    assert all(len(leaf.sharding.device_set) == count for leaf in leaves)
    specs = [tuple(leaf.sharding.spec) for leaf in leaves]
    return [
        [*spec, *[None] * (leaf.ndim - len(spec))] for spec, leaf in zip(specs, leaves, strict=True)
    ]


def message(function, *args, **kwargs):
    """Return what a call raises."""
    try:
        function(*args, **kwargs)
    except lrfjax.LrfError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def one_process():
    keep_programs()
    found = {}
    batch, rows = integers(8, 64, 16), integers(4096, 16)

    draws = {"init": "random", "key": jax.random.key(3), "num_restarts": 2}
    sharded, drawn = solve(shard_batch(batch), **draws), solve(batch, **draws)
    found["batch"] = [compare(sharded, drawn), lie(sharded, 8), collectives()]
    sharded = lrfjax.svd(shard_batch(batch), 3)
    found["batch svd"] = [compare(sharded, lrfjax.svd(batch, 3)), lie(sharded, 8), collectives()]

    options = {"init": start(4096, 16)}
    sharded, single = solve(shard_rows(rows), **options), solve(rows, **options)
    found["rows"] = [compare(exact(sharded), exact(single)), lie(sharded, 8), collectives()]
    sharded, single = solve(shard_rows(rows)), solve(rows)
    objectives = [np.asarray(r.history.objective).tolist() for r in (sharded, single)]
    found["rows from svd"] = [objectives, lie(sharded, 8), collectives()]
    sharded, single = lrfjax.svd(shard_rows(rows), 3), lrfjax.svd(rows, 3)
    products = [np.asarray(r.factors.u) @ np.asarray(r.factors.v).T for r in (sharded, single)]
    errors = [float(r.history.relative_error[0]) for r in (sharded, single)]
    gap = float(np.abs(products[0] - products[1]).max() / np.linalg.norm(rows, 2))
    found["rows svd"] = [gap, errors, lie(sharded, 8), collectives()]

    # Two batch axes, of which the second is cut, and the rows; weights and a start on the host.
    devices = np.array(jax.devices()).reshape(2, 4)
    mesh = Mesh(devices, ("b", "r"), axis_types=(AxisType.Explicit,) * 2)
    options = {"init": start(4, 2, 64, 16), "weights": batch.reshape(4, 2, 64, 16) > -4}
    x = jax.device_put(
        batch.reshape(4, 2, 64, 16), NamedSharding(mesh, PartitionSpec(None, "b", "r"))
    )
    with jax.set_mesh(mesh):
        sharded = solve(x, **options)
    assert sharded.factors.u.sharding.mesh == mesh
    single = solve(batch.reshape(4, 2, 64, 16), **options)
    found["both"] = [compare(exact(sharded), exact(single)), lie(sharded, 8), collectives()]

    # Explicit axes inside jit, and shard_map of the caller.
    line = Mesh(np.array(jax.devices()), ("d",), axis_types=(AxisType.Explicit,))
    spec = PartitionSpec("d")
    x = jax.device_put(batch, NamedSharding(line, spec))
    jitted, whole = jax.jit(lambda x: lrfjax.svd(x, 3))(x), lrfjax.svd(batch, 3)
    found["explicit in jit"] = [compare(jitted, whole), lie(jitted, 8)]

    def mapped(solver, **options):
        function = jax.shard_map(solver, mesh=line, in_specs=spec, out_specs=spec, **options)
        return jax.jit(function)(x)

    found["shard_map"] = [
        compare(exact(mapped(lambda x: solve(x, **draws), check_vma=False)), exact(drawn)),
        compare(mapped(lambda x: lrfjax.svd(x, 3)), whole),
    ]

    def stepped(x):
        """Two sweeps, entry by entry."""
        begun = lrfjax.init(x, 3, model=INTEGERS, start=start(*x.shape), num_iters=2)
        return lrfjax.finish(lrfjax.step(lrfjax.step(begun)))

    def watched(x):
        """The same, with a callback."""
        seen = []
        result = lrfjax.factorize(
            x, 3, model=INTEGERS, start=start(*x.shape), num_iters=2,
            callback=lambda sweep, entry, factors: seen.append(sweep),
        )  # fmt: skip
        assert seen == [1, 2]
        return result

    def resumed(x):
        return lrfjax.resume(solve(x, init=start(*x.shape)), 2)

    for name, whole, place in (("batch", batch, shard_batch), ("rows", rows, shard_rows)):
        for way in (stepped, watched, resumed):
            sharded, single = way(place(whole)), way(whole)
            found[f"{way.__name__} {name}"] = [
                compare(sharded.factors, single.factors),
                compare(sharded.history.objective, single.history.objective),
                lie(sharded, 8),
            ]

    bad = batch.copy()
    bad[3, 5, 7] = np.inf
    found["messages"] = [
        message(shard_batch, batch[:6]),
        message(shard_rows, rows[:4092]),
        message(shard_batch, rows),
        message(shard_rows, rows, jax.devices()[:1] * 2),
        message(shard_rows, rows, "cpu"),
        message(solve, shard_batch(bad)),
        message(solve, shard_batch(batch), weights=shard_batch(np.where(bad > 9, -1, 1))),
        message(lrfjax.nmf, shard_batch(batch), 3),
        message(mapped, solve),
        message(mapped, lambda x: lrfjax.factorize(x, 3, method=lrfjax.FirstOrder())),
    ]
    return found


def two_processes(port, index):
    jax.distributed.initialize(f"localhost:{port}", 2, index)
    batch, rows = integers(8, 64, 16), integers(4096, 16)
    options = {"init": start(4096, 16)}
    found = {"devices": [jax.device_count(), jax.local_device_count()]}
    sharded = solve(shard_batch(batch))
    found["batch"] = [compare(sharded, solve(batch)), lie(sharded, 4)]
    sharded, single = solve(shard_rows(rows), **options), solve(rows, **options)
    found["rows"] = [compare(exact(sharded), exact(single)), lie(sharded, 4)]
    sharded = lrfjax.svd(shard_batch(batch), 3)
    found["batch svd"] = [compare(sharded, lrfjax.svd(batch, 3)), lie(sharded, 4)]
    rows[4000, 2] = np.nan  # a row of the second process
    found["messages"] = [
        message(solve, shard_rows(rows)),
        message(lrfjax.nmf, shard_batch(batch), 3),
    ]
    jax.distributed.shutdown()
    return found


if __name__ == "__main__":
    port, *index = sys.argv[1:]
    print(json.dumps(two_processes(int(port), int(index[0])) if index else one_process()))
