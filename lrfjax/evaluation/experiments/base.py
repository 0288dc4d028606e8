"""The types of an experiment: request, findings and outcome."""

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
    """The input of an experiment.

    Attributes:
        data: folder of images.
        out: existing folder for results, the page and its figures.
        reference: CSV file of published points, for experiments that compare with them.
        labels: CSV file of the classes of images, for experiments that classify them.
        show_progress: whether to draw progress bars.
    """

    data: Path
    out: Path
    reference: Path | None = None
    labels: Path | None = None
    show_progress: bool = True

    @property
    def results(self) -> Path:
        """The results file, from which an interrupted experiment resumes."""
        return self.out / "results.jsonl"


@dataclass(frozen=True)
class Finding:
    """A claim and whether it held.

    Attributes:
        claim: the claim in words.
        held: whether the claim held; None if the data cannot tell.
        figures: the numbers behind it, with units.
    """

    claim: str
    held: bool | None
    figures: str

    def __str__(self) -> str:
        verdict = {True: "held", False: "DID NOT HOLD", None: "cannot be told"}[self.held]
        return f"{verdict}: {self.claim} ({self.figures})"


@dataclass(frozen=True)
class Outcome:
    """The results of an experiment.

    Attributes:
        title: title of its page.
        parts: tables and texts of the page, Markdown.
        findings: the published claims, and whether they held.
        figures: figures by the name of their files, without suffix.
    """

    title: str
    parts: Sequence[str]
    findings: Sequence[Finding]
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def write(self, folder: Path) -> list[Path]:
        """Write the page and its figures, close the figures, and return the paths."""
        parts = [*self.parts]
        if self.findings:
            parts += ["## Claims", "\n".join(f"- {finding}" for finding in self.findings)]
        return write_page(folder, "experiment", self.title, parts, self.figures)


@dataclass(frozen=True)
class Experiment:
    """A named experiment.

    Attributes:
        name: name in commands.
        about: description in one line.
        run: function that runs it.
    """

    name: str
    about: str
    run: Callable[[Request], Outcome]


def mean_gain(curve: MeanCurve, other: MeanCurve) -> float:
    """Return the mean of curve minus other over their common rates; NaN without any."""
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
    """Return whether the mean gain of one curve over another lies between two limits.

    Args:
        claim: the claim in words.
        curves: curves by name, at the same rates. One may be missing.
        better: name of the upper curve.
        worse: name of the lower curve.
        low: smallest mean gain over the common rates, in dB.
        high: largest mean gain over the common rates, in dB.
    """
    if missing := [name for name in (better, worse) if name not in curves]:
        return Finding(claim, None, f"{' and '.join(missing)} could not be measured")
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
