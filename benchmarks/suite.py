"""The entries of ``benchmarks/README.md``: which benchmarks run, with which arguments.

This is the one place that says how each is run. ``python -m benchmarks`` runs them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.harness import Benchmark, command_line


@dataclass(frozen=True)
class Entry:
    """One run of a benchmark.

    Attributes:
        name: name of the entry and of its JSON file.
        title: heading on the page; entries of one title follow each other.
        module: module of the benchmark in this package.
        arguments: arguments of the run besides the folders.
        data: the folder that it reads as ``--data``: ``"data"`` or ``"photos"``.
        figures: files that it draws for the page.
    """

    name: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    data: str = "data"
    figures: tuple[str, ...] = ()

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark, imported when it is asked for."""
        found: Benchmark = import_module(f"benchmarks.{self.module}").BENCHMARK
        return found

    @property
    def folders(self) -> dict[str, str]:
        """The given folder behind each folder option, such as ``photos`` behind ``data``."""
        names = self.benchmark.folders
        return {name: self.data if name == "data" else name for name in names}

    def missing(self, places: Mapping[str, Path]) -> list[str]:
        """Return the names of needed folders that were not given."""
        return [place for place in self.folders.values() if place not in places]

    def command(
        self, places: Mapping[str, Path], target: Path, figures: Path, quick: bool = False
    ) -> list[str]:
        """Return the command line of the run.

        Args:
            places: given folders by name.
            target: file for the rows.
            figures: folder for the figures.
            quick: whether it is a trial run.
        """
        line = [sys.executable, "-m", f"benchmarks.{self.module}"]
        for option, place in self.folders.items():
            line += [f"--{option}", str(places[place])]
        line += [*self.arguments, "--json", str(target)]
        line += ["--figures", str(figures)] if self.figures else []
        return line + ["--quick"] * quick

    def describe(self) -> str:
        """Return the command with the folders in capitals."""
        capitals = {option: place.upper() for option, place in self.folders.items()}
        capitals = {k: "KODAK" if v == "DATA" else v for k, v in capitals.items()}
        return command_line(f"benchmarks.{self.module}", self.arguments, capitals)


_STUDY = "The paper's study"
_MINIMA = "Better minima"
_ABLATION = "What each part of the codec is worth"

SUITE = (
    Entry("overview", "What a factorization is", "overview", figures=("factorization.png",)),
    Entry("fidelity", "Fidelity to the paper", "fidelity"),
    Entry("study_comparison", _STUDY, "paper_comparison"),
    *(
        Entry(f"study_{name}", _STUDY, "paper_study", ("--experiment", name))
        for name in (
            "bounds",
            "num_iters",
            "patch_size",
            "color_space",
            "run_time",
            "qualitative",
            "components",
            "classification",
        )
    ),
    Entry("classification_check", _STUDY, "classification_check"),
    Entry("sweep_speed", "A sweep over qualities", "sweep_speed"),
    Entry("convergence", _MINIMA, "convergence", figures=("excess.png",)),
    Entry("convergence_photos", _MINIMA, "convergence", ("--crop", "512", "768"), data="photos"),
    Entry(
        "rate_constrained",
        "The rate inside the factorization",
        "rate_constrained",
        figures=("rate_constrained.png",),
    ),
    Entry("inpainting", "Missing pixels", "inpainting", figures=("inpainting.png",)),
    Entry("solver_speed", "Speed of the IMF solve", "solver_speed"),
    Entry("roofline", "Distance from the machine's limit", "roofline"),
    Entry("contention", "Beside busy processes", "contention"),
    Entry("solvers", "Batches", "solvers", figures=("solver_times.png",)),
    Entry("scaling", "Many devices", "scaling"),
    Entry("gpu", "An accelerator beside the CPU", "gpu"),
    Entry("nmf_speed", "NMF against scikit-learn", "nmf_speed"),
    Entry("kl_speed", "Kullback-Leibler against scikit-learn", "kl_speed"),
    Entry("solver_peers", "Other libraries", "solver_peers", figures=("solver_peers.png",)),
    Entry("cold_start", "Start of a process", "cold_start"),
    Entry(
        "rate_distortion",
        "Rate-distortion",
        "rate_distortion",
        figures=("rate_distortion_codecs.png",),
    ),
    Entry("codec_ablation", _ABLATION, "codec_ablation"),
    Entry("codec_ablation_photos", _ABLATION, "codec_ablation", ("--variants", "2"), data="photos"),
    Entry("targets", "Target rates and PSNRs", "targets"),
    Entry("photograph", "A photograph", "photograph", figures=("collage.png",)),
    Entry("codec_speed", "Speed of the codec", "codec_speed"),
    Entry("paper_codec", "Speed of the paper's codec", "paper_codec"),
    Entry("codec_memory", "Memory of the codec", "codec_memory"),
    Entry("many_sizes", "Many sizes in one process", "many_sizes"),
    Entry("large_images", "Large images", "large_images"),
)
"""In the order of the page and of a run."""
