"""The benchmarks behind the figures of README.md: their commands, and what they need.

One place says how each is run; ``python -m benchmarks`` runs them, ``--list`` prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

EXPERIMENTS = (
    "bounds",
    "num_iters",
    "patch_size",
    "color_space",
    "run_time",
    "qualitative",
    "components",
    "classification",
)


@dataclass(frozen=True)
class Benchmark:
    """One command.

    Attributes:
        name: of it, and of its files.
        section: of README.md whose figures it prints.
        arguments: after ``python -m``. Capitals in braces are filled in: {DATA}, {REFERENCE} and
            {PHOTOS} are folders that the user gives, {OUT} is that of results, {NAME} this name.
        quick: arguments besides for a trial run, where the command has such; None where it does
            not, and is left out of a trial.
    """

    name: str
    section: str
    arguments: tuple[str, ...]
    quick: tuple[str, ...] | None = None

    def missing(self, places: Mapping[str, str]) -> list[str]:
        """Return the names of folders that it needs and that are not among the given."""
        text = " ".join(self.arguments)
        wanted = [name for name in ("DATA", "REFERENCE", "PHOTOS") if f"{{{name}}}" in text]
        return [name for name in wanted if name not in places]

    def command(self, places: Mapping[str, str], quick: bool = False) -> list[str]:
        """Return the command line.

        Args:
            places: folders by their names.
            quick: whether it is a trial run.

        Raises:
            KeyError: a folder that it needs is not among them.
        """
        filled = {**places, "NAME": self.name}
        arguments = [argument.format(**filled) for argument in self.arguments]
        return [sys.executable, "-m", *arguments, *((self.quick or ()) if quick else ())]

    def describe(self) -> str:
        """Return the command with its capitals."""
        return "python -m " + " ".join(self.arguments).replace("{", "").replace("}", "")


def _module(
    name: str,
    section: str,
    *arguments: str,
    module: str = "",
    data: str = "{DATA}",
    quick: tuple[str, ...] | None = None,
) -> Benchmark:
    """Return a benchmark of this package, of the module of its name unless another is said."""
    source = ("--data", data) if data else ()
    return Benchmark(name, section, (f"benchmarks.{module or name}", *source, *arguments), quick)


_JSON = ("--json", "{OUT}/{NAME}.json")
_FEW = ("--repeats", "1")

SUITE = (
    _module("fidelity", "Fidelity to the paper", "--reference", "{REFERENCE}"),
    Benchmark(
        "comparison",
        "The paper's study",
        (
            *("lrfjax", "experiment", "comparison", "--data", "{DATA}"),
            *("--reference", "{REFERENCE}/published_kodak.csv", "--out", "{OUT}/{NAME}"),
        ),
    ),
    *(
        Benchmark(
            name,
            "The paper's study",
            ("lrfjax", "experiment", name, "--data", "{DATA}", "--out", "{OUT}/{NAME}"),
        )
        for name in EXPERIMENTS
    ),
    _module("classification_check", "The paper's study", quick=_FEW),
    _module("sweep_speed", "The paper's study", "--cold", "16", quick=("--cold", "1")),
    _module("solver_speed", "Speed of the IMF solve", *_JSON, quick=_FEW),
    _module("solvers", "Batches", *_JSON, quick=("--quick",)),
    _module("scaling", "Many devices", *_JSON, data="", quick=_FEW),
    _module("cold_start", "Compilation", *_JSON, quick=_FEW),
    _module("paper_codec", "The paper's codec", *_JSON, quick=("--images", "1", *_FEW)),
    _module("roofline", "Over the floor", *_JSON, quick=_FEW),
    _module("gpu", "On a GPU", *_JSON, quick=("--quick",)),
    _module("solver_peers", "Other libraries", *_JSON, quick=("--quick",)),
    _module("nmf_speed", "NMF", *_JSON, quick=_FEW),
    _module(
        "convergence", "Better minima", "--reference", "{REFERENCE}", "--out", "{OUT}/{NAME}.png"
    ),
    _module(
        "convergence_slow",
        "Better minima",
        "--reference",
        "{REFERENCE}",
        "--slow",
        module="convergence",
    ),
    _module(
        "convergence_photos",
        "Better minima",
        *("--crop", "512", "768"),
        module="convergence",
        data="{PHOTOS}",
    ),
    _module("inpainting", "Inpainting", "--out", "{OUT}/{NAME}.png", data="", quick=()),
    _module(
        "rate_distortion",
        "Rate-distortion",
        *("--effort", "3", "--points", "9", "--out", "{OUT}"),
        *_JSON,
        quick=("--images", "1", "--points", "2"),
    ),
    _module("codec_ablation", "Rate-distortion", quick=("--images", "1", "--rows", "2")),
    _module(
        "codec_ablation_photos",
        "Rate-distortion",
        *("--rows", "2"),
        module="codec_ablation",
        data="{PHOTOS}",
        quick=("--images", "1", "--rows", "1"),
    ),
    _module(
        "codec_speed",
        "Speed and memory of the codec",
        quick=("--images", "1", "--repeats", "1"),
    ),
    _module(
        "codec_memory",
        "Speed and memory of the codec",
        "--memory",
        module="codec_speed",
        quick=("--size", "600", "800"),
    ),
    _module(
        "large_images",
        "Large images",
        *_JSON,
        quick=("--megapixels", "0.5", "2"),
    ),
    Benchmark("compare", "A photograph", ("lrfjax", "compare", "--out", "{OUT}/{NAME}"), ()),
    Benchmark(
        "plot",
        "Other libraries",
        ("benchmarks.plot", "{OUT}/solvers.json", "{OUT}/solver_peers.json", "--out", "{OUT}"),
    ),
)
"""In the order in which they run."""
