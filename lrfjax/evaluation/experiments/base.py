"""What an experiment is given and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lrfjax.evaluation.mean_curves import MeanCurve
from lrfjax.evaluation.page import write_page


@dataclass(frozen=True)
class Request:
    """What an experiment is given.

    Attributes:
        data: the folder of images.
        out: an existing folder for results, the page and its figures.
        reference: a CSV file of published points, for what compares with them.
        labels: a CSV file of the classes of images, for what classifies.
        show_progress: whether to draw progress bars.
    """

    data: Path
    out: Path
    reference: Path | None = None
    labels: Path | None = None
    show_progress: bool = True

    @property
    def results(self) -> Path:
        """Where rows are kept, so that an interrupted experiment goes on."""
        return self.out / "results.jsonl"


@dataclass(frozen=True)
class Finding:
    """A claim and whether it held.

    Attributes:
        claim: in words.
        held: None where the data cannot tell.
        figures: what it rests on, with units.
    """

    claim: str
    held: bool | None
    figures: str

    def __str__(self) -> str:
        verdict = {True: "held", False: "DID NOT HOLD", None: "cannot be told"}[self.held]
        return f"{verdict}: {self.claim} ({self.figures})"


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Attributes:
        title: of its page.
        parts: tables and text, Markdown.
        findings: the published claims, checked.
        figures: by the name of their file.
    """

    title: str
    parts: Sequence[str]
    findings: Sequence[Finding]
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def write(self, folder: Path) -> list[Path]:
        """Write the page and its figures, which are closed; return their paths."""
        parts = [*self.parts]
        if self.findings:
            parts += ["## Claims", "\n".join(f"- {finding}" for finding in self.findings)]
        return write_page(folder, "experiment", self.title, parts, self.figures)


@dataclass(frozen=True)
class Experiment:
    """An experiment by name.

    Attributes:
        name: in commands.
        about: in one line.
        run: does it.
    """

    name: str
    about: str
    run: Callable[[Request], Outcome]


def mean_gain(curve: MeanCurve, other: MeanCurve) -> float:
    """Return by how much a curve is above another, the mean over the rates that both have."""
    gains = curve.mean - other.mean
    return float(np.mean(gains[np.isfinite(gains)])) if np.isfinite(gains).any() else float("nan")


def gain_finding(
    claim: str,
    curves: Mapping[str, MeanCurve],
    better: str,
    worse: str,
    low: float = 0.0,
    high: float = np.inf,
) -> Finding:
    """Return whether one curve is above another by so many dB.

    Args:
        claim: in words.
        curves: by name, at the same rates.
        better: name of the upper one.
        worse: name of the lower one.
        low: least mean gain over the common rates, in dB.
        high: largest.
    """
    gain = mean_gain(curves[better], curves[worse])
    if np.isnan(gain):
        return Finding(claim, None, f"{better} and {worse} have no rate in common")
    common = curves[better].rates[np.isfinite(curves[better].mean - curves[worse].mean)]
    where = f"{common[0]:g} to {common[-1]:g} bpp"
    return Finding(
        claim,
        bool(low <= gain <= high),
        f"{better} minus {worse}: {gain:+.2f} dB, mean over {where}",
    )
