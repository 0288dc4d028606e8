"""The commands about folders, and the experiments that vary the paper's codec."""

import csv
import stat
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from lrfjax import cli
from lrfjax.errors import InputError
from lrfjax.evaluation.experiments import ablations, comparison, run_time
from lrfjax.evaluation.experiments.ablations import ABLATIONS, Ablation, Variant
from lrfjax.evaluation.experiments.base import Finding, Request, gain_finding
from lrfjax.evaluation.experiments.registry import EXPERIMENTS
from lrfjax.evaluation.mean_curves import MeanCurve
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.results import read_rows

pytestmark = pytest.mark.unoptimized

NAMES = "comparison bounds num_iters patch_size color_space run_time classification qualitative"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    assert not plt.get_fignums()


@pytest.fixture(scope="module")
def folder(photo, tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    Image.fromarray(photo[:64, :96]).save(root / "a.png")
    Image.fromarray(photo[30:94, 20:116]).save(root / "b.png")
    return root


def _run(*arguments):
    return cli.main([str(a) for a in arguments])


def _fails(capsys, *arguments):
    assert _run(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_evaluate_and_report(folder, tmp_path, capsys):
    out, page = tmp_path / "r.jsonl", tmp_path / "page"
    options = ("--data", folder, "--methods", "jpeg, webp", "--out", out)
    levels = ("--levels", "jpeg=10,30,60", "--levels", "webp=10,50")
    assert _run("evaluate", *options, *levels) == 0
    assert capsys.readouterr().out == f"{out}: 10 rows, 10 of them new\n"
    assert _run("evaluate", *options, *levels) == 0
    assert capsys.readouterr().out == f"{out}: 10 rows, 0 of them new\n"
    assert {(r.method, r.level) for r in read_rows(out)} == {
        *(("jpeg", q) for q in (10, 30, 60)),
        *(("webp", q) for q in (10, 50)),
    }
    # What one report writes for others, another lays over its figures.
    assert _run("report", out, "--out", page, "--compressai") == 0
    told = capsys.readouterr().out
    assert "Against JPEG" in told
    assert "| WebP" in told
    published = page / "webp.json"
    assert published.exists()
    assert _run("report", out, "--out", tmp_path / "two", "--published", published) == 0
    assert (tmp_path / "two" / "psnr.pdf").exists()
    before = published.read_bytes()
    over = ("report", out, "--out", page, "--compressai", "--published", published)
    capsys.readouterr()
    assert "an input as well" in _fails(capsys, *over)
    assert published.read_bytes() == before


def test_impossible_evaluations_are_one_line(folder, tmp_path, capsys):
    out = tmp_path / "r.jsonl"
    good = ("evaluate", "--data", folder, "--out", out)
    assert "did you mean 'jpeg'?" in _fails(capsys, *good, "--methods", "imf,jepg")
    assert "at least one codec" in _fails(capsys, *good, "--methods", ",")
    for text in ("jpeg=a", "jpeg", "jpeg=", "=3"):
        assert "levels" in _fails(capsys, *good, "--methods", "jpeg", "--levels", text)
    assert "'webp'" in _fails(capsys, *good, "--methods", "jpeg", "--levels", "webp=3")
    assert "belong together" in _fails(capsys, *good, "--num-processes", 2)
    assert not out.exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no images" in _fails(capsys, "evaluate", "--data", empty, "--out", out)
    assert "not a folder" in _fails(capsys, "evaluate", "--data", empty / "x", "--out", out)
    assert "cannot be written" in _fails(capsys, *good[:-1], empty / "x" / "r.jsonl")
    out.write_text("no row\n")
    assert "line 1" in _fails(capsys, *good, "--methods", "jpeg")
    assert out.read_text() == "no row\n"


def test_a_folder_of_nothing_but_bad_images_is_a_failure(tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert _run("evaluate", "--data", tmp_path, "--out", tmp_path / "r.jsonl") == 1
    lines = capsys.readouterr().err.splitlines()
    assert ["skipped broken.png" in lines[0], "can be used" in lines[1]] == [True, True]


def test_read_only_results_are_one_line(folder, tmp_path, capsys):
    out = tmp_path / "r.jsonl"
    out.touch()
    out.chmod(stat.S_IRUSR)
    try:
        with out.open("a"):
            pytest.skip("this user may write to read-only files")
    except PermissionError:
        assert "cannot be written" in _fails(capsys, "evaluate", "--data", folder, "--out", out)


def test_impossible_reports_and_experiments_are_one_line(folder, tmp_path, capsys):
    rows = tmp_path / "r.jsonl"
    assert "cannot be read" in _fails(capsys, "report", rows, "--out", tmp_path / "p")
    rows.write_text("")
    assert "no rows" in _fails(capsys, "report", rows, "--out", tmp_path / "p")
    line = _fails(capsys, "experiment", "bound", "--data", folder, "--out", tmp_path / "e")
    assert "'bounds'" in line
    assert not (tmp_path / "e").exists()
    reference = ("--reference", tmp_path / "none.csv", "--out", tmp_path / "e")
    assert "none.csv" in _fails(capsys, "experiment", "comparison", "--data", folder, *reference)


def test_an_experiment_does_not_write_among_its_images(folder, capsys):
    for out in (folder, folder / "out"):
        assert "is in --data" in _fails(
            capsys, "experiment", "bounds", "--data", folder, "--out", out
        )
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png"]


def test_all_experiments_of_the_paper_are_there():
    assert list(EXPERIMENTS) == [*NAMES.split(), "components"]


def test_variants_move_one_setting_along_whole_ranks():
    for name, ablation in ABLATIONS.items():
        for variant in ablation.variants:
            codec = replace(METHODS["imf-paper"].codec, **variant.settings)
            assert set(codec.changed()) <= set(variant.settings), name
            side = codec.patch_size[0]
            if codec.patch:
                columns = side**2 * (3 if codec.color_space == "RGB" else 1)
                # On 768 x 512 pixels large patches are fewer than their pixels.
                assert variant.num_columns == min(columns, 768 * 512 // side**2)


def test_an_ablation_is_measured_resumed_and_judged(folder, tmp_path):
    small = Ablation(
        "Bounds",
        [Variant("[-8, 7]", {"bounds": (-8, 7)}, (2, 5, 9)), Variant("[-16, 15]", {}, (2, 5, 9))],
        lambda curves: [gain_finding("wider is better", curves, "[-16, 15]", "[-8, 7]")],
    )
    request = Request(folder, tmp_path, show_progress=False)
    outcome = ablations.run(small, request)
    rows = read_rows(request.results)
    assert len(rows) == 2 * 2 * 3
    assert {tuple(r.parameters.get("bounds", ())) for r in rows} == {(-8, 7), ()}
    assert [f.claim for f in outcome.findings] == ["wider is better"]
    paths = outcome.write(tmp_path)
    assert str(outcome.findings[0]) in paths[0].read_text()
    before = request.results.read_bytes()
    ablations.run(small, request).write(tmp_path)
    assert request.results.read_bytes() == before


def _curve(*mean):
    values = np.array(mean, float)
    count = np.ones(len(mean), int)
    return MeanCurve(
        np.arange(1.0, len(mean) + 1), values, 0 * values, count, "psnr_db", "linear", 1
    )


def test_findings_go_by_the_common_rates():
    curves = {"a": _curve(30, 32, np.nan), "b": _curve(29, 30, 31), "c": _curve(*3 * [np.nan])}
    found = gain_finding("a above b", curves, "a", "b")
    assert found.held
    assert found.figures == "a minus b: +1.50 dB, mean over 1 to 2 bpp"
    assert not gain_finding("by little", curves, "a", "b", 0, 1).held
    assert not gain_finding("b above a", curves, "b", "a").held
    assert gain_finding("a above c", curves, "a", "c").held is None
    words = [str(Finding("x", held, "y")).split(":")[0] for held in (True, False, None)]
    assert words == ["held", "DID NOT HOLD", "cannot be told"]


@pytest.fixture(scope="module")
def compared(folder, tmp_path_factory):
    """Return a comparison's request, with few qualities, and its outcome."""
    few = {
        "imf-paper": (0.0, 4.0, 8.0, 14.0, 22.0, 30.0, 40.0),
        "svd-paper": (0.0, 0.8, 1.6, 2.4, 3.2, 4.0, 5.0),
        **dict.fromkeys(("dct", "imf", "svd", "nmf"), (25.0,)),
    }
    patched = {**METHODS, **{n: replace(METHODS[n], levels=q) for n, q in few.items()}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "METHODS", patched)
        patch.setattr(comparison, "PAPER_JPEG_QUALITIES", (0, 10, 25, 50, 74))
        patch.setattr(comparison, "RATES", (0.8, 1.2, 1.6))
        request = Request(folder, tmp_path_factory.mktemp("comparison"), show_progress=False)
        comparison.run(request).write(request.out)
        yield request


def _reference(rows, path, extra_bytes=0, extra_db=0.0):
    names = {name: method for method, name in comparison._PUBLISHED.items()}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "method", "bpp", "psnr_db"])
        for row in rows:
            if row.method in names:
                bpp = row.bpp + 8 * extra_bytes / (row.height * row.width)
                writer.writerow([row.image, names[row.method], bpp, row.psnr_db + extra_db])
    return path


@pytest.mark.slow
def test_what_was_published_is_reproduced_but_for_its_framing(compared, tmp_path):
    rows = read_rows(compared.results)
    path = _reference(rows, tmp_path / "same.csv", extra_bytes=20)
    outcome = comparison.run(replace(compared, reference=path))
    plt.close("all")
    found = {f.claim.split()[0]: f for f in outcome.findings if "published" in f.claim}
    assert list(found) == ["IMF", "SVD", "JPEG"]
    for finding in found.values():
        assert finding.held is not False
    assert found["IMF"].held
    assert "at most 0.000 dB off" in found["IMF"].figures
    assert "20 bytes" in found["IMF"].figures
    path = _reference(rows, tmp_path / "better.csv", extra_db=1.0)
    outcome = comparison.run(replace(compared, reference=path))
    plt.close("all")
    held = [f.held for f in outcome.findings if f.claim.startswith("IMF within")]
    assert held == [False]


@pytest.mark.parametrize(
    "text", ["", "image,method\na,IMF\n", "image,method,bpp,psnr_db\na,IMF,x,3\n"]
)
def test_a_reference_that_is_none(tmp_path, text):
    path = tmp_path / "reference.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"reference\.csv"):
        comparison.read_reference(path)


def test_run_times_are_of_single_calls(folder, tmp_path, monkeypatch):
    levels = {"imf-paper": (8.0,), "jpeg": (20.0, 60.0)}
    monkeypatch.setattr(run_time, "_LEVELS", levels)
    request = Request(folder, tmp_path, show_progress=False)
    outcome = run_time.run(request)
    rows = read_rows(request.results)
    assert {r.batch for r in rows} == {1}
    assert all(np.isfinite([r.encode_ms, r.decode_ms]).all() for r in rows)
    assert [f.held in (True, False) for f in outcome.findings] == [True, True]
    outcome.write(tmp_path)
    assert (tmp_path / "times.png").stat().st_size > 10_000
