"""Ablations of the paper's codec: one setting varies (arXiv 2408.12691, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tqdm import tqdm

from lrfjax.evaluation.experiments.base import Experiment, Finding, Outcome, Request, gain_finding
from lrfjax.evaluation.mean_curves import MeanCurve
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.report import differences, draw_means, mean_curves, rate_table
from lrfjax.evaluation.results import by_method, read_rows
from lrfjax.evaluation.runner import evaluate

RATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
_HIGHEST_DRAWN = 0.6
# Limit between a slight and a large difference in the paper's figures, in dB.
_SLIGHT = 0.5
# Ranks of the luma matrix, dense where a rank is a large step in rate.
_RANKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24)


@dataclass(frozen=True)
class Variant:
    """The paper's codec with some settings changed.

    Attributes:
        label: name in figures and tables.
        settings: settings in place of the paper's.
        ranks: ranks of the luma matrix, the levels of the curve.
        num_columns: min(M, N) of that matrix; the quality is the rank in percent of it.
    """

    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    ranks: tuple[int, ...] = _RANKS
    num_columns: int = 64


@dataclass(frozen=True)
class Ablation:
    """Variants, and the paper's claims about them.

    Attributes:
        title: title of the page.
        variants: variants to compare.
        claims: function of the curves by label, which returns the findings.
    """

    title: str
    variants: Sequence[Variant]
    claims: Callable[[Mapping[str, MeanCurve]], list[Finding]]


def run(ablation: Ablation, request: Request) -> Outcome:
    """Measure all variants on all images, and compare their mean curves."""
    paper = METHODS["imf-paper"]
    methods = [
        replace(
            paper,
            name=variant.label,
            label=variant.label,
            levels=tuple(round(100 * r / variant.num_columns, 6) for r in variant.ranks),
            codec=replace(paper.codec, **variant.settings),
        )
        for variant in ablation.variants
    ]
    evaluate(
        request.data,
        methods,
        request.results,
        warn=tqdm.write,
        show_progress=request.show_progress,
    )
    own = {method.name for method in methods}
    rows = [row for row in read_rows(request.results) if row.method in own]
    by_label = by_method(rows)
    curves = mean_curves(by_label, RATES, "psnr_db", "linear")
    note = (
        "The paper's codec (`PAPER_SETTINGS`) except for the named setting: mean PSNR over RGB in "
        f"dB at rates in bpp. Slight means less than {_SLIGHT} dB."
    )
    published = [method.name for method in methods if method.codec == paper.codec]
    return Outcome(
        ablation.title,
        [note, rate_table(curves), *differences(rows, [n for n in published if n in by_label])],
        ablation.claims(curves),
        draw_means(by_label, {"psnr": "psnr_db"}, _HIGHEST_DRAWN),
    )


def _bounds(curves: Mapping[str, MeanCurve]) -> list[Finding]:
    own = "[-16, 15]"
    return [
        gain_finding(
            f"{own} is slightly better than [-32, 31]", curves, own, "[-32, 31]", 0, _SLIGHT
        ),
        gain_finding(
            f"{own} is slightly better than [-128, 127]", curves, own, "[-128, 127]", 0, _SLIGHT
        ),
        gain_finding(f"{own} is far better than [-8, 7]", curves, own, "[-8, 7]", _SLIGHT),
    ]


def _num_iters(curves: Mapping[str, MeanCurve]) -> list[Finding]:
    return [
        gain_finding("0 sweeps are far worse than 2", curves, "2 sweeps", "0 sweeps", _SLIGHT),
        # At equal rate, more sweeps may lose a little: a better fit has more bits to code.
        gain_finding("2 sweeps nearly suffice", curves, "10 sweeps", "2 sweeps", -0.2, _SLIGHT),
        gain_finding(
            "more than 5 sweeps change little", curves, "10 sweeps", "5 sweeps", -0.15, 0.15
        ),
    ]


def _patch_size(curves: Mapping[str, MeanCurve]) -> list[Finding]:
    own = "8 x 8"
    return [
        gain_finding("8 x 8 is better than 4 x 4", curves, own, "4 x 4"),
        gain_finding("8 x 8 is slightly better than 16 x 16", curves, own, "16 x 16", 0, _SLIGHT),
        gain_finding("32 x 32 is much worse than 8 x 8", curves, own, "32 x 32", _SLIGHT),
        gain_finding("no patches are much worse than 8 x 8", curves, own, "none", _SLIGHT),
    ]


def _color_space(curves: Mapping[str, MeanCurve]) -> list[Finding]:
    return [gain_finding("YCbCr is slightly better than RGB", curves, "YCbCr", "RGB", 0, _SLIGHT)]


_LARGE_PATCHES = (2, 4, 6, 9, 12, 16, 20, 26, 32, 40, 50, 62)

ABLATIONS = {
    "bounds": Ablation(
        "Bounds of the factors",
        [
            Variant(f"[{low}, {high}]", {"bounds": (low, high)})
            for low, high in ((-8, 7), (-16, 15), (-32, 31), (-128, 127))
        ],
        _bounds,
    ),
    "num_iters": Ablation(
        "Sweeps of the solver",
        [Variant(f"{n} sweep{'s' * (n != 1)}", {"num_iters": n}) for n in (0, 1, 2, 5, 10, 20)],
        _num_iters,
    ),
    "patch_size": Ablation(
        "Size of the patches",
        [
            Variant("4 x 4", {"patch_size": (4, 4)}, (1, 2, 3, 4, 5, 6, 7, 8), 16),
            Variant("8 x 8"),
            Variant("16 x 16", {"patch_size": (16, 16)}, _LARGE_PATCHES, 256),
            Variant("32 x 32", {"patch_size": (32, 32)}, _LARGE_PATCHES[:10], 384),
            Variant("none", {"patch": False}, _LARGE_PATCHES[:10], 512),
        ],
        _patch_size,
    ),
    "color_space": Ablation(
        "Colour space",
        [
            Variant("YCbCr"),
            Variant("RGB", {"color_space": "RGB"}, (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22), 192),
        ],
        _color_space,
    ),
}


def experiment(name: str) -> Experiment:
    """Return an ablation as an experiment."""
    ablation = ABLATIONS[name]
    labels = ", ".join(variant.label for variant in ablation.variants)
    return Experiment(name, f"{ablation.title}: {labels}", lambda request: run(ablation, request))
