"""Figures of the solver benchmarks, drawn from their rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from benchmarks.harness import Row, Rows
from benchmarks.report import geometric_mean
from lrfjax.evaluation.styles import lines

LINES = ("-", "--", ":", "-.")
COLORS = {"imf": "C0", "nmf": "C1", "svd": "C2"}
NAMES = {"imf": "IMF, 10 sweeps", "nmf": "NMF, 20 sweeps", "svd": "SVD"}


def title_of(shape: list[int]) -> str:
    """Return the title of a panel."""
    return f"X {shape[0]} x {shape[1]}"


def label_points(ax: Axes, values: list[int]) -> None:
    """Make the x axis logarithmic, with a label at each value."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")


def plain_log(ax: Axes, which: str) -> None:
    """Make an axis, "x" or "y", logarithmic with plain numbers at 1, 2 and 5."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def over_ranks(ax: Axes, rows: Rows) -> None:
    """Draw time over floor by rank, for single images."""
    chosen = [r for r in rows if r["in_turns"] and r["batch"] == 1]
    for solver in dict.fromkeys(r["solver"] for r in chosen):
        points = [(r["rank"], r["over_floor"]) for r in chosen if r["solver"] == solver]
        ax.plot(*zip(*points, strict=True), "o-", color=COLORS[solver], label=NAMES[solver])
    label_points(ax, sorted({r["rank"] for r in chosen}))
    plain_log(ax, "y")
    ax.axhline(1, color="0.4", lw=1)
    ax.set(xlabel="rank", ylabel="time / floor", title=title_of(chosen[0]["shape"]))
    ax.legend(frameon=False)


def over_batches(ax: Axes, rows: Rows) -> None:
    """Draw the time of an image of a batch over that of a single solve, by rank."""
    chosen = [r for r in rows if r["in_turns"]]
    alone = {(r["solver"], r["rank"]): r["median_s"] for r in chosen if r["batch"] == 1}
    batches = sorted({r["batch"] for r in chosen} - {1}, reverse=True)
    for solver in dict.fromkeys(r["solver"] for r in chosen):
        for batch, (dashes, marker) in zip(batches, lines(LINES), strict=False):
            points = [
                (r["rank"], r["median_s"] / batch / alone[solver, r["rank"]])
                for r in chosen
                if (r["solver"], r["batch"]) == (solver, batch)
            ]
            style = {"ls": dashes, "marker": marker, "ms": 4}
            ax.plot(*zip(*points, strict=True), color=COLORS[solver], **style)
    for batch, (dashes, marker) in zip(batches, lines(LINES), strict=False):
        label = f"{batch} images in one call"
        ax.plot([], [], ls=dashes, marker=marker, ms=4, color="0.3", label=label)
    label_points(ax, sorted({r["rank"] for r in chosen}))
    ax.axhline(1, color="0.4", lw=1)
    ax.set_ylim(0, 1.4 * max(ax.get_ylim()[1], 1))  # room for the legend
    ax.set(
        xlabel="rank",
        ylabel="time of an image / of a single solve",
        title=title_of(chosen[0]["shape"]),
    )
    ax.legend(frameon=False, loc="upper center")


def over_sizes(ax: Axes, rows: Rows) -> None:
    """Draw times and floors by the number of rows of X, at rank 16 or the first rank."""
    ranks = [r["rank"] for r in rows]
    rank, width = 16 if 16 in ranks else ranks[0], rows[0]["shape"][1]
    chosen = [r for r in rows if (r["rank"], r["batch"], r["shape"][1]) == (rank, 1, width)]
    for solver in dict.fromkeys(r["solver"] for r in chosen):
        mine = sorted((r for r in chosen if r["solver"] == solver), key=lambda r: r["shape"])
        heights = [r["shape"][0] for r in mine]
        ax.plot(heights, [1e3 * r["median_s"] for r in mine], "o-", color=COLORS[solver])
        ax.plot(heights, [1e3 * r["floor_s"] for r in mine], ":", color=COLORS[solver])
    ax.plot([], [], "o-", color="0.3", label="time")
    ax.plot([], [], ":", color="0.3", label="floor")
    label_points(ax, sorted({r["shape"][0] for r in chosen}))
    plain_log(ax, "y")
    ax.set(xlabel="M, rows of X", ylabel="ms", title=f"X M x {width}, rank {rank}")
    ax.legend(frameon=False, loc="upper left")


def peer_bars(ax: Axes, rows: Rows, solver: str) -> None:
    """Draw each peer's time over lrfjax's: points by rank, bars of the geometric means."""
    chosen = [r for r in rows if r["solver"] == solver]
    ratios: dict[str, list[float]] = {}
    for row in chosen:
        ratios.setdefault(row["peer"], []).append(row["peer_over_lrfjax"])
    names = sorted(ratios, key=lambda name: geometric_mean(ratios[name]))
    for place, name in enumerate(names):
        mean = geometric_mean(ratios[name])
        ax.barh(place, mean - 1, left=1, color=COLORS[solver], alpha=0.7)
        ax.plot(ratios[name], [place] * len(ratios[name]), "k.", ms=4)
        ax.annotate(
            f"{mean:.2g}",
            (max(*ratios[name], 1), place),
            (6, 0),
            textcoords="offset points",
            va="center",
        )
    ax.set_yticks(range(len(names)), names)
    ax.axvline(1, color="0.3", lw=1)
    plain_log(ax, "x")
    ax.margins(x=0.15)
    ranks = ", ".join(str(rank) for rank in sorted({r["rank"] for r in chosen}))
    ax.set(xlabel="peer's time / lrfjax's", title=f"{solver.upper()}, ranks: {ranks}")


def draw(panels: list[Callable[[Axes], None]], width: float, target: Path, machine: Row) -> None:
    """Draw panels side by side, with the machine below, and write the figure."""
    figure = plt.figure(figsize=(width, 4.2), layout="constrained")
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        ax.grid(alpha=0.3, which="major")
        ax.set_axisbelow(True)
        panel(ax)
    where = f"{machine['device']} ({machine['host']}, {machine['cores']} cores)"
    caption = f"{where}, JAX {machine['versions']['jax']}, float32, medians"
    figure.supxlabel(caption, fontsize="small", color="0.3")
    figure.savefig(target, dpi=100)
    plt.close(figure)


def solver_times(rows: Rows, machine: Row, target: Path) -> None:
    """Draw the rows of ``solvers``: time over floor, batches, and sizes.

    Args:
        rows: rows of ``benchmarks.solvers``.
        machine: machine that measured them, from ``report.machine``.
        target: file of the figure.
    """
    panels = [over_ranks, over_batches, over_sizes]
    draw([partial(panel, rows=rows) for panel in panels], 14.0, target, machine)


def solver_peers(rows: Rows, machine: Row, target: Path) -> None:
    """Draw the rows of ``solver_peers``: a panel for each solver.

    Args:
        rows: rows of ``benchmarks.solver_peers``.
        machine: machine that measured them, from ``report.machine``.
        target: file of the figure.
    """
    names = dict.fromkeys(r["solver"] for r in rows)
    draw([partial(peer_bars, rows=rows, solver=name) for name in names], 11.0, target, machine)
