"""The counts that the roofline divides by, and how the suite runs what it lists."""

import doctest
import importlib
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from benchmarks import __main__ as runner
from benchmarks import costs, report, roofline
from benchmarks.suite import SUITE, Benchmark

ROOT = Path(__file__).parent.parent
SOLVERS = ("imf", "nmf", "svd")


def test_the_examples_of_the_counts_hold():
    assert doctest.testmod(costs).failed == 0


def test_a_sweep_counts_as_its_formula_reads():
    # One row and one column at rank 1, by hand: X V and X^T U 2 flops each, the Gram matrices 1
    # each, the column's product with the Gram row 2 and 7 more for its entry, on both sides.
    assert costs.sweep_cost(1, 1, 1).flops == 2 * (2 + 1 + 2 + 7)
    # On each side X, the products written and read, the factor read and written, the other read.
    assert costs.sweep_cost(1, 1, 1).bytes == costs.ITEM * 2 * (1 + 4 + 1)


def test_the_products_of_a_sweep_count_as_xla_counts_them():
    rows, columns, rank = 96, 64, 8
    shapes = [(rows, columns), (columns, rank)]
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    found = jax.jit(jnp.matmul).lower(*arrays).compile().cost_analysis()
    found = found[0] if isinstance(found, list) else found
    without = costs.factor_cost(rows, 0, rank, 1, 7).flops
    with_product = costs.factor_cost(rows, columns, rank, 1, 7).flops - columns * rank**2
    assert with_product - without == found["flops"]


def test_a_start_and_an_objective_count_as_their_formulas_read():
    # One entry at rank 1: the sample's Gram matrix 1, its squares 2, the reflection 4, the Gram
    # matrix 1, an SVD 12, the product 2; X read, Y written, read twice, and two factors written.
    assert costs.start_cost(1, 1, 1) == costs.Cost(1 + 2 + 4 + 1 + 12 + 2, costs.ITEM * 6)
    assert costs.prepare_cost(1, 1) == costs.Cost(5, costs.ITEM * 2)
    # Only the objective of each entry of the history depends on how many there are.
    more, fewer = (costs.imf_cost(48, 16, 4, 10, entries) for entries in (3, 2))
    assert more.flops - fewer.flops == 48 * 16 * (2 * 4 + 3)
    assert more.bytes - fewer.bytes == costs.ITEM * (48 * 16 + 4 * (48 + 16))


def test_the_sample_of_the_start_is_the_solvers():
    module = importlib.import_module("lrfjax.solvers.initialize")
    assert costs.SAMPLE_SIZE == module._SAMPLE_SIZE


@pytest.mark.parametrize("solver", SOLVERS)
def test_costs_grow_with_rank_size_and_sweeps(solver):
    cost = costs.COSTS[solver]
    for cases in (
        [(640, 64, rank, 10) for rank in (1, 4, 16, 64)],
        [(rows, 64, 16, 10) for rows in (64, 128, 640)],
        [(640, columns, 16, 10) for columns in (16, 64, 256)],
    ):
        for smaller, larger in pairwise(cost(*case) for case in cases):
            assert smaller.flops < larger.flops
            assert smaller.bytes < larger.bytes
    ten, twenty, thirty = (cost(640, 64, 16, n) for n in (10, 20, 30))
    assert thirty.flops - twenty.flops == twenty.flops - ten.flops
    assert (twenty.flops > ten.flops) == (solver != "svd")


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_transposed_problem_costs_about_the_same(solver):
    tall, wide = costs.COSTS[solver](640, 64, 16, 10), costs.COSTS[solver](64, 640, 16, 10)
    assert tall.flops == pytest.approx(wide.flops, rel=0.05)
    assert tall.bytes == pytest.approx(wide.bytes, rel=0.02)


@pytest.mark.parametrize("shape", [(48, 16), (16, 48), (20, 20), (6144, 64)])
def test_the_passes_counted_are_those_that_nmf_does(shape, monkeypatch):
    told = {}
    module = importlib.import_module("lrfjax.solvers.factorize")
    monkeypatch.setattr(module, "plan_and_solve", lambda *_, **kwargs: told.update(kwargs))
    lrfjax.nmf(np.ones(shape, np.float32), 4)
    assert told["num_passes"] == costs.default_passes(*shape)


def test_a_floor_is_what_binds_at_the_faster_copy():
    ceilings = roofline.Ceilings(flops=100.0, near=10.0, far=5.0)
    assert ceilings.floor(costs.Cost(1000, 20)) == 10.0
    assert ceilings.floor(costs.Cost(100, 200)) == 20.0


def test_rows_are_written_whole_with_the_machine_and_its_versions(tmp_path):
    target = tmp_path / "new" / "rows.json"
    report.write_json(target, [{"benchmark": "a", "median_s": np.float32(0.5)}], "scipy")
    (row,) = json.loads(target.read_text())
    assert row["median_s"] == 0.5
    assert {"python", "jax", "lrfjax", "scipy"} <= set(row["versions"])
    assert row["device"] == "cpu"
    with pytest.raises(TypeError):
        report.write_json(target, [{("not", "a key"): 1}])
    assert json.loads(target.read_text()) == [row]  # the old file is still whole


def test_the_suite_has_what_readme_tells_to_run_and_every_other_benchmark():
    listed = {benchmark.arguments[0] for benchmark in SUITE} | {"benchmarks"}
    text = (ROOT / "README.md").read_text()
    told = set(re.findall(r"python -m (benchmarks(?:\.\w+)?)", text))
    assert "benchmarks.fidelity" in told
    assert told <= listed
    assert {b.section for b in SUITE if f"**{b.section}.**" not in text} == set()
    there = {f"benchmarks.{path.stem}" for path in (ROOT / "benchmarks").glob("*.py")}
    runnable = {
        name
        for name in there
        if "\ndef main()" in (ROOT / f"{name.replace('.', '/')}.py").read_text()
    }
    # One trains, the other is what runs the suite.
    assert runnable - listed == {"benchmarks.train_contexts", "benchmarks.__main__"}


def test_every_command_of_the_suite_is_there_and_named_once():
    names = [benchmark.name for benchmark in SUITE]
    assert len(set(names)) == len(names)
    places = {"DATA": "d", "REFERENCE": "r", "PHOTOS": "p", "OUT": "o"}
    for benchmark in SUITE:
        module = benchmark.command(places)[2]
        source = ROOT / Path(*module.split("."))
        assert source.is_dir() or source.with_suffix(".py").is_file(), module
        assert "{" not in " ".join(benchmark.command(places, quick=True))
        assert benchmark.missing(places) == []


def test_what_has_no_data_is_skipped_and_what_fails_is_told(tmp_path, monkeypatch, capsys):
    suite = (
        Benchmark("needs", "A", ("platform", "{REFERENCE}")),
        Benchmark("works", "B", ("platform",)),
        Benchmark("breaks", "C", ("no_such_module_here",)),
    )
    monkeypatch.setattr(runner, "SUITE", suite)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(tmp_path)])
    assert runner.main() == 1
    told = capsys.readouterr().out
    assert "skipped: needs --reference" in told
    assert "FAILED with status 1" in told
    assert "platform" in (tmp_path / "works.txt").read_text()
    assert not (tmp_path / "needs.txt").exists()
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(tmp_path), "--only", "works"])
    assert runner.main() == 0
