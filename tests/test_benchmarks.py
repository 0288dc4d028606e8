"""The counts behind the roofline, and every benchmark of the suite on tiny input."""

import contextlib
import doctest
import importlib
import io
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import lrfjax
from benchmarks import __main__ as runner
from benchmarks import costs, harness, page, roofline
from benchmarks.suite import SUITE, Entry
from benchmarks.summary import insert
from lrfjax.evaluation.sample import sample_image

pytestmark = pytest.mark.unoptimized

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
    module = importlib.import_module("lrfjax.solvers.starts.gram_svd")
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
    module = importlib.import_module("lrfjax.solvers.presets")
    planned = module.plan_call

    def spy(*args, **kwargs):
        told.update(kwargs)
        return planned(*args, **{**kwargs, "num_iters": 0})

    monkeypatch.setattr(module, "plan_call", spy)
    lrfjax.nmf(np.ones(shape, np.float32), 4, record=())
    assert told["method"] == lrfjax.Extrapolated(lrfjax.BCD(costs.default_passes(*shape)))


def test_a_floor_is_what_binds_at_the_faster_copy():
    ceilings = roofline.Ceilings(flops=100.0, near=10.0, far=5.0)
    assert ceilings.floor(costs.Cost(1000, 20)) == 10.0
    assert ceilings.floor(costs.Cost(100, 200)) == 20.0


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of tiny input: two pictures, and numbers that stand for the published ones."""
    folder = tmp_path_factory.mktemp("input")
    data, reference = folder / "data", folder / "reference"
    data.mkdir()
    reference.mkdir()
    codec, sweeps = (
        ["image,method,quality,bpp,psnr_db"],
        ["image,channel,rank,sweep,relative_error"],
    )
    for number, left in enumerate((180, 260), 1):
        name = f"kodim{number:02}"
        Image.fromarray(sample_image()[80:144, left : left + 96]).save(data / f"{name}.png")
        for method in ("IMF", "SVD", "JPEG"):
            codec += [f"{name}.png,{method},{q},{0.1 * q},{20 + q}" for q in (2, 10, 30)]
        sweeps += [f"{name},{c},4,{sweep},0.1" for c in ("Y", "Cb") for sweep in (1, 2, 5, 10)]
    (reference / "published_kodak.csv").write_text("\n".join(codec) + "\n")
    (reference / "imf_objective.csv").write_text("\n".join(sweeps) + "\n")
    return {"data": data, "photos": data, "reference": reference}


SLOW = {
    "cold_start", "scaling", "inpainting", "gpu", "large_images", "roofline", "contention",
    "sweep_speed", "solvers", "study_num_iters", "study_qualitative", "study_patch_size",
    "study_classification", "convergence_photos", "photograph", "study_comparison", "convergence",
    "solver_peers", "nmf_speed", "paper_codec", "codec_speed", "targets", "codec_memory",
    "rate_distortion", "codec_ablation", "fidelity", "study_bounds", "many_sizes",
}  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [pytest.param(e, marks=pytest.mark.slow if e.name in SLOW else ()) for e in SUITE],
    ids=lambda entry: entry.name,
)
def test_every_benchmark_runs_on_tiny_input(entry, places, tmp_path):
    target = tmp_path / "results" / f"{entry.name}.json"
    _, _, *arguments = entry.command(places, target, tmp_path / "figures", quick=True)[1:]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        rows = harness.run(entry.benchmark, arguments)
    plt.close("all")
    document = harness.read(target)
    assert document["rows"] == json.loads(json.dumps(harness.plain(rows)))
    assert document["rows"]
    assert {"python", "jax", "lrfjax"} <= set(document["machine"]["versions"])
    for name in entry.figures:
        with Image.open(tmp_path / "figures" / name) as picture:
            assert picture.width > 100
    # The page is made from the file alone, and says what the command printed.
    text = page.render(tmp_path, [entry])
    shown = entry.benchmark.show(document["rows"]).strip()
    assert shown
    assert shown in text
    assert shown in printed.getvalue()
    assert entry.describe() in text


def test_rows_are_plain_and_written_whole(tmp_path):
    target = tmp_path / "new" / "rows.json"
    harness.write(target, "a", [{"median_s": np.float32(0.5), "psnr": np.inf}], "scipy")
    document = harness.read(target)
    assert document["rows"] == [{"median_s": 0.5, "psnr": None}]
    assert {"python", "jax", "lrfjax", "scipy"} <= set(document["machine"]["versions"])
    assert document["machine"]["device"] == "cpu"
    with pytest.raises(TypeError):
        harness.write(target, "a", [{"value": object()}])
    assert harness.read(target) == document


def test_the_page_of_results_is_what_the_stored_rows_give():
    assert (ROOT / "benchmarks/README.md").read_text() == page.render(ROOT / "benchmarks")


def test_the_summary_of_the_readme_is_what_the_stored_rows_give():
    text = (ROOT / "README.md").read_text()
    assert insert(text, ROOT / "benchmarks") == text


def test_every_benchmark_is_in_the_suite_and_every_result_has_an_entry():
    there = {
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if "\nBENCHMARK = " in path.read_text()
    }
    assert {entry.module for entry in SUITE} == there
    names = [entry.name for entry in SUITE]
    assert len(set(names)) == len(names)
    stored = {path.stem for path in (ROOT / "benchmarks/results").glob("*.json")}
    assert stored <= set(names)
    told = set(re.findall(r"python -m benchmarks\.(\w+)", (ROOT / "README.md").read_text()))
    assert told <= there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "no such folder", "--reference", "."], "--data no such folder is not a folder"),
        (["--reference", "."], "the following arguments are required: --data"),
        (["--data", ".", "--reference", ".", "--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_bad_argument_is_named_before_any_work(arguments, message, capsys):
    entry = next(entry for entry in SUITE if entry.name == "fidelity")
    with pytest.raises(SystemExit):
        harness.run(entry.benchmark, arguments)
    assert message in capsys.readouterr().err


def test_a_folder_without_images_and_a_missing_package_are_refused(tmp_path, capsys):
    entry = next(entry for entry in SUITE if entry.name == "fidelity")
    with pytest.raises(SystemExit, match=r"no \*.png in"):
        harness.run(entry.benchmark, ["--data", str(tmp_path), "--reference", str(tmp_path)])
    needy = harness.Benchmark(
        "needy", "", lambda _: [], lambda _: "", folders=(), packages=("no-such",)
    )
    with pytest.raises(SystemExit):
        harness.run(needy, [])
    assert "needs no-such" in capsys.readouterr().err
    assert harness.run(needy, ["--quick"]) == []


def test_entries_without_their_folder_are_skipped_and_failures_are_told(
    tmp_path, monkeypatch, capsys
):
    suite = (
        Entry("needs", "A", "fidelity"),
        Entry("works", "B", "overview"),
        Entry("breaks", "C", "overview", ("--nonsense",)),
    )
    monkeypatch.setattr(runner, "SUITE", suite)
    arguments = ["benchmarks", "--out", str(tmp_path), "--quick"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert runner.main() == 1
    told = capsys.readouterr().out
    assert "skipped: needs --data and --reference" in told
    assert "FAILED with status 2" in told
    assert "## B" in (tmp_path / "README.md").read_text()
    monkeypatch.setattr(sys, "argv", [*arguments, "--only", "unknown"])
    with pytest.raises(SystemExit):
        runner.main()
    assert "no benchmark unknown" in capsys.readouterr().err
